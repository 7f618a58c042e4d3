//! Is a node with an emptied disk, or one that was never seen, given everything anew while writes go
//! on, and never trusted before?

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::chaos::Mode;
use crate::harness::client::exchange;
use crate::harness::nodes::collections_url;
use crate::harness::surface::{node_state, until_state};
use crate::harness::{Options, Stack, assert_nodes_equal, delete, get, post, put, until};

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
    all_up(&stack).await;
}

#[tokio::test]
async fn a_replica_that_lost_its_disk_is_rebuilt() {
    loses_its_disk(1).await;
}

#[tokio::test]
async fn a_primary_that_lost_its_disk_is_rebuilt() {
    loses_its_disk(0).await;
}

async fn all_up(stack: &Stack) {
    until(SOON, "every node is up", async || {
        get(&format!("{}/health", stack.url())).await.1["status"] == "healthy"
    })
    .await;
}

#[tokio::test]
async fn an_empty_node_is_not_asked_for_what_was_deleted_while_it_was_away() {
    let mut stack = Stack::start(Options::default()).await;
    let (docs, brief) = (create(&stack, "docs").await, create(&stack, "brief").await);
    upsert(&stack, &docs, 0, 50).await;
    upsert(&stack, &brief, 0, 5).await;
    assert_nodes_equal(&stack, "brief", SOON).await;
    stack.nodes[1].wipe().unwrap();
    let collections = collections_url(&stack.url());
    let renamed = put(&format!("{collections}/{brief}"), &json!({ "new_name": "shorter" })).await;
    assert_eq!(renamed.0, 200, "{renamed:?}");
    assert_eq!(delete(&format!("{collections}/shorter")).await.0, 200);
    create(&stack, "later").await;
    stack.nodes[1].start_again().await.unwrap();
    all_up(&stack).await;
    assert_nodes_equal(&stack, "docs", SOON).await;
}

/// The delete ran on the only node that had the collection, and nobody heard of it; then the balancer
/// died, and the other node lost its disk.
#[tokio::test]
async fn what_a_delete_took_away_unheard_is_not_taken_for_lost() {
    let mut stack = Stack::start(Options { chaos: true, ..Options::default() }).await;
    let (docs, doomed) = (create(&stack, "docs").await, create(&stack, "doomed").await);
    upsert(&stack, &docs, 0, 50).await;
    upsert(&stack, &doomed, 0, 5).await;
    assert_nodes_equal(&stack, "doomed", SOON).await;
    stack.nodes[0].wipe().unwrap();
    let name = format!("{}/doomed", collections_url(&stack.url()));
    until(SOON, "the replica acts", async || get(&name).await.0 == 200).await;
    let head = async || get(&format!("{}/wal/status", stack.url())).await.1["head"].as_u64();
    let before = head().await;
    stack.links().nodes[1].set(Mode::BlackHole).await;
    let asked = name.clone();
    let unheard = tokio::spawn(async move { exchange(Method::DELETE, &asked, None).await.map(drop) });
    until(SOON, "the delete is logged", async || head().await > before).await;
    stack.balancer.kill9();
    let _ = unheard.await;
    assert_eq!(delete(&format!("{}/doomed", collections_url(&stack.nodes[1].url()))).await.0, 200);
    stack.links().nodes[1].set(Mode::Pass).await;
    stack.nodes[0].start_again().await.unwrap();
    stack.balancer.start_again().await;
    all_up(&stack).await;
    assert_eq!(get(&name).await.0, 404);
    assert_nodes_equal(&stack, "docs", SOON).await;
}

/// The delete ran on the only node that is up, and nobody heard of it. The other one still has the collection: it
/// may be away for days, and is not waited for.
async fn deletes_unheard(killed: bool) {
    let mut stack = Stack::start(Options { chaos: true, ..Options::default() }).await;
    let (docs, doomed) = (create(&stack, "docs").await, create(&stack, "doomed").await);
    upsert(&stack, &docs, 0, 50).await;
    upsert(&stack, &doomed, 0, 5).await;
    assert_nodes_equal(&stack, "doomed", SOON).await;
    stack.nodes[1].kill9();
    until_state(&stack.url(), "replica-1", "down").await;
    let name = format!("{}/doomed", collections_url(&stack.url()));
    let head = async || get(&format!("{}/wal/status", stack.url())).await.1["head"].as_u64();
    let before = head().await;
    stack.links().nodes[0].set(Mode::BlackHole).await;
    let asked = name.clone();
    let unheard = tokio::spawn(async move { exchange(Method::DELETE, &asked, None).await.map(drop) });
    until(SOON, "the delete is logged", async || head().await > before).await;
    if killed {
        stack.balancer.kill9();
        let _ = unheard.await;
    } else {
        until_state(&stack.url(), "primary", "down").await;
    }
    assert_eq!(delete(&format!("{}/doomed", collections_url(&stack.nodes[0].url()))).await.0, 200);
    stack.links().nodes[0].set(Mode::Pass).await;
    if killed {
        stack.balancer.start_again().await;
    }
    until(SOON, "the delete is judged", async || get(&name).await.0 == 404).await;
    upsert(&stack, &docs, 50, 5).await;
    assert_eq!(count(&stack, &docs).await, 55);
    assert_eq!(node_state(&stack.url(), "replica-1").await, "down");
    stack.nodes[1].start_again().await.unwrap();
    all_up(&stack).await;
    assert_nodes_equal(&stack, "docs", SOON).await;
    assert_eq!(get(&format!("{}/doomed", collections_url(&stack.nodes[1].url()))).await.0, 404);
}

#[tokio::test]
async fn a_delete_of_a_killed_balancer_is_judged_without_the_node_that_is_away() {
    deletes_unheard(true).await;
}

#[tokio::test]
async fn a_delete_without_an_answer_is_judged_without_the_node_that_is_away() {
    deletes_unheard(false).await;
}

/// As if it had come back with an empty disk between two probes: nobody has noticed.
async fn loses_unnoticed(node: usize) -> (Stack, String) {
    let stack = Stack::start(Options::default()).await;
    let docs = create(&stack, "docs").await;
    upsert(&stack, &docs, 0, 20).await;
    assert_nodes_equal(&stack, "docs", SOON).await;
    assert_eq!(delete(&format!("{}/docs", collections_url(&stack.nodes[node].url()))).await.0, 200);
    (stack, docs)
}

#[tokio::test]
async fn what_a_primary_lost_unnoticed_is_not_made_anew() {
    let (stack, docs) = loses_unnoticed(0).await;
    let again = json!({ "name": "docs", "get_or_create": true });
    let (status, made) = post(&collections_url(&stack.url()), &again).await;
    assert_eq!((status, made["id"].as_str()), (200, Some(&*docs)), "{made}");
    create(&stack, "later").await;
    assert_eq!(count(&stack, &docs).await, 20);
    all_up(&stack).await;
    assert_nodes_equal(&stack, "docs", SOON).await;
    assert_nodes_equal(&stack, "later", SOON).await;
}

#[tokio::test]
async fn what_a_node_lost_unnoticed_is_read_elsewhere_and_copied() {
    for node in [0, 1] {
        let (stack, docs) = loses_unnoticed(node).await;
        for _ in 0..30 {
            assert_eq!(count(&stack, &docs).await, 20);
        }
        all_up(&stack).await;
        assert_nodes_equal(&stack, "docs", SOON).await;
    }
}
