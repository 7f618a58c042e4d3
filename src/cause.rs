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

/// Why the other side's certificate was not taken, if that is what happened.
pub(crate) fn untrusted(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
        return Some(reason.to_string());
    }
    // What an I/O error was made of is not among its causes.
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let inside = inside.and_then(|inside| untrusted(inside));
    inside.or_else(|| error.source().and_then(untrusted))
}

/// For people, without the URL, which may hold a secret.
pub(crate) fn told(error: reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { root(&error.without_url()) }
}
