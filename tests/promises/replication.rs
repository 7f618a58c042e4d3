//! Does every kind of write end equal on all nodes soon after its answer, and as on one bare Chroma
//! that was sent the same requests? Contents are read from the nodes themselves; answers are compared.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::nodes::{read, until};
use crate::harness::{Options, Twin, assert_nodes_equal};

/// Milliseconds on a quiet machine; a second more for a busy one.
const SOON: Duration = Duration::from_secs(2);

const PLACES: [(&str, &str); 3] =
    [("default_tenant", "default_database"), ("default_tenant", "side"), ("guests", "rooms")];

/// Little-endian, as both official clients send it.
fn packed(vector: &[f32]) -> String {
    BASE64_STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// Verb, request and status, in an order in which each builds on those before.
fn record_history() -> Vec<(&'static str, Value, u16)> {
    let packed_two = [packed(&[0.5, -0.25, 8.0]), packed(&[1.0, 1.0, 1.0])];
    vec![
        (
            "add",
            json!({"ids": ["a", "b", "c"], "embeddings": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
            "metadatas": [{"k": 1, "gone": "x", "f": 0.5}, {"k": 2, "t": true}, null],
            "documents": ["red apple", "green pear", null], "uris": ["file:///a", null, null]}),
            201,
        ),
        (
            "add",
            json!({"ids": ["a", "d"], "embeddings": [[9, 9, 9], [1, 0, 0]],
            "metadatas": [{"k": 99}, {"k": 4}], "documents": ["ignored", "blue plum"]}),
            201,
        ),
        (
            "upsert",
            json!({"ids": ["b", "e"], "embeddings": [[4, 4, 4], [2, 2, 2]],
            "metadatas": [{"t": false, "new": "n"}, {"k": 5}], "documents": ["green pear ripe", "fig"]}),
            200,
        ),
        ("update", json!({"ids": ["a"], "metadatas": [{"gone": null, "k": 10, "more": 2.5}]}), 200),
        (
            "update",
            json!({"ids": ["c", "missing"], "embeddings": [[3, 3, 3], [5, 5, 5]],
            "documents": ["late", "never"], "uris": ["file:///c", "file:///never"]}),
            200,
        ),
        ("update", json!({"ids": ["missing"], "documents": ["never"]}), 200),
        (
            "upsert",
            json!({"ids": ["x", "y"], "embeddings": packed_two, "metadatas": [{"k": 7}, {"k": 7}]}),
            200,
        ),
        ("add", json!({"ids": ["p", "p"], "embeddings": [[1, 1, 1], [2, 2, 2]]}), 201),
        (
            "upsert",
            json!({"ids": ["q", "q"], "embeddings": [[1, 1, 1], [2, 2, 2]],
            "metadatas": [{"one": 1}, {"two": 2}], "documents": ["first", "last"]}),
            200,
        ),
        ("update", json!({"ids": ["q", "q"], "metadatas": [{"one": null}, {"three": 3}]}), 200),
        ("delete", json!({"ids": ["d", "missing"]}), 200),
        ("delete", json!({"where": {"k": 7}}), 200),
        ("delete", json!({"where_document": {"$contains": "pear"}}), 200),
        ("delete", json!({"ids": ["a", "c"], "where": {"k": {"$gt": 5}}}), 200),
        ("delete", json!({"where": {"k": 12345}}), 200),
        (
            "add",
            json!({"ids": ["d", "a"], "embeddings": [[6, 6, 6], [7, 7, 7]], "documents": ["d again", "a again"]}),
            201,
        ),
        ("upsert", json!({"ids": ["bad"], "embeddings": [[1, 2]]}), 400),
        ("delete", json!({"ids": []}), 400),
    ]
}

#[tokio::test]
async fn every_record_write_ends_equal_on_all_nodes_and_as_on_a_bare_chroma() {
    let mut twin = Twin::start(Options::default()).await;
    twin.post("{}/collections", json!({"name": "docs"})).await;
    for (verb, body, expected) in record_history() {
        let step = format!("{verb} {body}");
        let (status, answer) = twin.write("docs", verb, body).await;
        assert_eq!(status, expected, "{step}: {answer}");
        assert_nodes_equal(&twin.stack, "docs", SOON).await;
        twin.assert_as_bare("docs", &step).await;
    }
    // Two of five: which two is Chroma's choice, and differs between servers that hold the same.
    let rows = json!({"ids": ["l1", "l2", "l3", "l4", "l5"], "embeddings": vec![[1, 1, 1]; 5],
        "metadatas": vec![json!({"limited": true}); 5]});
    twin.write("docs", "upsert", rows).await;
    let limited = json!({"where": {"limited": true}, "limit": 2});
    let (_, answer) = twin.write("docs", "delete", limited).await;
    assert_eq!(answer["deleted"], 2);
    assert_nodes_equal(&twin.stack, "docs", SOON).await;
    let left = read(&twin.stack.primary().url(), "docs").await.expect("records");
    assert_eq!(left.keys().filter(|id| id.starts_with('l')).count(), 3, "{left:?}");
}

async fn assert_catalogs_equal(twin: &Twin, after: &str) {
    let urls: Vec<String> = twin.stack.nodes.iter().map(|node| node.url()).collect();
    let bare = Twin::catalog(&twin.bare.url(), &PLACES).await;
    for url in urls {
        let what = format!("a node's catalog is the bare one's after {after}");
        let mut last = Value::Null;
        let begun = std::time::Instant::now();
        while last != bare && begun.elapsed() < SOON {
            last = Twin::catalog(&url, &PLACES).await;
        }
        assert_eq!(last, bare, "{what}");
    }
    assert_eq!(Twin::catalog(&twin.stack.url(), &PLACES).await, bare, "the balancer's, after {after}");
}

type CatalogStep = (Method, &'static str, Option<Value>, u16);

fn catalog_history() -> Vec<CatalogStep> {
    let (post, put, patch, delete) = (Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let hnsw = json!({"hnsw": {"space": "cosine", "ef_construction": 90}});
    let search = json!({"new_configuration": {"hnsw": {"ef_search": 55}}});
    vec![
        (post.clone(), "{}/collections", Some(json!({"name": "one", "metadata": {"owner": "me"}})), 200),
        (post.clone(), "{}/collections", Some(json!({"name": "one"})), 409),
        (post.clone(), "{}/collections", Some(json!({"name": "one", "get_or_create": true})), 200),
        (post.clone(), "{}/collections", Some(json!({"name": "two", "get_or_create": true})), 200),
        (post.clone(), "{}/collections", Some(json!({"name": "three", "configuration": hnsw})), 200),
        (post.clone(), "{}/collections", Some(json!({"name": "x"})), 400),
        (put.clone(), "{}/collections/{one}", Some(json!({"new_name": "uno"})), 200),
        (put.clone(), "{}/collections/{one}", Some(json!({"new_metadata": {"owner": "you", "n": 1}})), 200),
        (put.clone(), "{}/collections/{three}", Some(search), 200),
        (put, "{}/collections/{two}", Some(json!({"new_name": "uno"})), 500),
        (delete.clone(), "{}/collections/two", None, 200),
        (delete.clone(), "{}/collections/two", None, 404),
        (post.clone(), "tenants", Some(json!({"name": "guests"})), 200),
        (post.clone(), "tenants", Some(json!({"name": "guests"})), 409),
        (patch, "tenants/guests", Some(json!({"resource_name": "wing"})), 200),
        (post.clone(), "tenants/guests/databases", Some(json!({"name": "rooms"})), 200),
        (post.clone(), "tenants/guests/databases", Some(json!({"name": "rooms"})), 409),
        (post.clone(), "tenants/default_tenant/databases", Some(json!({"name": "side"})), 200),
        (post.clone(), "tenants/guests/databases/rooms/collections", Some(json!({"name": "one"})), 200),
        (delete.clone(), "tenants/default_tenant/databases/side", None, 200),
        (delete, "tenants/default_tenant/databases/side", None, 404),
    ]
}

#[tokio::test]
async fn every_catalog_write_ends_equal_on_all_nodes_and_as_on_a_bare_chroma() {
    let mut twin = Twin::start(Options { allow_reset: true, ..Options::default() }).await;
    for (method, path, body, expected) in catalog_history() {
        let step = format!("{method} {path} {body:?}");
        let (status, answer) = twin.send(method, path, body).await;
        assert_eq!(status, expected, "{step}: {answer}");
        assert_catalogs_equal(&twin, &step).await;
    }
    twin.post("{}/collections", json!({"name": "kept"})).await;
    twin.write("kept", "add", json!({"ids": ["a"], "embeddings": [[1, 2]]})).await;
    let (status, answer) = twin.post("reset", json!({})).await;
    assert_eq!(status, 200, "{answer}");
    assert_catalogs_equal(&twin, "reset").await;
    // The same name again starts empty, and the old id is gone everywhere.
    let (status, answer) = twin.write("kept", "count", json!({})).await;
    assert_eq!(status, 405, "{answer}");
    let (status, answer) = twin.write("kept", "get", json!({})).await;
    assert_eq!(status, 404, "{answer}");
    twin.post("{}/collections", json!({"name": "kept"})).await;
    twin.write("kept", "add", json!({"ids": ["b"], "embeddings": [[1, 2, 3]]})).await;
    assert_nodes_equal(&twin.stack, "kept", SOON).await;
    twin.assert_as_bare("kept", "the reset").await;
}

/// The second that is promised, seen from the acknowledgement: the replica shows the write.
#[tokio::test]
async fn an_acknowledged_write_is_on_the_replica_within_a_second() {
    let mut twin = Twin::start(Options::default()).await;
    twin.post("{}/collections", json!({"name": "quick"})).await;
    let replica = twin.stack.replica().url();
    for n in 0..10 {
        let id = format!("r{n}");
        twin.write("quick", "add", json!({"ids": [id], "embeddings": [[n, 1]]})).await;
        let there = async || read(&replica, "quick").await.is_ok_and(|records| records.contains_key(&id));
        until(SOON, "the replica shows the write", there).await;
    }
}
