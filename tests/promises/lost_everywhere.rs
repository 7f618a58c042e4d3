//! When every server lost a collection, is the rest served all the same, and is it said clearly what is
//! gone? Nothing brings it back; it can be deleted and made anew.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::status::PATIENCE;
use crate::harness::{Options, Stack, assert_nodes_equal, delete, get, post, put, until};

async fn create(stack: &Stack, name: &str) -> (u16, Value) {
    post(&collections_url(&stack.url()), &json!({ "name": name })).await
}

async fn add(url: &str, id: &str) -> (u16, Value) {
    let body = json!({ "ids": [id], "embeddings": [[1.0, 2.0]] });
    post(&format!("{url}/add"), &body).await
}

fn is_told(answer: &(u16, Value)) -> bool {
    answer.0 == 503
        && answer.1["message"].as_str().is_some_and(|text| text.contains("every Chroma server lost"))
}

/// Removes a collection from every node, past the balancer, and has the nodes looked at again.
async fn lose(stack: &mut Stack, name: &str) {
    for node in &stack.nodes {
        assert_eq!(delete(&format!("{}/{name}", collections_url(&node.url()))).await.0, 200);
    }
    stack.balancer.stop().await;
    stack.balancer.start_again().await;
    until(PATIENCE, "the nodes are looked at", async || {
        let up = get(&format!("{}/health", stack.url())).await.1["status"] == "healthy";
        up && get(&format!("{}/wal/status", stack.url())).await.1["quarantined"]
            .as_array()
            .map_or(0, Vec::len)
            == 2
    })
    .await;
}

#[tokio::test]
async fn the_rest_is_served_and_the_lost_collection_can_be_made_anew() {
    let mut stack = Stack::start(Options::default()).await;
    let url = collections_url(&stack.url());
    let (_, gone) = create(&stack, "gone").await;
    let (_, kept) = create(&stack, "kept").await;
    let gone = format!("{url}/{}", gone["id"].as_str().unwrap());
    let kept = format!("{url}/{}", kept["id"].as_str().unwrap());
    for records in [&gone, &kept] {
        assert_eq!(add(records, "a").await.0, 201);
    }
    assert_nodes_equal(&stack, "gone", PATIENCE).await;
    assert_nodes_equal(&stack, "kept", PATIENCE).await;
    lose(&mut stack, "gone").await;

    assert_eq!(get(&format!("{kept}/count")).await, (200, json!(1)));
    assert_eq!(add(&kept, "b").await.0, 201);
    assert_eq!(create(&stack, "fresh").await.0, 200);
    assert_eq!(get(&url).await.1.as_array().map(Vec::len), Some(2));
    let told = [
        get(&format!("{gone}/count")).await,
        get(&format!("{url}/gone")).await,
        add(&gone, "b").await,
        put(&gone, &json!({ "new_name": "other" })).await,
    ];
    assert!(told.iter().all(is_told), "{told:#?}");
    assert_eq!(create(&stack, "gone").await.0, 409);
    let again = json!({ "name": "gone", "get_or_create": true });
    assert_eq!(post(&url, &again).await.0, 409);
    assert_eq!(put(&kept, &json!({ "new_name": "gone" })).await.0, 409, "the catalog keeps the name");
    assert_eq!(create(&stack, "after").await.0, 200, "and goes on");
    assert!(stack.balancer.log().contains("Every Chroma server lost a collection"), "nobody was alerted");

    assert_eq!(delete(&format!("{url}/gone")).await.0, 200);
    let (status, made) = create(&stack, "gone").await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(add(&format!("{url}/{}", made["id"].as_str().unwrap()), "c").await.0, 201);
    for name in ["gone", "kept", "fresh", "after"] {
        assert_nodes_equal(&stack, name, PATIENCE).await;
    }
}

#[tokio::test]
async fn both_disks_at_once_leave_a_cluster_that_serves() {
    let mut stack = Stack::start(Options::default()).await;
    let url = collections_url(&stack.url());
    assert_eq!(create(&stack, "docs").await.0, 200);
    assert_nodes_equal(&stack, "docs", PATIENCE).await;
    for node in &mut stack.nodes {
        node.wipe().unwrap();
    }
    for node in &mut stack.nodes {
        node.start_again().await.unwrap();
    }
    until(Duration::from_secs(60), "what is lost can be deleted", async || {
        delete(&format!("{url}/docs")).await.0 == 200
    })
    .await;
    assert_eq!(create(&stack, "docs").await.0, 200);
    assert_nodes_equal(&stack, "docs", PATIENCE).await;
}
