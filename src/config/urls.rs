//! Is this URL one that can be used, and how is it spelt so that equal ones compare equal? It resolves
//! no names and opens no connection.

use url::Url;

use super::secret::RedactedUrl;

/// A node's URL: `http` or `https`, without trailing slash; a prefix path stays, the API's own path
/// (`/api/v1`, `/api/v2`) goes.
pub(super) fn http(value: &str) -> Option<RedactedUrl> {
    let mut url = Url::parse(value).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return None;
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api/v2").or_else(|| path.strip_suffix("/api/v1")).unwrap_or(path);
    let path = path.trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(RedactedUrl::new(url.as_str().trim_end_matches('/')))
}

/// A PostgreSQL URL. Several hosts (`a:5432,b:5432`) are libpq's own spelling, which is no URL to
/// others; the driver judges those.
pub(super) fn postgres(value: &str) -> Option<RedactedUrl> {
    let rest = value.strip_prefix("postgresql://").or_else(|| value.strip_prefix("postgres://"))?;
    let usable = !rest.is_empty() && (rest.contains(',') || Url::parse(value).is_ok());
    (usable && !rest.contains(char::is_whitespace)).then(|| RedactedUrl::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelt(value: &str) -> Option<String> {
        http(value).map(|url| url.expose().to_owned())
    }

    #[test]
    fn equal_nodes_are_spelt_alike() {
        for value in ["http://Chroma:8000", "http://chroma:8000/", "http://chroma:8000/api/v2/"] {
            assert_eq!(spelt(value).as_deref(), Some("http://chroma:8000"));
        }
        assert_eq!(spelt("https://chroma:443//").as_deref(), Some("https://chroma"));
        assert_eq!(spelt("http://host/chroma/").as_deref(), Some("http://host/chroma"));
        assert_eq!(spelt("http://me:pw@host/").as_deref(), Some("http://me:pw@host"));
    }

    #[test]
    fn others_are_refused() {
        for value in ["chroma:8000", "ftp://chroma", "http://", "http://a/?x=1", "http://a#b", "unix:/x"] {
            assert_eq!(spelt(value), None, "{value}");
        }
    }

    #[test]
    fn postgres_urls_in_libpq_spellings() {
        for value in ["postgres://u:p@db/log", "postgresql:///log?host=/run/pg", "postgresql://a:1,b:2/log"] {
            assert!(postgres(value).is_some(), "{value}");
        }
        for value in ["mysql://db", "postgresql://", "host=db", "postgresql://db:port/log"] {
            assert!(postgres(value).is_none(), "{value}");
        }
    }
}
