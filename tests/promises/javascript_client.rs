//! Does the official JavaScript client work unchanged, and do all nodes hold what it wrote (G9, G2)?

use std::time::Duration;

use serde_json::json;

use crate::harness::nodes::collections_url;
use crate::harness::script::{self, Script, client};
use crate::harness::{Options, Stack, assert_nodes_equal, get, node_records, until};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn the_javascript_client_works_and_the_nodes_agree() {
    let stack = Stack::start(Options::default()).await;
    let (node, script) = script::javascript(&stack.place, &client("javascript_client.js")).await;
    Script::start(&stack.place, node, &script, &[&stack.url()], &[]).ended().await;
    assert_nodes_equal(&stack, "js-kept", SOON).await;
    let records = node_records(&stack.nodes[1].url(), "js-kept").await;
    assert_eq!(records.len(), 99);
    for node in &stack.nodes {
        let gone = format!("{}/js-gone", collections_url(&node.url()));
        until(SOON, "the deleted collection is gone", async || get(&gone).await.0 == 404).await;
        let (_, kept) = get(&format!("{}/js-kept", collections_url(&node.url()))).await;
        assert_eq!(kept["metadata"], json!({"owner": "me", "version": 2}), "{}", node.name());
    }
}
