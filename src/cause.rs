//! What went wrong with a request over HTTP, in one short phrase? It judges nothing, and names no URL.

use std::error::Error;

/// The last of an error's causes says what happened; the first only that something did.
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// For people, without the URL, which may hold a secret.
pub(crate) fn told(error: reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { root(&error.without_url()) }
}
