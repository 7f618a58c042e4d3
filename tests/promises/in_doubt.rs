//! Does a write that was given up, and is executed by a node much later, change anything in the end? The
//! log's outcome stands on every node, also when the late request comes after the node had settled and
//! had applied everything again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::late::LateProxy;
use crate::harness::nodes::read;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{
    NODES, create, document, node_state, records, total, until_quiet, until_state, upsert,
};
use crate::harness::{Options, Place, Stack, assert_nodes_equal, get, until};

const SOON: Duration = Duration::from_secs(60);

struct Delayed {
    stack: Stack,
    proxies: Vec<LateProxy>,
    docs: String,
}

/// Every node behind a proxy that can withhold one request; a node may take two seconds.
async fn delayed(nodes: usize) -> Delayed {
    let place = Place::new("late");
    let nodes = start_nodes(&place, nodes, false).await;
    let mut proxies = Vec::new();
    let mut options = Options::default().env("REQUEST_TIMEOUT", "2");
    for (at, node) in nodes.iter().enumerate() {
        let proxy = LateProxy::before(node.port()).await;
        options = options.env(["PRIMARY_URL", "REPLICA_URL"][at], &proxy.url());
        proxies.push(proxy);
    }
    let stack = Stack::over(place, nodes, options).await;
    for name in &NODES[..proxies.len()] {
        until_state(&stack.url(), name, "up").await;
    }
    let docs = create(&stack.url(), "docs").await;
    upsert(&stack.url(), &docs, "a", "zero").await;
    until_quiet(&stack.url()).await;
    Delayed { stack, proxies, docs }
}

async fn node_document(stack: &Stack, node: usize) -> Value {
    let records = read(&stack.nodes[node].url(), "docs").await.expect("records");
    records.get("a").map(|record| record.2.clone()).unwrap_or_default()
}

impl Delayed {
    /// Withholds the next write on this node; returns when it was given up there and the node has
    /// applied it again, with what came after it.
    async fn give_up_first_then_second(&self, node: usize) {
        let url = self.stack.url();
        self.proxies[node].withhold("the first");
        let body = json!({"ids": ["a"], "embeddings": [[1.0, 2.0, 3.0]], "documents": ["the first"]});
        // Alone, a node is waited for: what the client hears is another promise's.
        let (status, _) = records(&url, &self.docs, "upsert", &body).await;
        assert!([200, 202, 504].contains(&status), "{status}");
        until(SOON, "the request is withheld", async || self.proxies[node].is_held()).await;
        until(SOON, "it is given up", async || node_state(&url, NODES[node]).await != "up").await;
        upsert_until_taken(&url, &self.docs, "the second").await;
        until(SOON, "the node has applied both", async || {
            node_document(&self.stack, node).await == "the second"
        })
        .await;
    }

    async fn ends_with_second(&self) {
        let all = async || {
            for node in 0..self.stack.nodes.len() {
                if node_document(&self.stack, node).await != "the second" {
                    return false;
                }
            }
            true
        };
        until(SOON, "the log's outcome stands everywhere", all).await;
        assert_nodes_equal(&self.stack, "docs", SOON).await;
        assert_eq!(document(&self.stack.url(), &self.docs, "a").await, "the second");
    }
}

async fn upsert_until_taken(url: &str, docs: &str, text: &str) {
    let body = json!({"ids": ["a"], "embeddings": [[1.0, 2.0, 3.0]], "documents": [text]});
    until(SOON, "the write is taken", async || records(url, docs, "upsert", &body).await.0 == 200).await;
}

async fn late_on(node: usize, nodes: usize) {
    let delayed = delayed(nodes).await;
    delayed.give_up_first_then_second(node).await;
    let answer = delayed.proxies[node].deliver().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "executed late: {answer}");
    delayed.ends_with_second().await;
    let (_, status) = get(&format!("{}/wal/stats", delayed.stack.url())).await;
    let again = total(&status["chroma_ha_doubt_replays_total"]);
    assert!(again >= 1.0, "the log was applied again: {status}");
}

#[tokio::test]
async fn a_request_that_reaches_the_replica_after_everything_else_is_undone() {
    late_on(1, 2).await;
}

#[tokio::test]
async fn a_request_that_reaches_the_primary_after_everything_else_is_undone() {
    late_on(0, 2).await;
}

#[tokio::test]
async fn alone_a_node_ends_as_the_log_says() {
    late_on(0, 1).await;
}

/// The one that knew what it had given up is dead.
#[tokio::test]
async fn a_request_of_a_killed_balancer_is_undone_by_the_next_one() {
    let mut delayed = delayed(2).await;
    let url = delayed.stack.url();
    delayed.proxies[1].withhold("the first");
    upsert(&url, &delayed.docs, "a", "the first").await;
    until(SOON, "the request is withheld", async || delayed.proxies[1].is_held()).await;
    delayed.stack.balancer.kill9();
    delayed.stack.balancer.start_again().await;
    upsert_until_taken(&url, &delayed.docs, "the second").await;
    let there = async || node_document(&delayed.stack, 1).await == "the second";
    until(SOON, "the replica has applied both", there).await;
    let answer = delayed.proxies[1].deliver().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "executed late: {answer}");
    delayed.ends_with_second().await;
}

/// What is in the sockets of a stopped server is executed, or not, when it goes on.
#[tokio::test]
async fn what_a_stopped_node_executes_when_it_goes_on_changes_nothing() {
    let mut stack = Stack::start(Options::default()).await;
    for node in NODES {
        until_state(&stack.url(), node, "up").await;
    }
    let url = stack.url();
    let mut ids = Vec::new();
    for name in ["one", "two", "three", "four"] {
        ids.push(create(&url, name).await);
    }
    until_quiet(&url).await;
    for (stopped, node) in [(0, NODES[0]), (1, NODES[1])] {
        stack.nodes[stopped].sigstop();
        let writes = ids.iter().map(|id| upsert(&url, id, "a", "in the socket"));
        futures_util::future::join_all(writes).await;
        until_state(&url, node, "down").await;
        for id in &ids {
            upsert(&url, id, "a", &format!("after {node}")).await;
        }
        stack.nodes[stopped].sigcont();
        until_state(&url, node, "up").await;
        for name in ["one", "two", "three", "four"] {
            assert_nodes_equal(&stack, name, SOON).await;
            let held = read(&stack.nodes[stopped].url(), name).await.expect("records");
            assert_eq!(held["a"].2, json!(format!("after {node}")));
        }
    }
}
