//! Does the official Python client work unchanged, and do all nodes hold what it wrote (G9, G2)?

use std::time::Duration;

use serde_json::json;

use crate::harness::nodes::collections_url;
use crate::harness::{Options, Stack, assert_nodes_equal, get, node_records, script, toolbox, until};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn the_python_client_works_and_the_nodes_agree() {
    let stack = Stack::start(Options::default()).await;
    let python = toolbox().chroma_python().await.unwrap_or_else(|reason| panic!("{reason}"));
    script::run(&stack.place, python, "python_client.py", &[&stack.url()]).await;
    assert_nodes_equal(&stack, "python-kept", SOON).await;
    let records = node_records(&stack.nodes[1].url(), "python-kept").await;
    assert_eq!(records.len(), 298);
    for node in &stack.nodes {
        let gone = format!("{}/python-gone", collections_url(&node.url()));
        until(SOON, "the deleted collection is gone", async || get(&gone).await.0 == 404).await;
        let (_, kept) = get(&format!("{}/python-kept", collections_url(&node.url()))).await;
        assert_eq!(kept["metadata"], json!({"owner": "me", "version": 2}), "{}", node.name());
    }
}
