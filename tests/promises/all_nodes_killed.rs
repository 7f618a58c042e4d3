//! What is left without any Chroma server? Writes of records: they are queued, said to be, and applied
//! in order on every node when the nodes come back, in whatever order.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::client::exchange;
use crate::harness::nodes::{Records, collections_url};
use crate::harness::stack::Options;
use crate::harness::status::{PATIENCE, pending, state};
use crate::harness::{Stack, assert_nodes_equal, node_records, post, until};

fn document(records: &Records, id: &str) -> Value {
    records.get(id).map_or(Value::Null, |(_, _, document, _)| document.clone())
}

async fn write(records: &str, verb: &str, body: Value, wanted: u16) {
    let answer = exchange(Method::POST, &format!("{records}/{verb}"), Some(&body)).await.expect("an answer");
    assert_eq!(answer.status, wanted, "{verb} {body}: {}", answer.body);
    assert!(answer.headers.contains_key("x-chroma-ha-write-id"));
}

async fn assert_asked_to_wait(url: &str, body: &Value) {
    let answer = exchange(Method::POST, url, Some(body)).await.expect("an answer");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.headers.contains_key("retry-after"));
}

fn row(id: &str, text: &str, number: f32) -> Value {
    json!({"ids": [id], "embeddings": [[number, 1.0]], "documents": [text]})
}

/// Last wins, a delete comes after its add, an update finds what was queued before it.
async fn queue(records: &str) -> usize {
    const UPSERTS: u8 = 20;
    for n in 0..UPSERTS {
        write(records, "upsert", row("last", &n.to_string(), f32::from(n)), 202).await;
    }
    write(records, "add", row("gone", "x", 1.0), 202).await;
    write(records, "delete", json!({"ids": ["gone", "before"]}), 202).await;
    write(records, "add", row("kept", "first", 2.0), 202).await;
    write(records, "add", row("kept", "second", 3.0), 202).await;
    write(records, "update", json!({"ids": ["kept", "gone"], "documents": ["third", "never"]}), 202).await;
    usize::from(UPSERTS) + 5
}

async fn all_are_killed_and_return(order: [usize; 2]) {
    let mut stack = Stack::start(Options::default().env("REQUEST_TIMEOUT", "5")).await;
    let base = collections_url(&stack.url());
    let made = post(&base, &json!({"name": "queued"})).await.1;
    let records = format!("{base}/{}", made["id"].as_str().expect("an id"));
    write(&records, "add", row("before", "b", 0.5), 201).await;
    until(PATIENCE, "all is applied", async || pending(&stack).await == 0).await;
    stack.nodes.iter_mut().for_each(|node| node.kill9());
    for name in ["primary", "replica-1"] {
        until(PATIENCE, "the node is seen to be down", async || state(&stack, name).await == "down").await;
    }
    let queued = queue(&records).await;
    assert_eq!(pending(&stack).await, queued as u64);
    assert_asked_to_wait(&base, &json!({"name": "no-one-makes-it"})).await;
    assert_asked_to_wait(&format!("{records}/get"), &json!({"ids": ["last"]})).await;
    assert_eq!(pending(&stack).await, queued as u64, "what was refused is not logged");
    stack.nodes[order[0]].start_again().await.expect("a start");
    until(Duration::from_secs(60), "reads show what was queued", async || {
        let (status, page) = post(&format!("{records}/get"), &json!({})).await;
        if status != 200 {
            return false;
        }
        assert_eq!(page["ids"].as_array().map(Vec::len), Some(2), "a read before its time: {page}");
        true
    })
    .await;
    assert_eq!(document(&node_records(&stack.nodes[order[0]].url(), "queued").await, "kept"), "third");
    stack.nodes[order[1]].start_again().await.expect("a start");
    until(PATIENCE, "all is applied", async || pending(&stack).await == 0).await;
    assert_nodes_equal(&stack, "queued", PATIENCE).await;
    let held = node_records(&stack.nodes[order[1]].url(), "queued").await;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["kept", "last"]);
    assert_eq!((document(&held, "kept"), document(&held, "last")), (json!("third"), json!("19")));
    assert_eq!(held["last"].0, [19.0, 1.0]);
    assert_eq!(post(&base, &json!({"name": "no-one-makes-it"})).await.0, 200);
}

#[tokio::test]
async fn what_was_queued_is_applied_in_order_when_the_primary_returns_first() {
    all_are_killed_and_return([0, 1]).await;
}

#[tokio::test]
async fn what_was_queued_is_applied_in_order_when_the_replica_returns_first() {
    all_are_killed_and_return([1, 0]).await;
}
