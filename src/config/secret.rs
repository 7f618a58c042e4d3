//! How does a secret travel through the program without ever being shown? Types whose `Debug` and
//! `Display` hide what must not be seen. Nothing here is encrypted.

use std::fmt;

/// A token or a webhook. Shown as `***` whatever the way.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The value, for the header or comparison that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A URL whose user, password and query are never shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedactedUrl(String);

impl RedactedUrl {
    pub fn new(url: impl Into<String>) -> RedactedUrl {
        RedactedUrl(url.into())
    }

    /// The whole URL, for the connection that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

/// The URL without user, password, query and fragment. Works on URLs that do not parse, too, and then
/// rather drops too much.
pub fn redact(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // A password may hold any of `/?#`, so everything before the last `@` goes.
    let visible = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let visible = visible.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}{visible}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let url = RedactedUrl::new("postgresql://me:p/a?s@s@db:5432/log?password=x&sslmode=require");
        assert_eq!(format!("{url} {url:?}"), "postgresql://db:5432/log postgresql://db:5432/log");
        assert_eq!(redact("http://chroma:8000"), "http://chroma:8000");
        assert_eq!(redact("user:pass@host"), "host");
        let secret = Secret::new("xyz");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "xyz");
    }
}
