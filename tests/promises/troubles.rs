//! Are people told, once when it begins and once when it ends, that a node lost its data or holds
//! something else than the others? And does the shell reach what `/admin` offers?

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, records, until_quiet, until_state, upsert};
use crate::harness::{Options, Place, Stack, Verb, assert_nodes_equal, delete, post, until};

const SOON: Duration = Duration::from_secs(40);

/// Log lines of alerts with this key.
fn told(stack: &Stack, key: &str) -> Vec<String> {
    let log = stack.balancer.log();
    let of_key = |line: &&str| line.contains(" alert ") && line.contains(&format!("key=\"{key}\""));
    log.lines().filter(of_key).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_node_that_lost_its_data_is_told_until_it_has_them_again() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    for name in ["first", "second"] {
        let id = create(&url, name).await;
        upsert(&url, &id, "r", "text").await;
    }
    until_quiet(&url).await;
    stack.replica().kill9();
    until_state(&url, "replica-1", "down").await;
    stack.replica().wipe().expect("an empty folder");
    stack.replica().start_again().await.expect("the replica again");
    until(SOON, "opened and resolved", async || told(&stack, "amnesia:replica-1").len() == 2).await;
    let lines = told(&stack, "amnesia:replica-1");
    assert!(lines[0].contains("replica-1 lost 2 collections"), "{lines:?}");
    for name in ["first", "second"] {
        assert_nodes_equal(&stack, name, SOON).await;
    }
    until_state(&url, "replica-1", "up").await;
}

async fn fill(node: &str, name: &str, record: &str) {
    let (status, made) = post(&collections_url(node), &json!({"name": name})).await;
    assert_eq!(status, 200, "{made}");
    let body = json!({"ids": [record], "embeddings": [[1.0, 2.0, 3.0]]});
    assert_eq!(records(node, made["id"].as_str().expect("an id"), "add", &body).await.0, 201);
}

#[tokio::test]
async fn a_node_that_holds_something_else_is_told_until_that_is_mended() {
    let place = Place::new("diverged");
    let nodes = start_nodes(&place, 2, false).await;
    fill(&nodes[0].url(), "docs", "mine").await;
    fill(&nodes[1].url(), "docs", "theirs").await;
    let stack = Stack::over(place, nodes, Options::default()).await;
    let (_, found) = crate::harness::get(&format!("{}/docs", collections_url(&stack.url()))).await;
    let key = format!("divergence:replica-1:{}", found["id"].as_str().expect("an id"));
    until(SOON, "told", async || told(&stack, &key).len() == 1).await;
    assert!(told(&stack, &key)[0].contains("default_tenant/default_database/docs"));
    // What the manual says: the other data are removed on that node.
    let there = format!("{}/docs", collections_url(&stack.nodes[1].url()));
    assert_eq!(delete(&there).await.0, 200);
    assert_nodes_equal(&stack, "docs", SOON).await;
    until(SOON, "resolved", async || told(&stack, &key).len() == 2).await;
}

/// The program itself, as in a shell.
async fn shell(stack: &Stack, key: &str, words: &[&str]) -> (bool, String) {
    let verb = Verb::of(&[words, &["--url", &stack.url()]].concat());
    let ended = verb.env("ADMIN_TOKEN", key).ended().await;
    (ended.code == 0, ended.said())
}

#[tokio::test]
async fn the_shell_reaches_what_operators_may_do() {
    let stack = Stack::start(Options::default().env("ADMIN_TOKEN", "key")).await;
    let url = stack.url();
    let id = create(&url, "docs").await;
    upsert(&url, &id, "r", "text").await;
    until_quiet(&url).await;
    let (ok, text) = shell(&stack, "wrong", &["wal", "list"]).await;
    assert!(!ok && text.contains("401") && text.contains("admin key") && text.lines().count() == 1, "{text}");
    until(SOON, "everything is noted to be everywhere", async || {
        shell(&stack, "key", &["wal", "list"]).await
            == (true, "no such write\n\nno dead letters\n".to_owned())
    })
    .await;
    let (ok, text) = shell(&stack, "key", &["wal", "list", "--letters", "all", "--json"]).await;
    let page: Value = serde_json::from_str(&text).expect("JSON");
    assert!(ok && page["dead_letters"] == json!([]), "{text}");
    for words in [&["retry", "replica-1:9"][..], &["discard", "replica-1:9", "--yes"]] {
        let (ok, text) = shell(&stack, "key", &[&["wal"], words].concat()).await;
        assert!(!ok && text.contains("no open dead letter"), "{words:?}: {text}");
    }
    let (ok, text) = shell(&stack, "key", &["rebuild", "replica-1", "docs", "--yes"]).await;
    assert!(ok && text.contains(&id) && text.contains("quarantined"), "{text}");
    assert_nodes_equal(&stack, "docs", SOON).await;
}
