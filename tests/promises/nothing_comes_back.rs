//! Does anything that was deleted come back with a node that slept through it? Collections, databases
//! and everything at once, deleted and made again under the same name, renamed and swapped.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::surface::{NODES, create, records, until_quiet, until_state, upsert};
use crate::harness::twin::{Twin, id_of};
use crate::harness::{Options, Stack, assert_nodes_equal, delete, get, node_records, post, put, request};

const SOON: Duration = Duration::from_secs(5);

/// Both nodes answer, in turn.
async fn in_turn(allow_reset: bool) -> Stack {
    let options = Options { allow_reset, ..Options::default() };
    Stack::start(options.env("LOAD_BALANCE_STRATEGY", "round_robin")).await
}

async fn back(stack: &mut Stack, node: usize) {
    let url = stack.url();
    stack.nodes[node].start_again().await.expect("the node again");
    until_state(&url, NODES[node], "up").await;
    until_quiet(&url).await;
}

/// Both nodes list the same collections and hold the same records in those of the default database.
async fn assert_same(stack: &Stack, places: &[(&str, &str)], collections: &[&str]) {
    let mut catalogs = Vec::new();
    for node in &stack.nodes {
        catalogs.push(Twin::catalog(&node.url(), places).await);
    }
    assert_eq!(catalogs[0], catalogs[1]);
    for name in collections {
        assert_nodes_equal(stack, name, SOON).await;
    }
}

/// The name is deleted and created again, twice, while one node is away.
async fn nothing_comes_back_over_an_outage_of(node: usize) {
    let mut stack = in_turn(false).await;
    let url = stack.url();
    let base = collections_url(&url);
    let old = create(&url, "phoenix").await;
    upsert(&url, &old, "old", "old").await;
    let doomed = create(&url, "doomed").await;
    upsert(&url, &doomed, "old", "old").await;
    until_quiet(&url).await;
    stack.nodes[node].kill9();
    upsert(&url, &old, "older", "written just before the end").await;
    let mut ids = vec![old];
    for round in ["second", "third"] {
        assert_eq!(delete(&format!("{base}/phoenix")).await.0, 200);
        assert_eq!(get(&format!("{base}/phoenix")).await.0, 404);
        ids.push(create(&url, "phoenix").await);
        upsert(&url, &ids[ids.len() - 1], round, round).await;
    }
    assert_eq!(delete(&format!("{base}/doomed")).await.0, 200);
    back(&mut stack, node).await;
    assert_nodes_equal(&stack, "phoenix", SOON).await;
    for node in &stack.nodes {
        let held = node_records(&node.url(), "phoenix").await;
        assert_eq!(held.keys().collect::<Vec<_>>(), ["third"], "on {}", node.name());
        let (_, list) = get(&collections_url(&node.url())).await;
        assert_eq!(list.as_array().map(Vec::len), Some(1), "on {}: {list}", node.name());
    }
    let current = ids.pop().expect("three ids");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 2);
    for gone in ids.iter().chain([&doomed]) {
        assert_ne!(*gone, current);
        let row = json!({"ids": ["late"], "embeddings": [[1, 2, 3]]});
        for _ in 0..2 {
            assert_eq!(records(&url, gone, "get", &json!({})).await.0, 404);
            assert_eq!(get(&format!("{base}/{gone}/count")).await.0, 404);
        }
        let (status, answer) = records(&url, gone, "add", &row).await;
        assert_eq!(status, 404, "{answer}");
        assert!(answer["message"].as_str().is_some_and(|text| text.contains(gone.as_str())), "{answer}");
        assert_eq!(put(&format!("{base}/{gone}"), &json!({"new_name": "again"})).await.0, 404);
    }
    assert_eq!(get(&format!("{base}/{current}/count")).await.1, 1);
}

#[tokio::test]
async fn nothing_deleted_comes_back_with_the_replica() {
    nothing_comes_back_over_an_outage_of(1).await;
}

#[tokio::test]
async fn nothing_deleted_comes_back_with_the_primary() {
    nothing_comes_back_over_an_outage_of(0).await;
}

async fn renamed(url: &str, id: &str, name: &str) {
    let (status, answer) = put(&format!("{}/{id}", collections_url(url)), &json!({"new_name": name})).await;
    assert_eq!(status, 200, "{answer}");
}

/// Three names change hands while one node is away; each id keeps its records.
async fn names_are_swapped_over_an_outage_of(node: usize) {
    let mut stack = in_turn(false).await;
    let url = stack.url();
    let (one, two) = (create(&url, "one").await, create(&url, "two").await);
    upsert(&url, &one, "first", "of one").await;
    upsert(&url, &two, "second", "of two").await;
    until_quiet(&url).await;
    stack.nodes[node].kill9();
    renamed(&url, &one, "aside").await;
    renamed(&url, &two, "one").await;
    renamed(&url, &one, "two").await;
    upsert(&url, &one, "late", "of what was one").await;
    let three = create(&url, "three").await;
    renamed(&url, &three, "four").await;
    let again = create(&url, "three").await;
    upsert(&url, &again, "third", "of the new three").await;
    back(&mut stack, node).await;
    assert_same(&stack, &[("default_tenant", "default_database")], &["one", "two", "three", "four"]).await;
    for _ in 0..2 {
        for (name, id) in [("one", &two), ("two", &one), ("three", &again), ("four", &three)] {
            assert_eq!(&id_of(&url, name).await, id);
        }
    }
    let held = node_records(&stack.nodes[node].url(), "two").await;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["first", "late"]);
}

#[tokio::test]
async fn swapped_names_stay_swapped_on_the_replica() {
    names_are_swapped_over_an_outage_of(1).await;
}

#[tokio::test]
async fn swapped_names_stay_swapped_on_the_primary() {
    names_are_swapped_over_an_outage_of(0).await;
}

#[tokio::test]
async fn a_database_made_again_is_empty_on_the_node_that_was_away() {
    let mut stack = in_turn(false).await;
    let url = stack.url();
    let databases = format!("{url}/api/v2/tenants/default_tenant/databases");
    let inside = format!("{databases}/side/collections");
    let named = json!({"name": "side"});
    assert_eq!(post(&databases, &named).await.0, 200);
    let (_, before) = get(&format!("{databases}/side")).await;
    let (_, old) = post(&inside, &json!({"name": "inner"})).await;
    let old = old["id"].as_str().expect("an id").to_owned();
    upsert(&url, &old, "old", "old").await;
    until_quiet(&url).await;
    stack.replica().kill9();
    upsert(&url, &old, "older", "just before the end").await;
    assert_eq!(delete(&format!("{databases}/side")).await.0, 200);
    assert_eq!(get(&format!("{databases}/side")).await.0, 404);
    assert_eq!(post(&databases, &named).await.0, 200);
    let (_, after) = get(&format!("{databases}/side")).await;
    assert_ne!(before["id"], after["id"], "another database");
    let (status, made) = post(&inside, &json!({"name": "inner"})).await;
    assert_eq!(status, 200, "{made}");
    let new = made["id"].as_str().expect("an id").to_owned();
    assert_ne!(old, new);
    upsert(&url, &new, "new", "new").await;
    back(&mut stack, 1).await;
    assert_same(&stack, &[("default_tenant", "default_database"), ("default_tenant", "side")], &[]).await;
    for _ in 0..4 {
        assert_eq!(get(&format!("{databases}/side")).await.1["id"], after["id"]);
        let (_, list) = get(&inside).await;
        assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
        let (status, all) = records(&url, &new, "get", &json!({})).await;
        assert_eq!((status, &all["ids"]), (200, &json!(["new"])), "{all}");
        assert_eq!(records(&url, &old, "get", &json!({})).await.0, 404);
    }
}

#[tokio::test]
async fn a_reset_reaches_the_node_that_was_away() {
    let mut stack = in_turn(true).await;
    let url = stack.url();
    let old = create(&url, "again").await;
    upsert(&url, &old, "old", "old").await;
    create(&url, "gone").await;
    assert_eq!(post(&format!("{url}/api/v2/tenants"), &json!({"name": "guests"})).await.0, 200);
    until_quiet(&url).await;
    stack.replica().kill9();
    upsert(&url, &old, "older", "just before the end").await;
    let (status, answer) = request(Method::POST, &format!("{url}/api/v2/reset"), None).await;
    assert_eq!(status, 200, "{answer}");
    let new = create(&url, "again").await;
    assert_ne!(old, new);
    upsert(&url, &new, "new", "new").await;
    back(&mut stack, 1).await;
    assert_same(&stack, &[("default_tenant", "default_database"), ("guests", "any")], &["again"]).await;
    let (_, list) = get(&collections_url(&stack.replica().url())).await;
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    let held: Value = json!(node_records(&stack.replica().url(), "again").await.keys().collect::<Vec<_>>());
    assert_eq!(held, json!(["new"]));
    assert_eq!(records(&url, &old, "get", &json!({})).await.0, 404);
}
