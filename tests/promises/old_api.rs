//! Do clients of the old API, and integrations that delete by a collection's name in the path, work
//! against current servers (section 10)? With the standard library's HTTP only.

use std::time::Duration;

use serde_json::json;

use crate::harness::nodes::collections_url;
use crate::harness::{Options, Stack, assert_nodes_equal, get, node_records, post, script, toolbox, until};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_old_client_finds_what_it_knows() {
    let stack = Stack::start(Options::default()).await;
    let python = toolbox().chroma_python().await.unwrap_or_else(|reason| panic!("{reason}"));
    script::run(&stack.place, python, "v1_client.py", &[&stack.url()]).await;
    // The client deleted its only collection.
    for node in &stack.nodes {
        let listed = async || get(&collections_url(&node.url())).await == (200, json!([]));
        until(SOON, "no node holds a collection", listed).await;
    }
}

#[tokio::test]
async fn ids_are_deleted_by_the_name_of_their_collection() {
    let stack = Stack::start(Options::default()).await;
    let old = format!("{}/api/v1/collections", stack.url());
    let (status, made) = post(&old, &json!({"name": "global"})).await;
    assert_eq!((status, &made["name"]), (200, &json!("global")), "{made}");
    let ids: Vec<String> = (0..20).map(|n| format!("record-{n}")).collect();
    let embeddings: Vec<_> = (0..20).map(|n| json!([n, 0.5])).collect();
    let records = json!({"ids": ids, "embeddings": embeddings, "documents": ids});
    assert_eq!(post(&format!("{old}/global/add"), &records).await.0, 201);
    let gone = ["record-3", "record-7", "record-19"];
    let (status, answer) = post(&format!("{old}/global/delete"), &json!({"ids": gone})).await;
    assert_eq!((status, answer), (200, json!(gone)));
    assert_nodes_equal(&stack, "global", SOON).await;
    let left = node_records(&stack.nodes[1].url(), "global").await;
    assert_eq!(left.len(), 17);
    assert!(gone.iter().all(|id| !left.contains_key(*id)), "{left:?}");
    let (status, answer) = post(&format!("{old}/nowhere/delete"), &json!({"ids": gone})).await;
    assert_eq!((status, &answer["error"]), (400, &json!("InvalidCollection")), "{answer}");
}
