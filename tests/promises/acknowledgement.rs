//! Does `WRITE_ACK=all`, or the header of one request, mean that every node that is up has the write
//! when the client hears of it? Read from the replica itself, without waiting.

use serde_json::{Value, json};

use crate::harness::client::client;
use crate::harness::nodes::{collections_url, node_records};
use crate::harness::{Options, Stack, post};

async fn upsert(url: &str, n: usize, ack: Option<&str>) -> (u16, Value) {
    let body = json!({ "ids": [format!("r{n}")], "embeddings": [[n as f32, 1.0]] });
    let mut request = client().post(format!("{url}/upsert")).json(&body);
    if let Some(ack) = ack {
        request = request.header("x-chroma-ha-ack", ack);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn collection(stack: &Stack) -> String {
    let (status, made) = post(&collections_url(&stack.url()), &json!({ "name": "docs" })).await;
    assert_eq!(status, 200, "{made}");
    format!("{}/{}", collections_url(&stack.url()), made["id"].as_str().unwrap())
}

#[tokio::test]
async fn all_means_every_node_that_is_up() {
    let mut stack = Stack::start(Options::default().env("WRITE_ACK", "all")).await;
    let url = collection(&stack).await;
    for n in 0..20 {
        assert_eq!(upsert(&url, n, None).await.0, 200);
        let held = node_records(&stack.nodes[1].url(), "docs").await;
        assert_eq!(held.len(), n + 1, "the replica has every acknowledged write at once");
    }
    // A node that is down is not waited for.
    stack.replica().kill9();
    assert_eq!(upsert(&url, 20, None).await.0, 200);
}

#[tokio::test]
async fn one_request_may_ask_for_all() {
    let stack = Stack::start(Options::default()).await;
    let url = collection(&stack).await;
    for n in 0..20 {
        assert_eq!(upsert(&url, n, Some("all")).await.0, 200);
        assert_eq!(node_records(&stack.nodes[1].url(), "docs").await.len(), n + 1);
    }
    let (status, refusal) = upsert(&url, 99, Some("later")).await;
    assert_eq!(status, 400, "{refusal}");
    assert_eq!(node_records(&stack.nodes[0].url(), "docs").await.len(), 20, "a refused write is not applied");
}
