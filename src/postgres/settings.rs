//! What does `DATABASE_URL` say: where PostgreSQL is, as whom, and how far its certificate is trusted?
//! It refuses what it does not understand and never shows the password.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{self, Roots, Trust};

/// Why `DATABASE_URL` is no use. The text names the variable and never holds the password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DATABASE_URL: {0}")]
pub struct SettingsError(String);

impl SettingsError {
    pub(super) fn new(text: impl Into<String>) -> SettingsError {
        SettingsError(text.into())
    }
}

/// Where and how to connect.
#[derive(Clone)]
pub struct Settings {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    sslmode: &'static str,
}

/// libpq's modes. `allow` behaves as `prefer`: encrypted when the server can.
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Options of libpq that are refused by name; any other unknown word might be part of a password.
const UNSUPPORTED: [&str; 11] = [
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "passfile",
    "service",
    "gssencmode",
    "krbsrvname",
    "requiressl",
    "client_encoding",
    "fallback_application_name",
];

impl Settings {
    /// Reads a `postgres://` or `postgresql://` URL or a `key=value` string.
    pub fn parse(text: &str) -> Result<Settings, SettingsError> {
        let options = split(text.trim())?;
        let sslmode = mode(options.sslmode.as_deref())?;
        let mut config: Config = options.rest.parse().map_err(|error| unreadable(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(SettingsError::new("names no host"));
        }
        let (trust, roots) = trust(sslmode, options.sslrootcert)?;
        // libpq ignores sslmode on Unix sockets, and so must we: there is no name to check there.
        let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
            && config.get_hostaddrs().is_empty();
        config.ssl_mode(match sslmode {
            _ if local => SslMode::Disable,
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            _ => SslMode::Require,
        });
        if config.get_hosts().len() > 1 {
            // Of several hosts the log is on the one that takes writes, which failover moves.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        bound_waits(&mut config);
        let tls = tls::connector(trust, &roots, config.get_ssl_negotiation())?;
        Ok(Settings { config, tls, sslmode })
    }
}

/// A silent network must surface as an error in seconds, not in the kernel's two hours.
fn bound_waits(config: &mut Config) {
    config.application_name("chroma-ha");
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(10));
    }
    config.keepalives_idle(Duration::from_secs(5));
    config.keepalives_interval(Duration::from_secs(2));
    config.keepalives_retries(3);
}

fn mode(given: Option<&str>) -> Result<&'static str, SettingsError> {
    let given = given.unwrap_or("prefer");
    MODES.into_iter().find(|mode| *mode == given).ok_or_else(|| {
        SettingsError::new(format!("sslmode is not one of {} (as in libpq)", MODES.join(", ")))
    })
}

/// What libpq makes of `sslmode` and `sslrootcert` together.
fn trust(sslmode: &str, sslrootcert: Option<String>) -> Result<(Trust, Roots), SettingsError> {
    let roots = match sslrootcert.as_deref() {
        None => Roots::System,
        Some("system") if sslmode != "verify-full" => {
            return Err(SettingsError::new("sslrootcert=system needs sslmode=verify-full (as in libpq)"));
        }
        Some("system") => Roots::System,
        Some(path) => Roots::File(PathBuf::from(path)),
    };
    let trust = match (sslmode, &roots) {
        ("verify-full", _) => Trust::Name,
        ("verify-ca", _) | ("require", Roots::File(_)) => Trust::Chain,
        _ => Trust::Any,
    };
    Ok((trust, roots))
}

/// The parser's complaint, as far as it cannot hold a piece of the password.
fn unreadable(error: &tokio_postgres::Error) -> SettingsError {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if cause.starts_with("invalid value for option") {
        return SettingsError::new(cause);
    }
    match UNSUPPORTED.into_iter().find(|name| cause == format!("unknown option `{name}`")) {
        Some(name) => SettingsError::new(format!("option {name} is not supported")),
        None => SettingsError::new(
            "cannot be read; accepted: postgres://user:password@host:port/database?sslmode=… \
             (special characters of the password as %XX) or host=… user=… password=… dbname=…",
        ),
    }
}

/// A connection string without the two options that only this program understands.
struct Options {
    rest: String,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
}

impl Options {
    fn take(&mut self, key: &str, value: String) -> bool {
        match key {
            "sslmode" => self.sslmode = Some(value),
            "sslrootcert" => self.sslrootcert = Some(value),
            _ => return false,
        }
        true
    }
}

fn split(text: &str) -> Result<Options, SettingsError> {
    let mut options = Options { rest: String::new(), sslmode: None, sslrootcert: None };
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        split_url(text, &mut options);
    } else if text.contains("://") || !text.contains('=') {
        return Err(SettingsError::new("is neither a postgres:// URL nor a key=value string"));
    } else {
        split_pairs(text, &mut options);
    }
    Ok(options)
}

fn split_url(text: &str, options: &mut Options) {
    // Credentials end at the first '@'; a '?' before it belongs to the password.
    let after_credentials = text.find('@').unwrap_or(0);
    let Some(at) = text[after_credentials..].find('?').map(|at| at + after_credentials) else {
        options.rest = text.to_owned();
        return;
    };
    let mut kept = Vec::new();
    for pair in text[at + 1..].split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !options.take(key, percent_decode_str(value).decode_utf8_lossy().into_owned()) {
            kept.push(pair);
        }
    }
    options.rest = text[..at].to_owned();
    if !kept.is_empty() {
        options.rest.push('?');
        options.rest.push_str(&kept.join("&"));
    }
}

fn split_pairs(text: &str, options: &mut Options) {
    let mut rest = text;
    while let Some(at) = rest.find('=') {
        let key = rest[..at].trim();
        let (value, raw, next) = pair_value(rest[at + 1..].trim_start());
        if !options.take(key, value) {
            options.rest.push_str(&format!("{key}={raw} "));
        }
        rest = next;
    }
    options.rest.push_str(rest.trim());
}

/// The value at the start of `text`: unquoted, as written, and what comes after it.
fn pair_value(text: &str) -> (String, &str, &str) {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return (value, &text[..=at], &text[at + 1..]),
            c if !quoted && c.is_whitespace() => return (value, &text[..at], &text[at..]),
            c => value.push(c),
        }
    }
    (value, text, "")
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", self.config.get_user().unwrap_or_default())?;
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            let port = self.config.get_ports().get(n).or(self.config.get_ports().first()).unwrap_or(&5432);
            let comma = if n == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}?sslmode={}", self.config.get_dbname().unwrap_or_default(), self.sslmode)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_pairs_lose_only_the_two_tls_options() {
        for (text, rest) in [
            (
                "postgres://u:p@h/d?sslmode=verify-ca&connect_timeout=3",
                "postgres://u:p@h/d?connect_timeout=3",
            ),
            ("postgresql://u:p?x@h/d?sslmode=verify-ca", "postgresql://u:p?x@h/d"),
            (
                "host=h password='a \\' sslmode=x' sslmode = 'verify-ca' user=u",
                "host=h password='a \\' sslmode=x' user=u",
            ),
        ] {
            let options = split(text).unwrap();
            assert_eq!(options.rest.trim(), rest);
            assert_eq!(options.sslmode.as_deref(), Some("verify-ca"));
        }
        let options = split("postgres://h/d?sslrootcert=%2Fetc%2Fca.pem").unwrap();
        assert_eq!(options.sslrootcert.as_deref(), Some("/etc/ca.pem"));
    }

    #[test]
    fn trust_follows_libpq() {
        let file = || Some("/ca.pem".to_owned());
        assert_eq!(trust("prefer", file()).unwrap().0, Trust::Any);
        assert_eq!(trust("require", None).unwrap().0, Trust::Any);
        assert_eq!(trust("require", file()).unwrap().0, Trust::Chain);
        assert_eq!(trust("verify-ca", None).unwrap().0, Trust::Chain);
        assert_eq!(trust("verify-full", Some("system".to_owned())).unwrap().0, Trust::Name);
        assert!(trust("require", Some("system".to_owned())).is_err());
    }

    #[test]
    fn the_password_is_never_shown() {
        let settings = Settings::parse("postgres://me:s3cr3t@db.example:6000/log").unwrap();
        assert_eq!(settings.to_string(), "postgres://me@db.example:6000/log?sslmode=prefer");
        assert!(!format!("{settings:?}").contains("s3cr3t"));
        for bad in [
            "postgres://me:s3cr3t@h/d?sslmode=s3cr3t",
            "postgres://me:s3cr3t@h:s3cr3t/d",
            "postgres://me:a@s3cr3t?s3cr3t=1",
            "host=h password=a s3cr3t",
            "host=h password=a s3cr3t=1",
            "mysql://me:s3cr3t@h/d",
            "s3cr3t",
            "postgres://me:s3cr3t@/d",
            "postgres://me:s3cr3t@h/d?sslcert=s3cr3t",
            "postgres://me:s3cr3t@h/d?sslmode=verify-ca&sslrootcert=/nowhere/ca.pem",
        ] {
            let error = Settings::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("DATABASE_URL: "), "{error}");
            assert!(!error.contains("s3cr3t"), "{bad}: {error}");
        }
    }
}
