//! Does a write that a client sends again under its `Idempotency-Key` have one effect and the first
//! outcome, whatever became of the first answer? Each write here would show a second effect: it deletes
//! one record of several, or creates what may exist once.

use std::time::Duration;

use chroma_ha::dev::{Chroma, http_status};
use futures_util::future::join_all;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::embedded::connect;
use crate::harness::client::client;
use crate::harness::nodes::{collections_url, node_records};
use crate::harness::surface::{NODES, create, records, until_quiet, until_state};
use crate::harness::{Options, Stack, assert_nodes_equal, get, until};

const SOON: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq)]
struct Told {
    status: u16,
    body: String,
    write_id: Option<String>,
    replayed: bool,
}

impl Told {
    /// As another request hears it.
    fn again(&self) -> Told {
        Told { replayed: true, body: self.body.clone(), write_id: self.write_id.clone(), ..*self }
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().expect("text").to_owned())
}

async fn try_send(url: &str, headers: &[(&str, &str)], body: &Value) -> Result<Told, reqwest::Error> {
    let mut request = client().post(url).json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let replayed = header(&headers, "x-chroma-ha-replayed").as_deref() == Some("true");
    let write_id = header(&headers, "x-chroma-ha-write-id");
    Ok(Told { status, body: answer.text().await?, write_id, replayed })
}

async fn keyed(url: &str, key: &str, body: &Value) -> Told {
    try_send(url, &[("idempotency-key", key)], body).await.expect("an answer")
}

/// Eight records of which each delivery of `one_gone` deletes one more.
async fn eight(url: &str, name: &str) -> String {
    let id = create(url, name).await;
    let ids: Vec<String> = (0..8).map(|n| format!("r{n}")).collect();
    let rows = json!({"ids": ids, "embeddings": vec![[1, 1]; 8], "metadatas": vec![json!({"old": true}); 8]});
    let (status, answer) = records(url, &id, "add", &rows).await;
    assert_eq!(status, 201, "{answer}");
    id
}

fn one_gone() -> Value {
    json!({"where": {"old": true}, "limit": 1})
}

fn delete_url(url: &str, id: &str) -> String {
    format!("{}/{id}/delete", collections_url(url))
}

async fn left(stack: &Stack, name: &str) -> usize {
    assert_nodes_equal(stack, name, SOON).await;
    node_records(&stack.nodes[0].url(), name).await.len()
}

async fn head(url: &str) -> u64 {
    get(&format!("{url}/wal/status")).await.1["head"].as_u64().expect("a position")
}

#[tokio::test]
async fn the_first_outcome_is_told_again_and_nothing_is_done_twice() {
    let stack = Stack::start(Options::default()).await;
    let (url, base) = (stack.url(), collections_url(&stack.url()));
    let id = eight(&url, "again").await;
    let path = delete_url(&url, &id);
    let first = keyed(&path, "one", &one_gone()).await;
    assert_eq!((first.status, first.replayed), (200, false), "{first:?}");
    for _ in 0..3 {
        assert_eq!(keyed(&path, "one", &one_gone()).await, first.again());
    }
    assert_eq!(left(&stack, "again").await, 7);
    // A create that is repeated would be answered 409; one that may take what exists has no second row.
    let made = keyed(&base, "made", &json!({"name": "made"})).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(keyed(&base, "made", &json!({"name": "made"})).await, made.again());
    // What was refused stays refused, and in the words of the first time.
    let bad = json!({"ids": ["x"], "embeddings": [[1, 2, 3]]});
    let refused = keyed(&format!("{base}/{id}/add"), "bad", &bad).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let before = head(&url).await;
    assert_eq!(keyed(&format!("{base}/{id}/add"), "bad", &bad).await, refused.again());
    assert_eq!(head(&url).await, before, "a repeated write is not logged");
    // The outcome outlives the collection.
    let (status, _) = crate::harness::client::delete(&format!("{base}/again")).await;
    assert_eq!(status, 200);
    assert_eq!(keyed(&path, "one", &one_gone()).await, first.again());
    // Without a key every request counts.
    let plain = try_send(&base, &[], &json!({"name": "made"})).await.expect("an answer");
    assert_eq!((plain.status, plain.replayed), (409, false));
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_client_and_is_never_stored() {
    let stack = Stack::start(Options::default().env("LOG_LEVEL", "debug")).await;
    let (url, base) = (stack.url(), collections_url(&stack.url()));
    let id = eight(&url, "keys").await;
    let path = delete_url(&url, &id);
    let secret = [("idempotency-key", "very-secret-key"), ("authorization", "Bearer very-secret-token")];
    let first = try_send(&path, &secret, &one_gone()).await.expect("an answer");
    assert_eq!(first.status, 200);
    assert_eq!(try_send(&path, &secret, &one_gone()).await.expect("an answer"), first.again());
    let other = json!({"where": {"old": true}, "limit": 2});
    for (path, body) in [(&path, &other), (&format!("{base}/{id}/get"), &one_gone())] {
        let told = try_send(path, &secret, body).await.expect("an answer");
        let expected = if path.ends_with("get") { 200 } else { 422 };
        assert_eq!((told.status, told.replayed), (expected, false), "{told:?}");
        assert!(expected == 200 || told.body.contains("another request"), "{told:?}");
    }
    // Another credential has keys of its own.
    let elsewhere = [secret[0], ("authorization", "Bearer somebody-else")];
    let theirs = try_send(&path, &elsewhere, &one_gone()).await.expect("an answer");
    assert_eq!((theirs.status, theirs.replayed), (200, false));
    assert_eq!(left(&stack, "keys").await, 6);
    for bad in ["", "a b", &"k".repeat(256), "tab\tbed"] {
        let told = keyed(&path, bad, &one_gone()).await;
        assert_eq!(told.status, 400, "{bad:?}: {told:?}");
        assert!(told.body.contains("Idempotency-Key"), "{told:?}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(try_send(&path, &twice, &one_gone()).await.expect("an answer").status, 400);
    let not_text = client().post(&path).header("idempotency-key", &[b'k', 0xff][..]).json(&one_gone()).send();
    assert_eq!(not_text.await.expect("an answer").status(), 400);
    assert_eq!(left(&stack, "keys").await, 6, "what was refused was not done");
    let client = connect(&stack.database_url).await;
    for table in ["wal_outcomes", "wal_pending_writes"] {
        let text = format!("SELECT coalesce(string_agg(t::text, ''), '') FROM {table} t");
        let all: String = client.query_one(&text, &[]).await.expect("a table").get(0);
        assert!(!all.is_empty() && !all.contains("very-secret"), "{table}: {all}");
    }
    assert!(!stack.balancer.log().contains("very-secret"), "the balancer's own log");
}

#[tokio::test]
async fn of_requests_at_the_same_time_one_is_done() {
    let stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let id = eight(&url, "crowd").await;
    let path = delete_url(&url, &id);
    let told = join_all((0..12).map(|_| async { keyed(&path, "crowd", &one_gone()).await })).await;
    let first = told.iter().find(|told| !told.replayed).expect("one that was first");
    assert_eq!(first.status, 200);
    assert_eq!(told.iter().filter(|told| !told.replayed).count(), 1, "{told:#?}");
    for other in told.iter().filter(|told| told.replayed) {
        assert_eq!(*other, first.again());
    }
    assert_eq!(left(&stack, "crowd").await, 7);
}

/// The holder knows a key whichever balancer it came by.
#[tokio::test]
async fn a_key_holds_for_who_asks_the_standby() {
    let mut stack = Stack::start(Options::default()).await;
    let mut beside = stack.launch_beside();
    until(SOON, "the second one stands by", async || {
        http_status(beside.port(), "/readyz").await == Some(200)
            && get(&format!("{}/status", beside.url())).await.1["role"] == "standby"
    })
    .await;
    let id = eight(&stack.url(), "held").await;
    let (holder, standby) = (delete_url(&stack.url(), &id), delete_url(&beside.url(), &id));
    let told = keyed(&standby, "first", &one_gone()).await;
    assert_eq!((told.status, told.replayed), (200, false), "{told:?}");
    assert_eq!(keyed(&holder, "first", &one_gone()).await, told.again());
    assert_eq!(keyed(&standby, "first", &one_gone()).await, told.again());
    let crowd = (0..12).map(|n| if n % 2 == 0 { &holder } else { &standby });
    let told = join_all(crowd.map(|url| async { keyed(url, "second", &one_gone()).await })).await;
    assert_eq!(told.iter().filter(|told| !told.replayed).count(), 1, "{told:#?}");
    assert!(told.iter().all(|told| told.status == 200 && told.body == r#"{"deleted":1}"#), "{told:#?}");
    assert_eq!(left(&stack, "held").await, 6);
    beside.stop().await;
}

/// The nodes hang, so that the write is in the log and not judged when its client and its balancer go.
#[tokio::test]
async fn a_lost_answer_is_told_after_the_balancer_was_killed_and_by_another_one() {
    let mut stack = Stack::start(Options::default()).await;
    let id = eight(&stack.url(), "lost").await;
    until_quiet(&stack.url()).await;
    let before = head(&stack.url()).await;
    stack.nodes.iter_mut().for_each(Chroma::sigstop);
    let path = delete_url(&stack.url(), &id);
    let sent =
        tokio::spawn(async move { try_send(&path, &[("idempotency-key", "lost")], &one_gone()).await });
    until(SOON, "the write is in the log", async || head(&stack.url()).await > before).await;
    stack.balancer.kill9();
    assert!(sent.await.expect("a task").is_err(), "the client has no answer");
    stack.nodes.iter_mut().for_each(Chroma::sigcont);
    stack.balancer.start_again().await;
    let path = delete_url(&stack.url(), &id);
    let told = until_judged(&path, "lost").await;
    assert_eq!((told.status, told.body.as_str(), told.replayed), (200, r#"{"deleted":1}"#, true), "{told:?}");
    assert_eq!(left(&stack, "lost").await, 7);
    // Killed after the answer, and asked on another balancer.
    let made = keyed(&collections_url(&stack.url()), "made", &json!({"name": "made"})).await;
    assert_eq!(made.status, 200);
    stack.balancer.kill9();
    let beside = stack.balancer_beside().await;
    let again = keyed(&collections_url(&beside.url()), "made", &json!({"name": "made"})).await;
    assert_eq!(again, made.again());
    let path = delete_url(&beside.url(), &id);
    assert_eq!(keyed(&path, "lost", &one_gone()).await, told);
}

/// Sends again until the outcome is known, as a client with a key may.
async fn until_judged(path: &str, key: &str) -> Told {
    let mut told = keyed(path, key, &one_gone()).await;
    let begun = std::time::Instant::now();
    while told.status >= 500 || told.status == 202 {
        assert!(begun.elapsed() < SOON, "{told:?}");
        told = keyed(path, key, &one_gone()).await;
    }
    told
}

#[tokio::test]
async fn what_was_only_queued_or_ran_out_of_time_gets_its_verdict() {
    let options = Options::default().env("REQUEST_TIMEOUT", "1").env("FAILURE_THRESHOLD", "2");
    let mut stack = Stack::start(options).await;
    let (url, id) = (stack.url(), eight(&stack.url(), "queued").await);
    until_quiet(&url).await;
    let path = delete_url(&url, &id);
    // A client that goes away, and one whose time runs out, while the nodes hang.
    stack.nodes.iter_mut().for_each(Chroma::sigstop);
    let late = keyed(&path, "late", &one_gone()).await;
    assert!(late.status == 504 || late.status == 202, "{late:?}");
    for node in NODES {
        until_state(&url, node, "down").await;
    }
    let again = keyed(&path, "late", &one_gone()).await;
    assert_eq!((again.status, &again.write_id, again.replayed), (202, &late.write_id, true), "{again:?}");
    stack.nodes.iter_mut().for_each(Chroma::sigcont);
    let told = until_judged(&path, "late").await;
    assert_eq!((told.status, &told.write_id), (200, &late.write_id));
    for node in &mut stack.nodes {
        node.kill9();
    }
    for node in NODES {
        until_state(&url, node, "down").await;
    }
    let queued = keyed(&path, "queued", &one_gone()).await;
    assert_eq!(queued.status, 202, "{queued:?}");
    for node in &mut stack.nodes {
        node.start_again().await.expect("the node again");
    }
    let told = until_judged(&path, "queued").await;
    assert_eq!(
        (told.status, told.body.as_str(), &told.write_id),
        (200, r#"{"deleted":1}"#, &queued.write_id)
    );
    assert_eq!(left(&stack, "queued").await, 6);
}
