//! Is a node with an emptied disk, or one that was never seen, given everything anew while writes go
//! on, and never trusted before?

use std::time::Duration;

use serde_json::json;

use crate::harness::nodes::collections_url;
use crate::harness::stack::start_nodes;
use crate::harness::{Options, Stack, assert_nodes_equal, get, post, until};

const SOON: Duration = Duration::from_secs(60);

async fn create(stack: &Stack, name: &str) -> String {
    let (status, made) = post(&collections_url(&stack.url()), &json!({ "name": name })).await;
    assert_eq!(status, 200, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

async fn upsert(stack: &Stack, id: &str, from: usize, count: usize) {
    let ids: Vec<usize> = (from..from + count).collect();
    let body = json!({
        "ids": ids.iter().map(|n| format!("r{n}")).collect::<Vec<_>>(),
        "embeddings": ids.iter().map(|n| [*n as f32, 0.5]).collect::<Vec<_>>(),
        "documents": ids.iter().map(|n| format!("text {n}")).collect::<Vec<_>>(),
    });
    let (status, answer) = post(&format!("{}/{id}/upsert", collections_url(&stack.url())), &body).await;
    assert_eq!(status, 200, "{answer}");
}

/// Every read in between must show everything acknowledged, whichever node answers.
async fn count(stack: &Stack, id: &str) -> u64 {
    let (status, count) = get(&format!("{}/{id}/count", collections_url(&stack.url()))).await;
    assert_eq!(status, 200, "{count}");
    count.as_u64().unwrap()
}

async fn loses_its_disk(node: usize) {
    let mut stack = Stack::start(Options::default()).await;
    let (docs, notes) = (create(&stack, "docs").await, create(&stack, "notes").await);
    upsert(&stack, &docs, 0, 400).await;
    upsert(&stack, &notes, 0, 30).await;
    assert_nodes_equal(&stack, "docs", SOON).await;
    stack.nodes[node].wipe().unwrap();
    upsert(&stack, &docs, 400, 20).await;
    stack.nodes[node].start_again().await.unwrap();
    for n in 0..30 {
        upsert(&stack, &docs, 420 + n, 1).await;
        assert_eq!(count(&stack, &docs).await, 421 + n as u64);
        assert_eq!(count(&stack, &notes).await, 30);
    }
    assert_nodes_equal(&stack, "docs", SOON).await;
    assert_nodes_equal(&stack, "notes", SOON).await;
    until(SOON, "every node is up", async || {
        get(&format!("{}/health", stack.url())).await.1["status"] == "healthy"
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_lost_its_disk_is_rebuilt() {
    loses_its_disk(1).await;
}

#[tokio::test]
async fn a_primary_that_lost_its_disk_is_rebuilt() {
    loses_its_disk(0).await;
}

#[tokio::test]
async fn a_third_node_joins() {
    let mut stack = Stack::start(Options::default()).await;
    let docs = create(&stack, "docs").await;
    upsert(&stack, &docs, 0, 300).await;
    let third = start_nodes(&stack.place, 3, false).await.pop().unwrap();
    let replicas = format!("{},{}", stack.nodes[1].url(), third.url());
    stack.balancer.set_env("REPLICA_URLS", &replicas);
    stack.balancer.set_env("REPLICA_URL", "");
    stack.balancer.stop().await;
    stack.balancer.start_again().await;
    stack.nodes.push(third);
    upsert(&stack, &docs, 300, 10).await;
    assert_nodes_equal(&stack, "docs", SOON).await;
}
