//! The table of routes: any method, any path.

use chroma_ha_core::route::{Read, RecordRead, Refusal, Route, classify, collection_by_name_path};
use proptest::prelude::*;
use url::Url;

use super::input;
use crate::{chance, kept};

/// What holds of every request; an error if it does not.
fn check(method: &str, path: &str) -> Result<(), TestCaseError> {
    let route = classify(method, path);
    let asks = matches!(method, "GET" | "HEAD" | "OPTIONS");
    match &route {
        Route::Read(Read::Records {
            verb: RecordRead::Get | RecordRead::Query | RecordRead::Search, ..
        }) => {
            prop_assert_eq!(method, "POST");
        }
        Route::Read(_) => prop_assert!(asks, "{} {} is taken for a read", method, path),
        Route::Write(_) => prop_assert!(!asks, "{} {} is taken for a write", method, path),
        Route::Refused(refusal) => {
            prop_assert!((400..=599).contains(&refusal.status()));
            let body = refusal.body();
            prop_assert!(body.is_empty() || serde_json::from_str::<serde_json::Value>(&body).is_ok());
        }
        Route::V1 => prop_assert!(path == "/api/v1" || path.starts_with("/api/v1/")),
    }
    if !matches!(route, Route::Refused(Refusal::MalformedPath(_))) {
        // On its way to a node a path goes through this parser.
        let url = Url::parse(&format!("http://node:1{path}"));
        let read = url.as_ref().map(Url::path).unwrap_or("no URL");
        prop_assert_eq!(&classify(method, read), &route, "{:?} becomes {:?}", path, read);
        prop_assert!(url.is_ok_and(|url| url.query().is_none()
            && url.fragment().is_none()
            && url.host_str() == Some("node")));
    }
    if let Route::Read(Read::CollectionByName { tenant, database, name }) = &route {
        prop_assert_eq!(&classify(method, &collection_by_name_path(tenant, database, name)), &route);
    }
    Ok(())
}

#[test]
fn what_is_kept_is_read_in_one_way() {
    for case in kept("route.txt") {
        let line = String::from_utf8_lossy(&case).into_owned();
        let (method, path) = line.split_once(' ').expect("a method and a path");
        check(method, path).unwrap_or_else(|reason| panic!("{line}: {reason}"));
    }
}

proptest! {
    #![proptest_config(chance())]

    #[test]
    fn whatever_comes_is_read_in_one_way(method in input::method(), path in input::path()) {
        check(&method, &path)?;
    }

    #[test]
    fn bytes_are_read_in_one_way(method in input::method(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check(&method, &format!("/{}", String::from_utf8_lossy(&bytes)))?;
    }
}
