//! Does Chroma's own test-suite give the same results through the balancer as directly (G9)? A short
//! selection here; `tests/clients/chroma_suite.py` runs the long one.

use std::time::Duration;

use serde_json::json;

use crate::harness::nodes::collections_url;
use crate::harness::stack::start_nodes;
use crate::harness::{Options, Place, Stack, assert_nodes_equal, get, node_records, post, script, toolbox};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn chromas_own_suite_ends_the_same() {
    let python = toolbox().suite_python().await.unwrap_or_else(|reason| panic!("{reason}"));
    let place = Place::new("suite");
    let bare = start_nodes(&place, 1, true).await;
    let stack = Stack::start(Options { allow_reset: true, ..Options::default() }).await;
    let (direct, through) = (bare[0].url(), stack.url());
    let args = ["--selection", "short", "--direct", &direct, "--through", &through];
    let printed = script::run(&stack.place, python, "chroma_suite.py", &args).await;
    eprintln!("{printed}");
    assert!(printed.contains("\n0 tests differ"), "{printed}");
}

/// The suite resets all the time; here a node is away while it happens.
#[tokio::test]
async fn a_reset_reaches_a_replica_that_was_away() {
    let mut stack = Stack::start(Options { allow_reset: true, ..Options::default() }).await;
    let url = stack.url();
    let fill = async |ids: &[&str]| {
        let (status, made) = post(&collections_url(&url), &json!({"name": "same"})).await;
        assert_eq!(status, 200, "{made}");
        let records = json!({"ids": ids, "embeddings": vec![[1.0, 2.0]; ids.len()]});
        let add = format!("{}/{}/add", collections_url(&url), made["id"].as_str().expect("an id"));
        assert_eq!(post(&add, &records).await.0, 201);
    };
    fill(&["before", "both"]).await;
    assert_nodes_equal(&stack, "same", SOON).await;
    stack.replica().kill9();
    for _ in 0..3 {
        assert_eq!(post(&format!("{url}/api/v2/reset"), &json!({})).await, (200, json!(true)));
        assert_eq!(get(&collections_url(&url)).await, (200, json!([])));
        fill(&["between"]).await;
    }
    assert_eq!(post(&format!("{url}/api/v2/reset"), &json!({})).await.0, 200);
    fill(&["after", "both"]).await;
    stack.replica().start_again().await.expect("a second start");
    assert_nodes_equal(&stack, "same", SOON).await;
    let records = node_records(&stack.nodes[1].url(), "same").await;
    assert_eq!(records.keys().collect::<Vec<_>>(), ["after", "both"]);
    let (_, listed) = get(&collections_url(&stack.nodes[1].url())).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
}
