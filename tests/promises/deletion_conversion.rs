//! Does a deletion reach the right records of two servers that were filled apart, with the same documents
//! under different record ids? Exactly as many go as the client deleted; what has no match stays and is
//! counted.

use std::time::Duration;

use serde_json::{Value, json};

use super::embedded::connect;
use crate::harness::nodes::{collections_url, node_records};
use crate::harness::stack::start_nodes;
use crate::harness::surface::{metric, records, until_quiet};
use crate::harness::{Options, Place, Stack, get, post, until};

const SOON: Duration = Duration::from_secs(60);

/// Document and content; two chunks of `a` are alike.
const CHUNKS: [(&str, &str); 7] =
    [("a", "one"), ("a", "same"), ("a", "same"), ("b", "one"), ("b", "two"), ("c", "one"), ("c", "two")];

/// The chunks under ids of the node's own; some ids mean another chunk on the other node.
async fn fill(url: &str, id: impl Fn(usize) -> String) -> String {
    let base = collections_url(url);
    let (status, made) = post(&base, &json!({"name": "docs"})).await;
    assert_eq!(status, 200, "{made}");
    let collection = made["id"].as_str().expect("an id").to_owned();
    let ids: Vec<String> = (0..CHUNKS.len()).map(id).collect();
    let body = json!({
        "ids": ids,
        "embeddings": vec![[1.0, 2.0]; CHUNKS.len()],
        "documents": CHUNKS.map(|(_, content)| content),
        "metadatas": CHUNKS.map(|(document, _)| json!({"document_id": document})),
    });
    let (status, answer) = post(&format!("{base}/{collection}/add"), &body).await;
    assert_eq!(status, 201, "{answer}");
    collection
}

async fn contents(url: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = node_records(url, "docs").await;
    let mut all: Vec<_> = all.values().map(|r| (text(&r.1["document_id"]), text(&r.2))).collect();
    all.sort();
    all
}

fn of(chunks: &[(&str, &str)]) -> Vec<(String, String)> {
    chunks.iter().map(|(d, c)| ((*d).to_owned(), (*c).to_owned())).collect()
}

async fn apart(options: Options) -> (Stack, String) {
    let place = Place::new("apart");
    let nodes = start_nodes(&place, 2, false).await;
    let docs = fill(&nodes[0].url(), |n| format!("r{n}")).await;
    // `r0` to `r6` are ids here, too, but of other chunks.
    fill(&nodes[1].url(), |n| format!("r{}", (n * 2 + 3) % 9)).await;
    (Stack::over(place, nodes, options).await, docs)
}

async fn until_followed(stack: &Stack) {
    until(SOON, "the replica follows under its own ids", async || {
        let (_, status) = get(&format!("{}/wal/status", stack.url())).await;
        status["other_ids"][0]["node"] == "replica-1"
    })
    .await;
}

async fn delete(stack: &Stack, docs: &str, body: Value) -> Value {
    let (status, answer) = records(&stack.url(), docs, "delete", &body).await;
    assert_eq!(status, 200, "{answer}");
    until_quiet(&stack.url()).await;
    answer
}

async fn converted(stack: &Stack, outcome: &str) -> f64 {
    let sample = format!("chroma_ha_deletion_conversions_total{{node=\"replica-1\",outcome=\"{outcome}\"}}");
    metric(&stack.url(), &sample).await
}

async fn assert_both(stack: &Stack, expected: &[(&str, &str)]) {
    for node in &stack.nodes {
        assert_eq!(contents(&node.url()).await, of(expected), "on {}", node.name());
    }
}

#[tokio::test]
async fn deletions_reach_the_same_documents_under_other_ids() {
    let (mut stack, docs) = apart(Options::default()).await;
    until_followed(&stack).await;
    // One of two chunks that are alike.
    assert_eq!(delete(&stack, &docs, json!({"ids": ["r1"]})).await, json!({"deleted": 1}));
    assert_both(&stack, &[CHUNKS[0], CHUNKS[1], CHUNKS[3], CHUNKS[4], CHUNKS[5], CHUNKS[6]]).await;
    // By a filter; then nothing that is nobody's id or document.
    assert_eq!(delete(&stack, &docs, json!({"where": {"document_id": "c"}, "limit": 1})).await["deleted"], 1);
    assert_eq!(delete(&stack, &docs, json!({"ids": ["nobody", "r1"]})).await, json!({"deleted": 2}));
    let (one, other) = (contents(&stack.nodes[0].url()).await, contents(&stack.nodes[1].url()).await);
    assert_eq!((one.len(), &one), (5, &other));
    // An id that names a document takes all its records, and Chroma's answer stays.
    assert_eq!(delete(&stack, &docs, json!({"ids": ["b"]})).await, json!({"deleted": 1}));
    let (one, other) = (contents(&stack.nodes[0].url()).await, contents(&stack.nodes[1].url()).await);
    assert_eq!((one.len(), &one), (3, &other));
    assert!(one.iter().all(|(document, _)| document != "b"), "{one:?}");
    let counted = [converted(&stack, "converted").await, converted(&stack, "by_document").await];
    assert_eq!((counted, converted(&stack, "unmatched").await), ([2.0, 2.0], 0.0));
    // Reads show the primary's ids only, also after the balancer was killed.
    stack.balancer.kill9();
    // As if no cursor had been flushed: the replica gets the whole log again.
    let client = connect(&stack.database_url).await;
    let back = "UPDATE wal_cursors SET applied_seq = 0 WHERE node = 'replica-1'";
    assert_eq!(client.execute(back, &[]).await.expect("a row"), 1);
    stack.balancer.start_again().await;
    until_quiet(&stack.url()).await;
    assert_eq!(contents(&stack.nodes[1].url()).await, one, "a repeated deletion takes nothing more");
    until_followed(&stack).await;
    assert_eq!(delete(&stack, &docs, json!({"ids": ["r0"]})).await, json!({"deleted": 1}));
    let (one, other) = (contents(&stack.nodes[0].url()).await, contents(&stack.nodes[1].url()).await);
    assert_eq!((one.len(), &one), (2, &other));
    for _ in 0..10 {
        let (status, count) = get(&format!("{}/{docs}/count", collections_url(&stack.url()))).await;
        assert_eq!((status, count), (200, json!(2)));
    }
}

#[tokio::test]
async fn what_has_no_match_is_left_and_counted() {
    let (stack, docs) = apart(Options::default()).await;
    until_followed(&stack).await;
    // The content changes on the primary: the replica has another record of that id, or none.
    let update = json!({"ids": ["r0"], "documents": ["changed"]});
    assert_eq!(records(&stack.url(), &docs, "update", &update).await.0, 200);
    until_quiet(&stack.url()).await;
    let before = contents(&stack.nodes[1].url()).await.len();
    assert_eq!(delete(&stack, &docs, json!({"ids": ["r0"]})).await, json!({"deleted": 1}));
    until(SOON, "it is counted", async || converted(&stack, "unmatched").await == 1.0).await;
    assert_eq!(contents(&stack.nodes[1].url()).await.len(), before);
    assert!(stack.balancer.log().contains("found no record of the same content"));
}

#[tokio::test]
async fn without_conversion_other_ids_are_other_data() {
    let (stack, docs) = apart(Options::default().env("WAL_DELETION_CONVERSION", "false")).await;
    until(SOON, "the conflict is shown", async || {
        let (_, status) = get(&format!("{}/wal/status", stack.url())).await;
        status["quarantined"][0]["stream"] == json!(docs)
    })
    .await;
    let (status, answer) = records(&stack.url(), &docs, "delete", &json!({"ids": ["r1"]})).await;
    assert_eq!((status, answer), (200, json!({"deleted": 1})));
    assert_eq!(contents(&stack.nodes[1].url()).await.len(), CHUNKS.len());
}
