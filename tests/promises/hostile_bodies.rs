//! What becomes of names, ids and bodies that no well-behaved client sends (G2, G8)? They are refused with a clear
//! 4xx and leave nothing, or they are kept alike by every node. None of them blames a node, waits in the log for
//! ever, or stands in the way of the next write.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::surface::{NODES, create, document, exchange, metric, records, until_quiet, upsert};
use crate::harness::{Options, Stack, assert_nodes_equal, get};

const SOON: Duration = Duration::from_secs(10);

const JSON: (&str, &str) = ("content-type", "application/json");

/// Larger than any name may be, and far below what a body may be.
const HUGE: usize = 10 << 20;

/// What somebody would like to stand in the log.
const FORGED: &str = "2026-01-01T00:00:00Z ERROR forged";

/// Names in JSON, as bytes: not all of them are text.
fn odd_names() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", b"".to_vec()),
        ("10 MiB", vec![b'n'; HUGE]),
        ("NUL", br"nam\u0000e".to_vec()),
        ("NUL as it is", b"nam\0e".to_vec()),
        ("half a pair", br"nam\ud800e".to_vec()),
        ("the other half", br"nam\udc00e".to_vec()),
        ("a pair the wrong way round", br"nam\udc00\ud800e".to_vec()),
        ("half a letter", b"nam\xc3".to_vec()),
        ("a line of the log", format!(r"nam\n{FORGED}").into_bytes()),
        ("a letter that is too long", b"nam\xc0\xaf".to_vec()),
    ]
}

/// What says nothing, or says it in no way that is JSON.
fn odd_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let record = |rest: &str| format!(r#"{{"ids":["odd"],"embeddings":[[1,2,3]]{rest}}}"#).into_bytes();
    vec![
        ("nothing", Vec::new()),
        ("null", b"null".to_vec()),
        ("half", record("")[..20].to_vec()),
        ("twice", [record(""), record("")].concat()),
        ("a mark of the order of bytes before it", [b"\xef\xbb\xbf".to_vec(), record("")].concat()),
        ("two bytes a letter", record("").iter().flat_map(|byte| [*byte, 0]).collect()),
        ("a million brackets", vec![b'['; 1_000_000]),
        (
            "a million brackets in a field",
            [br#"{"ids":["odd"],"more":"#.to_vec(), vec![b'['; 1_000_000]].concat(),
        ),
        ("the ids twice", record(r#","ids":["other"]"#)),
        ("a number that is none", br#"{"ids":["odd"],"embeddings":[[NaN,2,3]]}"#.to_vec()),
        ("a number that is too large", br#"{"ids":["odd"],"embeddings":[[1e400,2,3]]}"#.to_vec()),
        ("a dimension of none", br#"{"ids":["odd"],"embeddings":[[]]}"#.to_vec()),
        (
            "a deep filter",
            record(&format!(r#","metadatas":[{{"a":{}1{}}}]"#, "[".repeat(1_000), "]".repeat(1_000))),
        ),
    ]
}

/// A body around a name.
fn around(before: &str, name: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), name, after.as_bytes()].concat()
}

/// Status and text; panics if it is neither taken nor a mistake of the client's.
async fn tried(what: &str, method: &str, url: &str, body: Vec<u8>) -> u16 {
    let (status, _, text) = exchange(method, url, &[JSON], body).await;
    let shown: String = text.chars().take(300).collect();
    assert!((200..500).contains(&status) && status != 408, "{what}: {status} {shown}");
    assert!(text.lines().count() <= 1, "{what}: {status} {shown}");
    status
}

async fn assert_unharmed(stack: &Stack, id: &str) {
    let url = stack.url();
    upsert(&url, id, "last", "taken").await;
    assert_eq!(document(&url, id, "last").await, "taken");
    until_quiet(&url).await;
    let (_, wal) = get(&format!("{url}/wal/status")).await;
    assert_eq!((&wal["quarantined"], &wal["dead_letters"]), (&json!([]), &json!([])), "{wal}");
    for node in NODES {
        let changes = format!("chroma_ha_node_state_changes_total{{node=\"{node}\",to=\"suspect\"}}");
        assert_eq!(metric(&url, &changes).await, 0.0, "{node}");
    }
    let log = stack.balancer.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.lines().any(|line| line.starts_with(FORGED)), "{log}");
}

#[tokio::test]
async fn a_name_is_kept_by_every_node_or_by_none() {
    let stack = Stack::start(Options::default().env("PROBE_TIMEOUT", "20")).await;
    let url = stack.url();
    let id = create(&url, "steady").await;
    for (what, name) in odd_names() {
        for (kind, target) in [
            ("tenant", format!("{url}/api/v2/tenants")),
            ("database", format!("{url}/api/v2/tenants/default_tenant/databases")),
            ("collection", collections_url(&url)),
            ("collection of the old API", format!("{url}/api/v1/collections")),
        ] {
            let status =
                tried(&format!("{kind}: {what}"), "POST", &target, around(r#"{"name":""#, &name, r#""}"#))
                    .await;
            // Chroma takes any name of three letters for a tenant.
            assert!(
                status >= 400 || (kind, what) == ("tenant", "a line of the log"),
                "{kind}: {what}: {status}"
            );
        }
        let renamed = around(r#"{"new_name":""#, &name, r#""}"#);
        let status = tried(what, "PUT", &format!("{}/{id}", collections_url(&url)), renamed).await;
        assert!(status >= 400, "renamed to {what}: {status}");
    }
    let (_, all) = get(&collections_url(&url)).await;
    let names: Vec<&Value> = all.as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["steady"]);
    assert_unharmed(&stack, &id).await;
}

#[tokio::test]
async fn a_record_is_kept_by_every_node_alike_or_by_none() {
    let mut stack = Stack::start(Options::default().env("PROBE_TIMEOUT", "20")).await;
    let url = stack.url();
    let id = create(&url, "steady").await;
    upsert(&url, &id, "first", "there").await;
    let path = |verb: &str| format!("{}/{id}/{verb}", collections_url(&url));
    for (what, name) in odd_names() {
        let rest = r#""],"embeddings":[[1,2,3]],"documents":["odd"]}"#;
        tried(&format!("id: {what}"), "POST", &path("upsert"), around(r#"{"ids":[""#, &name, rest)).await;
        let changed = r#""],"documents":["changed"]}"#;
        tried(
            &format!("id changed: {what}"),
            "POST",
            &path("update"),
            around(r#"{"ids":[""#, &name, changed),
        )
        .await;
        for (field, before) in [
            ("document", r#"{"ids":["odd"],"embeddings":[[1,2,3]],"documents":[""#),
            ("uri", r#"{"ids":["odd"],"embeddings":[[1,2,3]],"uris":[""#),
        ] {
            tried(&format!("{field}: {what}"), "POST", &path("upsert"), around(before, &name, r#""]}"#))
                .await;
        }
        for (field, before, after) in [
            ("key", r#"{"ids":["odd"],"embeddings":[[1,2,3]],"metadatas":[{""#, r#"":1}]}"#),
            ("value", r#"{"ids":["odd"],"embeddings":[[1,2,3]],"metadatas":[{"a":""#, r#""}]}"#),
        ] {
            tried(&format!("{field}: {what}"), "POST", &path("upsert"), around(before, &name, after)).await;
        }
        let found = around(r#"{"where":{"a":""#, &name, r#""}}"#);
        tried(&format!("found by {what}"), "POST", &path("get"), found.clone()).await;
        tried(&format!("deleted by {what}"), "POST", &path("delete"), found).await;
        tried(&format!("deleted: {what}"), "POST", &path("delete"), around(r#"{"ids":[""#, &name, r#""]}"#))
            .await;
    }
    for verb in ["add", "upsert", "update", "delete", "get", "query"] {
        for (what, body) in odd_bodies() {
            tried(&format!("{verb}: {what}"), "POST", &path(verb), body).await;
        }
    }
    assert_nodes_equal(&stack, "steady", SOON).await;
    assert_unharmed(&stack, &id).await;
    let (status, answer) = records(&url, &id, "get", &json!({"ids": ["first"]})).await;
    assert_eq!((status, &answer["ids"]), (200, &json!(["first"])), "{answer}");
    stack.balancer.stop().await;
}
