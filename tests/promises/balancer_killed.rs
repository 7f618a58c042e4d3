//! What is lost when the balancer is killed mid-write? Nothing that was acknowledged; and a create that
//! was under way neither comes twice nor leaves a collection that cannot be used.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::harness::client::try_request;
use crate::harness::nodes::collections_url;
use crate::harness::stack::Options;
use crate::harness::status::PATIENCE;
use crate::harness::{Load, Stack, assert_nodes_equal, get, node_records, post, until};

const KILLS: usize = 3;

#[tokio::test]
async fn no_acknowledged_write_is_lost_however_often_it_is_killed() {
    let mut stack = Stack::start(Options::default()).await;
    let load = Load::start(&stack.url(), 16, 4).await;
    for _ in 0..KILLS {
        load.a_round(PATIENCE).await;
        stack.balancer.kill9();
        stack.balancer.start_again().await;
    }
    load.a_round(PATIENCE).await;
    // Without a balancer there is no answer; but one that has just begun must not tell what it does not
    // know: neither "does not exist" nor an empty page.
    let (failed, asked_to_wait) = load.failures();
    let answered: Vec<_> = failed.iter().filter(|line| !line.contains("reqwest::Error")).collect();
    println!("{} requests without an answer, {asked_to_wait} put off", failed.len() - answered.len());
    assert!(answered.iter().all(|line| line.contains(": 503 ")), "{answered:#?}");
    load.end(&stack, PATIENCE).await;
}

fn name(number: usize) -> String {
    format!("made-{number}")
}

/// Creates collection after collection, from `first` on; ends with the first request that gets no
/// answer and tells its number.
fn creator(url: &str, first: usize) -> JoinHandle<usize> {
    let base = collections_url(url);
    tokio::spawn(async move {
        let mut number = first;
        loop {
            match try_request(Method::POST, &base, Some(&json!({"name": name(number)}))).await {
                Ok((200, _)) => number += 1,
                Ok((status, answer)) => panic!("{}: {status} {answer}", name(number)),
                Err(_) => return number,
            }
        }
    })
}

async fn names(url: &str) -> Vec<String> {
    let (status, list) = get(&collections_url(url)).await;
    assert_eq!(status, 200, "{list}");
    let name = |one: &serde_json::Value| one["name"].as_str().expect("a name").to_owned();
    list.as_array().expect("a list").iter().map(name).collect()
}

#[tokio::test]
async fn a_create_under_way_comes_once_and_can_be_tried_again() {
    let mut stack = Stack::start(Options::default()).await;
    let base = collections_url(&stack.url());
    let mut tried = BTreeMap::new();
    for kill in 0..KILLS {
        let first = kill * 1_000;
        let creators: Vec<_> = (0..3).map(|n| creator(&stack.url(), first + n * 100)).collect();
        until(PATIENCE, "creates are under way", async || {
            names(&stack.url()).await.iter().any(|made| *made == name(first + 1))
        })
        .await;
        stack.balancer.kill9();
        stack.balancer.start_again().await;
        for creator in creators {
            let number = creator.await.expect("a creator");
            let (status, answer) = post(&base, &json!({"name": name(number)})).await;
            assert!(status == 200 || status == 409, "{}: {status} {answer}", name(number));
            tried.insert(name(number), status);
        }
    }
    println!("tried again: {tried:?}");
    for made in tried.keys() {
        let (status, found) = get(&format!("{base}/{made}")).await;
        assert_eq!(status, 200, "{made}: {found}");
        let body = json!({"ids": ["a"], "embeddings": [[1.0, 2.0]], "documents": [made]});
        let (status, answer) =
            post(&format!("{base}/{}/add", found["id"].as_str().expect("an id")), &body).await;
        assert_eq!(status, 201, "{made}: {answer}");
        assert_nodes_equal(&stack, made, PATIENCE).await;
        assert_eq!(node_records(&stack.nodes[1].url(), made).await.len(), 1);
    }
    let shown = names(&stack.url()).await;
    let unique: BTreeSet<_> = shown.iter().cloned().collect();
    assert_eq!(shown.len(), unique.len());
    for node in &stack.nodes {
        until(PATIENCE, "the node has what the balancer shows, once", async || {
            let held = names(&node.url()).await;
            held.len() == unique.len() && held.into_iter().collect::<BTreeSet<_>>() == unique
        })
        .await;
    }
}
