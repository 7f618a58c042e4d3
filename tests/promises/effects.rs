//! Do writes whose effect depends on what is there end the same on a node that gets them late? An
//! `update` of a missing id before its `add`, and a `delete` that picks its records itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::surface::{NODES, RETURN, create, document, records, until_quiet, until_state};
use crate::harness::{Options, Stack, assert_nodes_equal, node_records};

const SOON: Duration = Duration::from_secs(5);

async fn taken(url: &str, id: &str, verb: &str, body: Value) -> Value {
    let (status, answer) = records(url, id, verb, &body).await;
    assert!(status == 200 || status == 201, "{verb}: {status} {answer}");
    answer
}

/// `m` is updated while nobody has it, then added: the update never happened.
async fn update_then_add(url: &str, id: &str, record: &str) {
    let early = json!({"ids": [record, "base"], "embeddings": [[9, 9], [8, 8]], "documents": ["early", "seen"],
        "metadatas": [{"from": "update"}, {"from": "update"}]});
    taken(url, id, "update", early).await;
    assert!(document(url, id, record).await.is_null());
    let add = json!({"ids": [record], "embeddings": [[1, 2]], "documents": ["added"],
        "metadatas": [{"from": "add"}]});
    taken(url, id, "add", add).await;
}

/// Twelve that match and one that does not; how many are asked for in three portions, and how many go.
async fn delete_some(url: &str, id: &str) {
    let ids: Vec<String> = (0..12).map(|n| format!("match{n}")).collect();
    let rows =
        json!({"ids": ids, "embeddings": vec![[1, 1]; 12], "metadatas": vec![json!({"old": true}); 12]});
    taken(url, id, "upsert", rows).await;
    for limit in [1, 3, 4] {
        let some = json!({"where": {"old": true}, "limit": limit});
        assert_eq!(taken(url, id, "delete", some).await["deleted"], limit);
    }
}

async fn assert_values(stack: &Stack, url: &str, id: &str) {
    for node in &stack.nodes {
        let held = node_records(&node.url(), "effects").await;
        for record in ["during", "before", "after"] {
            let (embedding, metadata, document, _) = &held[record];
            assert_eq!(embedding, &[1.0, 2.0], "{record} on {}", node.name());
            assert_eq!(metadata, &json!({"from": "add"}), "{record} on {}", node.name());
            assert_eq!(document, "added", "{record} on {}", node.name());
        }
        assert_eq!(held["base"].2, "seen");
        let left = held.keys().filter(|record| record.starts_with("match")).count();
        assert_eq!(left, 4, "on {}", node.name());
    }
    // The vector index knows the value of the add, too, whichever node is asked.
    let query = json!({"query_embeddings": [[1.0, 2.0]], "n_results": 3, "include": ["distances"]});
    for _ in 0..6 {
        let answer = taken(url, id, "query", query.clone()).await;
        assert_eq!(answer["distances"][0], json!([0.0, 0.0, 0.0]), "{answer}");
    }
}

async fn across_an_outage_of(node: usize) {
    let options = Options::default().env("LOAD_BALANCE_STRATEGY", "round_robin");
    let mut stack = Stack::start(options).await;
    let url = stack.url();
    let id = create(&url, "effects").await;
    taken(&url, &id, "add", json!({"ids": ["base"], "embeddings": [[0, 0]]})).await;
    update_then_add(&url, &id, "before").await;
    stack.nodes[node].kill9();
    update_then_add(&url, &id, "during").await;
    delete_some(&url, &id).await;
    stack.nodes[node].start_again().await.expect("the node again");
    update_then_add(&url, &id, "after").await;
    until_state(&url, NODES[node], "up").await;
    until_quiet(&url).await;
    assert_nodes_equal(&stack, "effects", SOON).await;
    assert_values(&stack, &url, &id).await;
    // A restart makes Chroma build its vector index again: nothing may change by that.
    for (node, name) in stack.nodes.iter_mut().zip(NODES) {
        node.stop().await;
        node.start_again().await.expect("the node again");
        until_state(&url, name, "up").await;
    }
    assert_nodes_equal(&stack, "effects", RETURN).await;
    assert_values(&stack, &url, &id).await;
}

#[tokio::test]
async fn the_replica_ends_like_the_primary_after_its_outage() {
    across_an_outage_of(1).await;
}

#[tokio::test]
async fn the_primary_ends_like_the_replica_after_its_outage() {
    across_an_outage_of(0).await;
}
