//! With which releases of the Chroma server does the balancer work (G1, G2)? The same scenario on two servers of each, and on
//! two of different releases: every kind of write and read, the primary killed and replayed to, the replica's disk lost.
//! The oldest and the current one always; the others by
//! `cargo test --test promises -- --ignored compatibility`. The table is in docs/compatibility.md.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::stack::start_releases;
use crate::harness::status::{PATIENCE, state, until_all_up};
use crate::harness::{
    Options, Place, Stack, Verb, assert_nodes_equal, delete, get, node_records, post, put, shared, until,
};

#[tokio::test]
async fn the_oldest_release_works() {
    works_with(["1.0.0", "1.0.0"]).await;
}

#[tokio::test]
async fn the_current_release_works() {
    works_with(["1.5.9", "1.5.9"]).await;
}

#[tokio::test]
async fn different_releases_work_together() {
    works_with(["1.5.9", "1.0.0"]).await;
}

#[tokio::test]
#[ignore = "more releases: installs a server each"]
async fn the_older_release_acts_beside_the_current_one() {
    works_with(["1.0.0", "1.5.9"]).await;
}

#[tokio::test]
#[ignore = "more releases: installs a server each"]
async fn release_1_0_20_works() {
    works_with(["1.0.20", "1.0.20"]).await;
}

#[tokio::test]
#[ignore = "more releases: installs a server each"]
async fn release_1_1_1_works() {
    works_with(["1.1.1", "1.1.1"]).await;
}

#[tokio::test]
#[ignore = "more releases: installs a server each"]
async fn release_1_3_7_works() {
    works_with(["1.3.7", "1.3.7"]).await;
}

#[tokio::test]
#[ignore = "more releases: installs a server each"]
async fn release_1_4_1_works() {
    works_with(["1.4.1", "1.4.1"]).await;
}

/// It answers a deletion that is repeated with 500 and the look for a missing collection with 400: neither a replay nor a
/// copy can go on from there.
#[tokio::test]
#[ignore = "more releases: installs a server each"]
async fn release_0_6_3_is_told_to_be_too_old() {
    let place = Place::new("compatibility");
    let nodes = start_releases(&place, &["0.6.3"]).await;
    let check = Verb::of(&["check"]).env("PRIMARY_URL", nodes[0].url());
    let checked = check.env("DATABASE_URL", shared::database().await).ended().await;
    let told = checked.said();
    assert!(checked.code != 0 && told.contains("is Chroma 0.6.3, which is too old"), "{told}");
}

async fn works_with(releases: [&str; 2]) {
    let place = Place::new("compatibility");
    let nodes = start_releases(&place, &releases).await;
    let mut stack = Stack::over(place, nodes, Options::default()).await;
    until_all_up(&stack).await;
    what_is_announced_is_true_of_every_node(&stack).await;
    let kept = everything_once(&stack).await;
    assert_nodes_equal(&stack, "kept", PATIENCE).await;

    stack.primary().kill9();
    while_the_primary_is_away(&stack, &kept).await;
    stack.primary().start_again().await.expect("a second start");
    until_all_up(&stack).await;
    holds_what_was_written(&stack).await;

    stack.replica().wipe().expect("a wiped disk");
    let missed = async || state(&stack, "replica-1").await != "up";
    until(PATIENCE, "the replica is missed", missed).await;
    stack.replica().start_again().await.expect("a start on an empty disk");
    until_all_up(&stack).await;
    holds_what_was_written(&stack).await;
    let (_, log) = get(&format!("{}/wal/status", stack.url())).await;
    assert_eq!((&log["dead_letters"], &log["quarantined"]), (&json!([]), &json!([])), "{log}");
}

async fn what_is_announced_is_true_of_every_node(stack: &Stack) {
    let mut least: Option<(u64, bool)> = None;
    for node in &stack.nodes {
        let (size, base64) = announced(&node.url()).await;
        least = Some(least.map_or((size, base64), |(known, all)| (known.min(size), all && base64)));
    }
    // Whichever node a read goes to.
    for _ in 0..8 {
        assert_eq!(Some(announced(&stack.url()).await), least);
    }
}

/// The most records in one request, and whether embeddings may come as text.
async fn announced(url: &str) -> (u64, bool) {
    let (status, checks) = get(&format!("{url}/api/v2/pre-flight-checks")).await;
    assert_eq!(status, 200, "{checks}");
    let base64 = checks["supports_base64_encoding"].as_bool().unwrap_or_default();
    (checks["max_batch_size"].as_u64().expect("a number"), base64)
}

fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("r{n:03}")).collect()
}

fn vector(n: usize) -> [f32; 3] {
    [n as f32, (n % 7) as f32, 1.0]
}

fn records(range: std::ops::Range<usize>, text: &str) -> Value {
    json!({
        "ids": ids(range.clone()),
        "embeddings": range.clone().map(vector).collect::<Vec<_>>(),
        "metadatas": range.clone().map(|n| json!({"group": n % 3, "even": n % 2 == 0})).collect::<Vec<_>>(),
        "documents": range.map(|n| format!("{text} {n}")).collect::<Vec<_>>(),
    })
}

async fn created(stack: &Stack, name: &str, metadata: Value) -> String {
    let (status, made) =
        post(&collections_url(&stack.url()), &json!({"name": name, "metadata": metadata})).await;
    assert_eq!(status, 200, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

async fn asked(stack: &Stack, id: &str, verb: &str, body: Value) -> Value {
    let (status, answer) = post(&format!("{}/{id}/{verb}", collections_url(&stack.url())), &body).await;
    assert!(status == 200 || status == 201, "{verb}: {status} {answer}");
    answer
}

async fn everything_once(stack: &Stack) -> String {
    let base = collections_url(&stack.url());
    let id = created(stack, "first", json!({"owner": "me"})).await;
    created(stack, "gone", json!({"owner": "nobody"})).await;
    asked(stack, &id, "add", records(0..40, "text")).await;
    asked(stack, &id, "upsert", records(30..50, "again")).await;
    let twice = json!({"group": 9});
    let update = json!({"ids": ["r000", "nobody"], "metadatas": [twice, twice], "documents": ["new", "new"]});
    asked(stack, &id, "update", update).await;
    let near = json!({"query_embeddings": [[7.0, 0.0, 1.0]], "n_results": 1, "where": {"even": true}});
    assert_eq!(asked(stack, &id, "query", near).await["ids"], json!([["r008"]]));
    assert_eq!(asked(stack, &id, "get", json!({"where": {"group": 9}})).await["ids"], json!(["r000"]));
    asked(stack, &id, "delete", json!({"ids": ["r001", "nobody"]})).await;
    asked(stack, &id, "delete", json!({"where": {"group": 9}})).await;
    let (status, answer) =
        put(&format!("{base}/{id}"), &json!({"new_name": "kept", "new_metadata": {"owner": "you"}})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(delete(&format!("{base}/gone")).await.0, 200);
    assert_eq!(get(&format!("{base}/gone")).await.0, 404);
    assert_eq!(get(&format!("{base}/{id}/count")).await, (200, json!(48)));
    // As the clients send them to a server that announces it.
    let embedding = if announced(&stack.url()).await.1 {
        let bytes: Vec<u8> = vector(50).iter().flat_map(|value| value.to_le_bytes()).collect();
        json!(BASE64_STANDARD.encode(bytes))
    } else {
        json!(vector(50))
    };
    asked(stack, &id, "add", json!({"ids": ["r050"], "embeddings": [embedding]})).await;
    id
}

async fn while_the_primary_is_away(stack: &Stack, kept: &str) {
    asked(stack, kept, "add", records(60..80, "late")).await;
    asked(stack, kept, "upsert", records(45..50, "later")).await;
    asked(stack, kept, "update", json!({"ids": ["r003", "nobody"], "documents": ["newest", "newest"]})).await;
    asked(stack, kept, "delete", json!({"ids": ["r002"]})).await;
    asked(stack, kept, "delete", json!({"where": {"$and": [{"group": 0}, {"even": true}]}})).await;
    let late = created(stack, "late", json!({"owner": "me"})).await;
    asked(stack, &late, "add", records(0..5, "text")).await;
    assert_eq!(
        get(&format!("{}/{kept}/count", collections_url(&stack.url()))).await.1,
        json!(expected().len())
    );
}

/// What must be left of "kept".
fn expected() -> BTreeSet<String> {
    let deleted = |n: usize| n < 3 || (n != 50 && n.is_multiple_of(6));
    (0..51).chain(60..80).filter(|n| !deleted(*n)).map(|n| format!("r{n:03}")).collect()
}

async fn holds_what_was_written(stack: &Stack) {
    for name in ["kept", "late"] {
        assert_nodes_equal(stack, name, PATIENCE).await;
    }
    for node in &stack.nodes {
        let held = node_records(&node.url(), "kept").await;
        assert_eq!(held.keys().cloned().collect::<BTreeSet<_>>(), expected(), "{}", node.name());
        let text = |id: &str| held[id].2.clone();
        assert_eq!((text("r003"), text("r044")), (json!("newest"), json!("again 44")), "{}", node.name());
        assert_eq!((text("r047"), text("r061")), (json!("later 47"), json!("late 61")), "{}", node.name());
        assert_eq!(held["r050"].0, vector(50), "{}", node.name());
        assert_eq!(node_records(&node.url(), "late").await.len(), 5);
        let (_, kept) = get(&format!("{}/kept", collections_url(&node.url()))).await;
        assert_eq!(kept["metadata"], json!({"owner": "you"}), "{}", node.name());
        assert_eq!(get(&format!("{}/gone", collections_url(&node.url()))).await.0, 404, "{}", node.name());
    }
}
