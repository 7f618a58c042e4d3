//! Requests of every kind against the table, in the spellings that nodes take and refuse.

use proptest::prelude::*;

use super::*;

const T: &str = "default_tenant";
const D: &str = "default_database";
const ID: &str = "30164a8a-5144-4a36-8a9d-f6119f4afb1d";
const METHODS: [&str; 9] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"];

/// What `/openapi.json` of Chroma 1.5.9 lists, and what else it or later releases serve: the methods
/// and labels in the order of the methods.
const KNOWN: &[(&str, &str, &str)] = &[
    ("/api/v2/auth/identity", "GET", "server"),
    ("/api/v2/collections/{crn}", "GET", "get_collection_by_crn"),
    ("/api/v2/healthcheck", "GET", "server"),
    ("/api/v2/heartbeat", "GET", "server"),
    ("/api/v2/pre-flight-checks", "GET", "server"),
    ("/api/v2/reset", "POST", "reset"),
    ("/api/v2/tenants", "POST", "create_tenant"),
    ("/api/v2/tenants/{t}", "GET PATCH", "get_tenant update_tenant"),
    ("/api/v2/tenants/{t}/databases", "GET POST", "list_databases create_database"),
    ("/api/v2/tenants/{t}/databases/{d}", "GET DELETE", "get_database delete_database"),
    ("/api/v2/tenants/{t}/databases/{d}/collections", "GET POST", "list_collections create_collection"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/by-id/{id}", "GET", "get_collection_by_id"),
    (
        "/api/v2/tenants/{t}/databases/{d}/collections/{id}",
        "GET PUT DELETE",
        "get_collection modify_collection delete_collection",
    ),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/add", "POST", "add"),
    (
        "/api/v2/tenants/{t}/databases/{d}/collections/{id}/attached_functions/{n}/detach",
        "POST",
        "unsupported",
    ),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/count", "GET", "count"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/delete", "POST", "delete"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/fork", "POST", "unsupported"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/fork_count", "GET", "fork_count"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/functions/attach", "POST", "unsupported"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/functions/{n}", "GET", "get_function"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/get", "POST", "get"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/indexing_status", "GET", "indexing_status"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/query", "POST", "query"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/search", "POST", "search"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/update", "POST", "update"),
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/upsert", "POST", "upsert"),
    ("/api/v2/tenants/{t}/databases/{d}/collections_count", "GET", "count_collections"),
    ("/api/v2/version", "GET", "server"),
    // In no list, but served.
    ("/api/v2", "GET", "server"),
    ("/docs", "GET", "server"),
    ("/docs/", "GET", "server"),
    ("/openapi.json", "GET", "server"),
    // Later than 1.5.9.
    ("/api/v2/tenants/{t}/databases/{d}/collections/{id}/conditional/commit", "POST", "unsupported"),
];

fn filled(template: &str) -> String {
    template
        .replace("{crn}", "default_tenant:default_database:col")
        .replace("{t}", T)
        .replace("{d}", D)
        .replace("{id}", ID)
        .replace("{n}", "word_count")
}

fn collection(rest: &str) -> String {
    format!("/api/v2/tenants/{T}/databases/{D}/collections/{rest}")
}

fn id() -> CollectionId {
    parse_collection_id(ID).unwrap()
}

#[test]
fn every_method_on_every_known_path() {
    for (template, methods, labels) in KNOWN {
        let path = filled(template);
        let known: Vec<(&str, &str)> = methods.split(' ').zip(labels.split(' ')).collect();
        assert_eq!(known.len(), labels.split(' ').count(), "{template}");
        let unsupported = *labels == "unsupported";
        for method in METHODS {
            let found = classify(method, &path);
            let meant =
                known.iter().find(|(known, _)| *known == if method == "HEAD" { "GET" } else { method });
            let expected = match (meant, method) {
                (Some((_, label)), _) => label,
                (None, "OPTIONS") => "server",
                (None, "GET" | "HEAD") => "method_not_allowed",
                (None, _) if unsupported => "unsupported",
                (None, _) => "method_not_allowed",
            };
            assert_eq!(found.label(), expected, "{method} {path}");
        }
    }
}

#[test]
fn a_write_is_a_write_and_says_what_it_changes() {
    let collection_id = id();
    let tenant = || T.to_owned();
    let database = || D.to_owned();
    for (verb, op) in
        [("add", Op::Add), ("upsert", Op::Upsert), ("update", Op::Update), ("delete", Op::Delete)]
    {
        assert_eq!(
            classify("POST", &collection(&format!("{ID}/{verb}"))),
            Route::Write(Write::Record { op, collection: collection_id })
        );
    }
    assert_eq!(
        classify("PUT", &collection(ID)),
        Route::Write(Write::ModifyCollection { collection: collection_id })
    );
    assert_eq!(
        classify("DELETE", &collection("my%20notes")),
        Route::Write(Write::DeleteCollection {
            tenant: tenant(),
            database: database(),
            name: "my notes".into()
        })
    );
    assert_eq!(
        classify("DELETE", &format!("/api/v2/tenants/{T}/databases/{D}")),
        Route::Write(Write::DeleteDatabase { tenant: tenant(), database: database() })
    );
    assert_eq!(
        classify("PATCH", "/api/v2/tenants/caf%C3%A9"),
        Route::Write(Write::UpdateTenant { tenant: "café".into() })
    );
}

/// Seen on Chroma 1.5.9.
#[test]
fn ids_are_taken_in_the_spellings_that_a_node_takes() {
    let simple = ID.replace('-', "");
    for spelling in [
        ID.to_owned(),
        ID.to_uppercase(),
        simple.clone(),
        format!("{{{ID}}}"),
        format!("%7B{ID}%7D"),
        format!("urn:uuid:{ID}"),
        format!("urn%3Auuid%3A{ID}"),
    ] {
        assert_eq!(
            classify("GET", &collection(&format!("{spelling}/count"))),
            Route::Read(Read::Records { collection: id(), verb: RecordRead::Count }),
            "{spelling}"
        );
    }
    for spelling in [
        format!("URN:UUID:{ID}"),
        format!("{{{simple}}}"),
        format!("{ID}%20"),
        ID[1..].to_owned(),
        "col".to_owned(),
    ] {
        let refused = classify("GET", &collection(&format!("{spelling}/count")));
        assert_eq!(refused, Route::Refused(Refusal::InvalidCollectionId), "{spelling}");
    }
    assert_eq!(classify("PUT", &collection("col")), Route::Refused(Refusal::InvalidCollectionId));
    assert_eq!(classify("GET", &collection("by-id/col")), Route::Refused(Refusal::InvalidById));
}

/// Seen on Chroma 1.5.9: fixed segments match raw, slashes count, and `by-id` alone is a name.
#[test]
fn spellings_that_chroma_does_not_know_are_strangers() {
    for path in [
        "/",
        "/nope",
        "/api/v2/",
        "/api/v2/nope",
        "/api/v2/heartbeat/",
        "//api/v2/heartbeat",
        "/api//v2/heartbeat",
        "/api/v2//heartbeat",
        "/api/v2/%68eartbeat",
        "/api/v2/Heartbeat",
        "/API/v2/heartbeat",
        "/api/v2/tenants/",
        "/api/v2/tenants//databases",
        "/api/v2/collections",
        "/docs/x",
        &collection(""),
        &collection("col/"),
        &collection(&format!("by-id/{ID}/count")),
        &format!("/api/v2/tenants/{T}/databases//collections"),
        &format!("/api/v2/tenants/{T}/databases/{D}/collections_count/"),
    ] {
        assert_eq!(classify("GET", path), Route::Read(Read::Unknown), "{path}");
        assert_eq!(classify("HEAD", path), Route::Read(Read::Unknown), "{path}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", ""] {
            assert_eq!(classify(method, path), Route::Refused(Refusal::UnknownMutation), "{method} {path}");
        }
    }
    for path in [
        collection(&format!("{ID}/add/")),
        collection(&format!("{ID}/%61dd")),
        collection(&format!("{ID}/attach_function")),
    ] {
        assert_eq!(classify("POST", &path), Route::Refused(Refusal::UnknownMutation), "{path}");
    }
    assert_eq!(classify("GET", &collection("by-id")).label(), "get_collection");
    assert_eq!(classify("DELETE", &collection("by-id")).label(), "delete_collection");
}

#[test]
fn an_unknown_read_of_a_collection_still_carries_its_id() {
    for rest in ["attached_functions", "later/release", "conditional", "count/", "functions/"] {
        assert_eq!(
            classify("GET", &collection(&format!("{ID}/{rest}"))),
            Route::Read(Read::Records { collection: id(), verb: RecordRead::Other }),
            "{rest}"
        );
    }
}

#[test]
fn a_crn_is_a_name_and_anything_else_is_the_nodes_to_refuse() {
    let by_name = Read::CollectionByCrn { tenant: "a".into(), database: "b".into(), name: "c".into() };
    assert_eq!(classify("GET", "/api/v2/collections/a:b:c"), Route::Read(by_name.clone()));
    assert_eq!(classify("HEAD", "/api/v2/collections/a%3Ab%3Ac"), Route::Read(by_name));
    for crn in ["col", "a:b", "::", "a::c", "a:b:c:d", ""] {
        assert_eq!(
            classify("GET", &format!("/api/v2/collections/{crn}")),
            Route::Read(Read::Unknown),
            "{crn}"
        );
    }
}

#[test]
fn a_path_that_would_change_on_its_way_is_refused() {
    for (path, fault) in [
        ("", PathFault::NotAbsolute),
        ("*", PathFault::NotAbsolute),
        ("http://node/api/v2", PathFault::NotAbsolute),
        ("/api/v2/tenants/..", PathFault::DotSegment),
        ("/api/v2/tenants/%2e%2E/databases", PathFault::DotSegment),
        ("/./docs", PathFault::DotSegment),
        ("/api/v2/tenants/a%2Fb", PathFault::EncodedSlash),
        ("/api/v2/tenants/a%00b", PathFault::Nul),
        ("/api/v2/tenants/%FF", PathFault::InvalidUtf8),
        ("/api\\v2", PathFault::Character),
        ("/api/v2#x", PathFault::Character),
        ("/api/v1/collections/%FF", PathFault::InvalidUtf8),
    ] {
        for method in METHODS {
            assert_eq!(classify(method, path), Route::Refused(Refusal::MalformedPath(fault)), "{path}");
        }
    }
    // A stray percent sign is part of the name, as in Chroma.
    assert_eq!(
        classify("GET", &collection("a%zz")),
        Route::Read(Read::CollectionByName { tenant: T.into(), database: D.into(), name: "a%zz".into() })
    );
}

#[test]
fn the_old_api_is_left_to_v1() {
    for path in ["/api/v1", "/api/v1/", "/api/v1/collections/global/delete"] {
        for method in METHODS {
            assert_eq!(classify(method, path), Route::V1);
        }
    }
    assert_eq!(classify("POST", "/api/v1x"), Route::Refused(Refusal::UnknownMutation));
}

#[test]
fn a_refusal_answers_as_chroma_does() {
    let Route::Refused(refusal) = classify("DELETE", "/api/v2/heartbeat") else { panic!("not refused") };
    assert_eq!((refusal.status(), refusal.allow(), &*refusal.body()), (405, Some("GET,HEAD"), ""));
    let Route::Refused(refusal) = classify("PUT", &collection("col")) else { panic!("not refused") };
    assert_eq!(refusal.status(), 400);
    assert_eq!(
        refusal.body(),
        r#"{"error":"InvalidArgumentError","message":"Collection ID is not a valid UUIDv4"}"#
    );
    let Route::Refused(refusal) = classify("POST", "/nope") else { panic!("not refused") };
    assert_eq!((refusal.status(), refusal.error(), refusal.allow()), (501, "Unimplemented", None));
    assert!(refusal.body().contains(&refusal.message()));
}

#[test]
fn the_nodes_id_takes_the_place_of_the_clients() {
    let node = Uuid::from_u128(0x42);
    for (before, after) in [
        ("{c}/count", "{n}/count"),
        ("{c}/get?limit=1&x=/collections/{c}/", "{n}/get?limit=1&x=/collections/{c}/"),
        ("by-id/{c}", "by-id/{n}"),
        ("{c}?a=%20?b", "{n}?a=%20?b"),
        ("urn:uuid:{c}/functions/{c}", "{n}/functions/{c}"),
    ] {
        let before = collection(&before.replace("{c}", ID));
        let after = collection(&after.replace("{c}", ID).replace("{n}", &node.to_string()));
        assert_eq!(with_collection(&before, node), after);
    }
    for path in
        ["", "/", "/api/v2/version?x", "/api/v2/tenants/collections/databases/d/other/x/y", "no/slash"]
    {
        assert_eq!(with_collection(path, node), path);
    }
}

#[test]
fn a_name_becomes_a_path_that_means_the_same() {
    let path = collection_by_name_path("a b", "c%d", "é:?#");
    assert_eq!(
        classify("GET", &path),
        Route::Read(Read::CollectionByName {
            tenant: "a b".into(),
            database: "c%d".into(),
            name: "é:?#".into()
        })
    );
}

fn any_segment() -> impl Strategy<Value = String> {
    let words = "api|v1|v2|tenants|databases|collections|by-id|add|get|delete|fork|functions|attach|conditional|reset|docs|collections_count|a:b:c|%2F|%00|%ff|\\.\\.|";
    prop_oneof![6 => words, 2 => Just(ID.to_owned()), 2 => ".{0,6}", 1 => "[%0-9a-f{}:-]{0,40}"]
}

fn any_path() -> impl Strategy<Value = String> {
    let below = prop::collection::vec(any_segment(), 0..6).prop_map(|rest| collection(&rest.join("/")));
    let anywhere =
        prop::collection::vec(any_segment(), 0..16).prop_map(|rest| format!("/{}", rest.join("/")));
    prop_oneof![4 => below, 4 => anywhere, 1 => any::<String>()]
}

/// The paths whose `POST` is a read.
fn is_post_read(path: &str) -> bool {
    ["/get", "/query", "/search"].iter().any(|verb| path.ends_with(verb)) && path.contains("/collections/")
}

proptest! {
    #[test]
    fn nothing_that_may_change_a_node_is_taken_for_a_read(method in "[A-Za-z]{0,7}|POST|PUT|PATCH|DELETE", path in any_path()) {
        let safe = matches!(&*method, "GET" | "HEAD" | "OPTIONS");
        match classify(&method, &path) {
            Route::Read(Read::Records { verb: RecordRead::Get | RecordRead::Query | RecordRead::Search, .. }) => {
                prop_assert!(method == "POST" && is_post_read(&path));
            }
            Route::Read(_) => prop_assert!(safe, "{} {}", method, path),
            Route::Write(_) => prop_assert!(!safe, "{} {}", method, path),
            Route::Refused(refusal) => prop_assert!((400..=599).contains(&refusal.status())),
            Route::V1 => prop_assert!(path.starts_with("/api/v1")),
        }
    }

    #[test]
    fn the_same_request_with_another_id_is_the_same_route(
        template in prop::sample::select(KNOWN), method in prop::sample::select(&METHODS[..]), query in "(\\?.{0,20})?", node in any::<u128>()
    ) {
        let node = Uuid::from_u128(node);
        let path = filled(template.0);
        prop_assume!(path.contains(ID));
        let spelt = with_collection(&format!("{path}{query}"), node);
        prop_assert!(spelt.ends_with(&query));
        let spelt_path = &spelt[..spelt.len() - query.len()];
        prop_assert_eq!(spelt_path, path.replace(ID, &node.to_string()));
        prop_assert_eq!(classify(method, spelt_path).label(), classify(method, &path).label());
    }

    #[test]
    fn rendering_never_fails(path in ".{0,60}", node in any::<u128>()) {
        with_collection(&path, Uuid::from_u128(node));
    }
}
