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
    format!("{scheme}{}", without_password(visible))
}

/// Host, port and path. What stands where a port belongs and is none may be the password of somebody who forgot the
/// host; whatever follows goes, too.
fn without_password(visible: &str) -> String {
    let host_end = visible.find(']').unwrap_or(0);
    let colons = visible.match_indices(':').map(|(at, _)| at).filter(|at| *at >= host_end);
    let ends = ['/', ',', ':'];
    let is_port = |at: &usize| {
        let port = visible[at + 1..].split(ends).next().unwrap_or_default();
        port.bytes().all(|byte| byte.is_ascii_digit())
    };
    let slash = visible.find('/').unwrap_or(visible.len());
    let odd = colons.filter(|at| *at < slash).find(|at| !is_port(at));
    odd.map_or_else(|| visible.to_owned(), |at| format!("{}:***", &visible[..at]))
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
        for plain in
            ["localhost:8000", "http://[::1]:8000/a:b", "postgres://a:1,b:2/log", "http://h", "[fe80::1]"]
        {
            assert_eq!(redact(plain), plain);
        }
        for (forgotten, shown) in [
            ("http://me:pass", "http://me:***"),
            ("postgres://me:pa/ss,x:1/log", "postgres://me:***"),
            ("postgres://a:1,me:pass/log", "postgres://a:1,me:***"),
        ] {
            assert_eq!(redact(forgotten), shown);
        }
        let secret = Secret::new("xyz");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "xyz");
    }
}
