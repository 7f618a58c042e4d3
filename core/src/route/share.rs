//! Out of which share of the bounds is a request served: that of the reads or that of the writes? Each has
//! a part that the other cannot take. It looks at the route, never at a body, and keeps no count.

use super::Route;

/// Whose share a request takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Whatever logs nothing, refusals included.
    Reads,
    /// Whatever may be logged.
    Writes,
}

impl Share {
    pub const ALL: [Share; 2] = [Share::Reads, Share::Writes];

    pub fn of(route: &Route, method: &str, path: &str) -> Share {
        match route {
            Route::Read(_) | Route::Refused(_) => Share::Reads,
            Route::Write(_) => Share::Writes,
            Route::V1 => Share::of_v1(method, path),
        }
    }

    /// What a v1 request means may stand in its body, which is not there yet.
    fn of_v1(method: &str, path: &str) -> Share {
        let asks = matches!(method, "GET" | "HEAD" | "OPTIONS");
        if asks || path.ends_with("/get") || path.ends_with("/query") { Share::Reads } else { Share::Writes }
    }

    pub fn name(self) -> &'static str {
        match self {
            Share::Reads => "reads",
            Share::Writes => "writes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::classify;

    #[test]
    fn what_may_be_logged_is_a_write() {
        let docs = "/api/v2/tenants/t/databases/d/collections/b7bbf51e-8f0c-4c0e-8f0c-2f3f1e0b7bbf";
        for (method, path, share) in [
            ("POST", format!("{docs}/upsert"), Share::Writes),
            ("POST", format!("{docs}/query"), Share::Reads),
            ("DELETE", docs.to_owned(), Share::Writes),
            ("POST", format!("{docs}/conditional/commit"), Share::Reads),
            ("GET", "/api/v2/heartbeat".to_owned(), Share::Reads),
            ("GET", "/api/v1/collections".to_owned(), Share::Reads),
            ("POST", "/api/v1/collections".to_owned(), Share::Writes),
            ("POST", "/api/v1/collections/x/query".to_owned(), Share::Reads),
            ("POST", "/api/v1/collections/x/delete".to_owned(), Share::Writes),
        ] {
            let route = classify(method, &path);
            assert_eq!(Share::of(&route, method, &path), share, "{method} {path}");
        }
    }
}
