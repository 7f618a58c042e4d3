//! Requests and answers of the old API, as clients of its releases send and expect them.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::route::{Route, classify};

const ID: &str = "30164a8a-5144-4a36-8a9d-f6119f4afb1d";
const BASE: &str = "/api/v2/tenants/default_tenant/databases/default_database";

fn id() -> CollectionId {
    parse_collection_id(ID).unwrap()
}

/// As the front does it, in a catalog that holds `global` and a collection named like an id.
fn resolved(translated: Translated) -> Result<Translated, Refusal> {
    translated.resolve(
        |tenant, database, name| match (tenant, database, name) {
            ("default_tenant", "default_database", "global") => Some(id()),
            ("acme", "db1", "global") => Some(CollectionId(Uuid::from_u128(2))),
            _ => None,
        },
        |asked| {
            let place = || ("default_tenant".to_owned(), "default_database".to_owned(), "global".to_owned());
            (asked == id()).then(place)
        },
    )
}

fn v2(method: &str, path: &str, body: &str) -> Translated {
    resolved(translate(method, path, body.as_bytes()).unwrap()).unwrap()
}

fn refused(method: &str, path: &str, body: &str) -> Refusal {
    translate(method, path, body.as_bytes()).and_then(resolved).unwrap_err()
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn every_old_route_has_its_new_one() {
    let collection = format!("{BASE}/collections");
    let in_acme = "/api/v2/tenants/acme/databases/db1";
    for (method, old, new, label) in [
        ("GET", "", "/api/v2/heartbeat", "server"),
        ("GET", "/", "/api/v2/heartbeat", "server"),
        ("GET", "/heartbeat", "/api/v2/heartbeat", "server"),
        ("HEAD", "/heartbeat/", "/api/v2/heartbeat", "server"),
        ("GET", "/version", "/api/v2/version", "server"),
        ("GET", "/pre-flight-checks", "/api/v2/pre-flight-checks", "server"),
        ("POST", "/reset", "/api/v2/reset", "reset"),
        ("POST", "/tenants", "/api/v2/tenants", "create_tenant"),
        ("GET", "/tenants/a%20b", "/api/v2/tenants/a%20b", "get_tenant"),
        ("POST", "/databases?tenant=acme", "/api/v2/tenants/acme/databases", "create_database"),
        ("GET", "/databases/db1?tenant=acme", in_acme, "get_database"),
        ("GET", "/databases/db1", "/api/v2/tenants/default_tenant/databases/db1", "get_database"),
        ("GET", "/count_collections", &format!("{BASE}/collections_count"), "count_collections"),
        ("GET", "/collections", &collection, "list_collections"),
        (
            "GET",
            "/collections/?tenant=acme&database=db1&limit=2&offset=&x=y",
            &format!("{in_acme}/collections?limit=2"),
            "list_collections",
        ),
        (
            "GET",
            "/collections?limit=2&offset=3",
            &format!("{collection}?limit=2&offset=3"),
            "list_collections",
        ),
        (
            "POST",
            "/collections?tenant=acme&database=db1",
            &format!("{in_acme}/collections"),
            "create_collection",
        ),
        ("GET", "/collections/global", &format!("{collection}/global"), "get_collection"),
        ("GET", &format!("/collections/{ID}"), &format!("{collection}/global"), "get_collection"),
        ("GET", "/collections/none", &format!("{collection}/none"), "get_collection"),
        ("PUT", &format!("/collections/{ID}"), &format!("{collection}/{ID}"), "modify_collection"),
        ("PUT", "/collections/global", &format!("{collection}/{ID}"), "modify_collection"),
        ("DELETE", "/collections/global", &format!("{collection}/global"), "delete_collection"),
        ("DELETE", &format!("/collections/{ID}"), &format!("{collection}/global"), "delete_collection"),
        ("POST", "/collections/global/add", &format!("{collection}/{ID}/add"), "add"),
        ("POST", "/collections/global/update", &format!("{collection}/{ID}/update"), "update"),
        ("POST", "/collections/global/upsert/", &format!("{collection}/{ID}/upsert"), "upsert"),
        ("POST", "/collections/global/get", &format!("{collection}/{ID}/get"), "get"),
        ("POST", &format!("/collections/{ID}/query"), &format!("{collection}/{ID}/query"), "query"),
        ("GET", "/collections/global/count", &format!("{collection}/{ID}/count"), "count"),
        (
            "POST",
            "/collections/global/add?tenant=acme&database=db1",
            "/api/v2/tenants/acme/databases/db1/collections/00000000-0000-0000-0000-000000000002/add",
            "add",
        ),
        ("OPTIONS", "/collections/global/add", "/api/v2/heartbeat", "server"),
    ] {
        let found = v2(method, &format!("/api/v1{old}"), "{}");
        assert_eq!((found.method, found.path_and_query.as_str()), (method, new), "{method} {old}");
        let path = found.path_and_query.split('?').next().unwrap();
        assert_eq!(classify(found.method, path).label(), label, "{method} {old}");
        assert_eq!(found.collection, None);
    }
}

#[test]
fn deleting_by_ids_in_a_named_collection_works() {
    let found = v2("POST", "/api/v1/collections/global/delete", r#"{"ids":["a","b"]}"#);
    assert_eq!(found.path_and_query, format!("{BASE}/collections/{ID}/delete"));
    assert_eq!(json_of(&found.body), json!({"ids": ["a", "b"]}));
    let (status, body) = shape(&found.shape, Caller::Other, 200, br#"{"deleted":2}"#);
    assert_eq!((status, json_of(&body)), (200, json!(["a", "b"])));
}

#[test]
fn a_name_that_looks_like_an_id_wins_where_names_belong() {
    let asked = translate("DELETE", &format!("/api/v1/collections/{ID}"), b"").unwrap();
    let found = asked
        .resolve(
            |_, _, name| (name == ID).then(|| CollectionId(Uuid::from_u128(9))),
            |_| Some(("t".to_owned(), "d".to_owned(), "other".to_owned())),
        )
        .unwrap();
    assert_eq!(found.path_and_query, format!("{BASE}/collections/{ID}"));
}

#[test]
fn what_no_release_knew_is_refused() {
    for (method, path, refusal) in [
        ("GET", "/auth/identity", Refusal::UnknownRoute),
        ("GET", "/nope", Refusal::UnknownRoute),
        ("GET", "/collections//count", Refusal::UnknownRoute),
        ("GET", "//", Refusal::UnknownRoute),
        ("GET", "/collections/global/peek", Refusal::UnknownRoute),
        ("GET", "x", Refusal::UnknownRoute),
        ("POST", "x", Refusal::UnknownMutation),
        ("POST", "/raw_sql", Refusal::UnknownMutation),
        ("POST", "/collections/global/create_index", Refusal::UnknownMutation),
        ("DELETE", "/databases", Refusal::MethodNotAllowed { allow: "POST" }),
        ("POST", "/heartbeat", Refusal::MethodNotAllowed { allow: "GET,HEAD" }),
        ("PATCH", "/collections/global", Refusal::MethodNotAllowed { allow: "GET,HEAD,PUT,DELETE" }),
        ("GET", "/collections/global/add", Refusal::MethodNotAllowed { allow: "POST" }),
        ("GET", "/collections/..", Refusal::MalformedPath(PathFault::DotSegment)),
        ("GET", "/collections?tenant=..", Refusal::MalformedPath(PathFault::DotSegment)),
        ("GET", "/collections?tenant=a/b", Refusal::MalformedPath(PathFault::EncodedSlash)),
        ("GET", "/collections?tenant=%ff", Refusal::MalformedPath(PathFault::InvalidUtf8)),
        ("POST", "/collections/none/add", Refusal::NoSuchCollection("none".into())),
        ("PUT", "/collections/none", Refusal::NoSuchCollection("none".into())),
    ] {
        assert_eq!(refused(method, &format!("/api/v1{path}"), "{}"), refusal, "{method} {path}");
    }
    let missing = Refusal::NoSuchCollection("none".into());
    assert_eq!((missing.status(), missing.error()), (400, "InvalidCollection"));
    assert_eq!(missing.message(), "Collection none does not exist.");
}

#[test]
fn bodies_say_in_v2_what_they_said() {
    let global = "/api/v1/collections/global";
    for (method, path, old, new) in [
        (
            "POST",
            format!("{global}/get"),
            json!({"ids": null, "where": {}, "sort": null, "limit": null, "offset": null, "where_document": {}, "include": ["metadatas", "data", "uris"]}),
            json!({"ids": null, "limit": null, "offset": null, "include": ["metadatas", "uris"]}),
        ),
        (
            "POST",
            format!("{global}/query"),
            json!({"query_embeddings": [[1, 2.5]], "n_results": 3, "where": {"k": {"$eq": {}}}, "where_document": null, "include": null}),
            json!({"query_embeddings": [[1, 2.5]], "n_results": 3, "where": {"k": {"$eq": {}}}, "where_document": null}),
        ),
        (
            "POST",
            format!("{global}/delete"),
            json!({"ids": ["a"], "where": {}, "where_document": {}}),
            json!({"ids": ["a"]}),
        ),
        (
            "POST",
            "/api/v1/collections".to_owned(),
            json!({"name": "c", "metadata": {}, "configuration": null, "get_or_create": true}),
            json!({"name": "c", "configuration": null, "get_or_create": true}),
        ),
        (
            "POST",
            "/api/v1/collections".to_owned(),
            json!({"name": "c", "metadata": {"a": 1}, "configuration": {"hnsw_configuration": {
                "space": "cosine", "ef_construction": 50, "ef_search": 9, "num_threads": 64, "M": 8, "resize_factor": 1.5,
                "batch_size": 10, "sync_threshold": 20, "_type": "HNSWConfigurationInternal"
            }, "_type": "CollectionConfigurationInternal"}}),
            json!({"name": "c", "metadata": {"a": 1}, "configuration": {"hnsw": {
                "space": "cosine", "ef_construction": 50, "ef_search": 9, "max_neighbors": 8, "resize_factor": 1.5,
                "batch_size": 10, "sync_threshold": 20
            }}}),
        ),
        (
            "POST",
            "/api/v1/collections".to_owned(),
            json!({"name": "c", "metadata": {"hnsw:space": "ip"}, "configuration": {"hnsw_configuration": {"space": "l2"}}}),
            json!({"name": "c", "metadata": {"hnsw:space": "ip"}}),
        ),
        ("PUT", global.to_owned(), json!({"new_name": "d", "new_metadata": {}}), json!({"new_name": "d"})),
    ] {
        assert_eq!(json_of(&v2(method, &path, &old.to_string()).body), new, "{path}");
    }
}

#[test]
fn writes_pass_byte_for_byte_and_numbers_keep_their_digits() {
    let odd = r#" {"ids": ["a"],"metadatas":[{"x":0.1000000000000000055}], "embeddings":[[1e-3]]}"#;
    for verb in ["add", "update", "upsert"] {
        assert_eq!(v2("POST", &format!("/api/v1/collections/global/{verb}"), odd).body, odd);
    }
    let found =
        v2("POST", "/api/v1/collections/global/get", r#"{"where":{"x":{"$gt":0.1000000000000000055}}}"#);
    assert_eq!(found.body, r#"{"where":{"x":{"$gt":0.1000000000000000055}}}"#);
    let (_, body) =
        shape(&Shape::Found, Caller::Other, 200, br#"{"metadatas":[{"x":0.1000000000000000055}]}"#);
    assert_eq!(body, r#"{"data":null,"metadatas":[{"x":0.1000000000000000055}]}"#);
}

#[test]
fn a_delete_of_nothing_in_particular_is_refused() {
    for body in ["{}", r#"{"ids":null,"where":{},"where_document":{ }}"#] {
        let refusal = refused("POST", "/api/v1/collections/global/delete", body);
        assert!(matches!(refusal, Refusal::MalformedBody(_)), "{body}");
        assert_eq!(refusal.status(), 400);
    }
    for body in ["", "[]", "null", "{", "\u{0}"] {
        for verb in ["get", "query", "delete"] {
            let refusal = refused("POST", &format!("/api/v1/collections/global/{verb}"), body);
            assert!(matches!(refusal, Refusal::MalformedBody(_)), "{body}");
        }
    }
}

#[test]
fn answers_look_old() {
    let deleted = Shape::Deleted { ids: Bytes::from_static(b"null") };
    for (asked, status, new, old) in [
        (Shape::Added, 201, json!({}), json!(true)),
        (Shape::Null, 200, json!({}), json!(null)),
        (Shape::Null, 202, json!({}), json!(null)),
        (deleted, 200, json!({"deleted": 7}), json!(null)),
        (Shape::Version, 200, json!("1.0.0"), json!("0.5.23")),
        (
            Shape::PreFlight,
            200,
            json!({"max_batch_size": 5461, "supports_base64_encoding": true}),
            json!({"max_batch_size": 5461}),
        ),
        (Shape::Tenant, 200, json!({"name": "t", "resource_name": null}), json!({"name": "t"})),
        (
            Shape::Found,
            200,
            json!({"ids": ["a"], "include": ["documents"]}),
            json!({"ids": ["a"], "included": ["documents"], "data": null}),
        ),
        (Shape::Records, 200, json!(3), json!(3)),
        (Shape::AsIs, 200, json!(true), json!(true)),
    ] {
        let (shaped, body) = shape(&asked, Caller::Other, status, new.to_string().as_bytes());
        assert_eq!((shaped, json_of(&body)), (status, old), "{asked:?}");
    }
}

#[test]
fn errors_bear_the_names_that_old_clients_know() {
    let not_found = json!({"error": "NotFoundError", "message": "Collection [x] does not exist"});
    let tenant = json!({"error": "NotFoundError", "message": "Tenant [x] not found"});
    let exists = json!({"error": "ChromaError", "message": "Collection [x] already exists"});
    let dimension = json!({"error": "InvalidArgumentError", "message": "Collection expecting embedding with dimension of 2, got 3"});
    for (asked, status, answer, old_status, old_error) in [
        (Shape::Collection, 404, &not_found, 400, "InvalidCollection"),
        (Shape::Null, 404, &not_found, 400, "InvalidCollection"),
        (Shape::Tenant, 404, &tenant, 404, "NotFoundError"),
        (Shape::Null, 404, &tenant, 404, "NotFoundError"),
        (Shape::Collection, 409, &exists, 409, "UniqueConstraintError"),
        (Shape::Added, 400, &dimension, 400, "InvalidDimension"),
    ] {
        let (status, body) = shape(&asked, Caller::Other, status, answer.to_string().as_bytes());
        assert_eq!((status, json_of(&body)["error"].as_str()), (old_status, Some(old_error)), "{asked:?}");
        assert_eq!(json_of(&body)["message"], answer["message"]);
    }
    assert_eq!(
        shape(&Shape::Added, Caller::Other, 413, b"too large"),
        (413, Bytes::from_static(b"too large"))
    );
}

/// The answer of Chroma 1.5.9, shortened.
fn collection_of_today() -> Value {
    json!({
        "id": ID, "name": "col", "metadata": {"a": 1}, "dimension": 2, "tenant": "t", "database": "d",
        "log_position": 0, "version": 0,
        "configuration_json": {"hnsw": {"space": "cosine", "ef_construction": 100, "ef_search": 100,
            "max_neighbors": 32, "resize_factor": 2, "sync_threshold": 50}, "spann": null, "embedding_function": null},
        "schema": {"defaults": {}, "keys": {"#embedding": {"float_list": {"vector_index": {"enabled": true,
            "config": {"space": "cosine", "hnsw": {"batch_size": 80, "num_threads": 2}}}}}}},
    })
}

fn collection_of_yore() -> Value {
    json!({
        "id": ID, "name": "col", "metadata": {"a": 1}, "dimension": 2, "tenant": "t", "database": "d", "version": 0,
        "configuration_json": {
            "hnsw_configuration": {"space": "cosine", "ef_construction": 100, "ef_search": 100, "M": 32,
                "resize_factor": 2.0, "batch_size": 50, "sync_threshold": 50, "_type": "HNSWConfigurationInternal"},
            "_type": "CollectionConfigurationInternal"},
    })
}

#[test]
fn a_collection_has_the_fields_that_its_reader_accepts() {
    let one = collection_of_today().to_string();
    let many = json!([collection_of_today(), collection_of_today()]).to_string();
    for caller in [Caller::Requests, Caller::Other] {
        let (_, body) = shape(&Shape::Collection, caller, 200, one.as_bytes());
        assert_eq!(json_of(&body), collection_of_yore());
    }
    let (_, body) = shape(&Shape::Collections, Caller::Other, 200, many.as_bytes());
    assert_eq!(json_of(&body), json!([collection_of_yore(), collection_of_yore()]));
    // Clients up to 0.5.0 pass a listed collection's fields on as arguments.
    let (_, body) =
        shape(&Shape::Collections, Caller::of(Some("python-requests/2.32.3")), 200, many.as_bytes());
    let plain = json!({"id": ID, "name": "col", "metadata": {"a": 1}, "tenant": "t", "database": "d"});
    assert_eq!(json_of(&body), json!([plain.clone(), plain]));
    assert_eq!(shape(&Shape::Collections, Caller::Other, 200, b"[]").1, "[]");
    assert_eq!(Caller::of(Some("python-httpx/0.27")), Caller::Other);
}

fn any_old_path() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "heartbeat|reset|tenants|databases|collections|count_collections|version|add|get|delete|count|query|global|upsert",
        1 => Just(ID.to_owned()),
        1 => "[%0-9a-f./?&=]{0,8}",
        1 => ".{0,5}",
    ];
    prop::collection::vec(word, 0..5).prop_map(|words| format!("/api/v1/{}", words.join("/")))
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"ids":["a"],"where":{}}"#.to_owned()),
        Just(
            r#"{"include":["data",1],"metadata":{"hnsw:x":1},"configuration":{"hnsw_configuration":7}}"#
                .to_owned()
        ),
        any::<String>(),
    ];
    prop_oneof![text.prop_map(String::into_bytes), any::<Vec<u8>>()]
}

proptest! {
    #[test]
    fn an_old_read_never_becomes_a_write(
        method in "GET|HEAD|OPTIONS|POST|PUT|DELETE|PATCH", path in any_old_path(), query in "(\\?.{0,30})?", body in any_body()
    ) {
        let Ok(found) = translate(&method, &format!("{path}{query}"), &body).and_then(resolved) else { return Ok(()) };
        prop_assert_eq!(found.method, method.as_str());
        let path = found.path_and_query.split('?').next().unwrap_or("");
        prop_assert!(path.starts_with("/api/v2/"));
        match classify(found.method, path) {
            Route::Read(_) => {}
            Route::Write(_) => prop_assert!(!matches!(&*method, "GET" | "HEAD" | "OPTIONS")),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn shaping_never_fails(status in 100u16..600, body in any_body()) {
        let shapes = [
            Shape::AsIs, Shape::Null, Shape::Added, Shape::Deleted { ids: Bytes::new() }, Shape::Found, Shape::Records,
            Shape::Collection, Shape::Collections, Shape::Tenant, Shape::PreFlight, Shape::Version,
        ];
        for asked in shapes {
            shape(&asked, Caller::Other, status, &body);
            shape(&asked, Caller::Requests, status, &body);
        }
    }
}
