//! Is a write that the log acknowledges (`WRITE_ACK=log`) as good as done? No node has to answer for it, it is
//! never lost, and every later read shows it; and what might be refused is still judged by Chroma, in
//! Chroma's words.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::harness::client::client;
use crate::harness::nodes::{collections_url, node_records};
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, document, metric, records, until_quiet, until_state, upsert};
use crate::harness::webhook::Webhook;
use crate::harness::{Options, Place, Refuser, Stack, Twin, assert_nodes_equal, get, until};

const SOON: Duration = Duration::from_secs(90);

/// A node that answers needs far less, one that does not would need far more.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Nodes that stop are not noticed while a test lasts: nobody else acts.
fn unwatched() -> Options {
    Options::default().env("CHECK_INTERVAL", "60")
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

async fn write(url: &str, id: &str, verb: &str, ack: Option<&str>, body: &Value) -> Answer {
    let mut request = client().post(format!("{}/{id}/{verb}", collections_url(url))).json(body);
    if let Some(ack) = ack {
        request = request.header("x-chroma-ha-ack", ack);
    }
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.json().await.expect("JSON") }
}

fn row(id: &str, text: &str) -> Value {
    json!({"ids": [id], "embeddings": [[1.0, 2.0, 3.0]], "documents": [text]})
}

/// What the log says of the write.
async fn kept(url: &str, answer: &Answer) -> Value {
    let id = answer.headers["x-chroma-ha-write-id"].to_str().expect("an id");
    get(&format!("{url}/wal/writes/{id}")).await.1
}

#[tokio::test]
async fn it_needs_no_node_outlives_the_balancer_and_reaches_every_node() {
    let mut stack = Stack::start(unwatched().env("WRITE_ACK", "log")).await;
    let url = stack.url();
    let id = create(&url, "docs").await;
    // Of a dimension that nobody knows yet: judged by Chroma.
    upsert(&url, &id, "first", "text").await;
    until_quiet(&url).await;
    stack.nodes.iter_mut().for_each(|node| node.sigstop());
    let begun = Instant::now();
    let update = json!({"ids": ["first"], "documents": ["changed"]});
    for (verb, body, told) in [
        ("add", row("added", "text"), (201, json!({}))),
        ("upsert", row("gone", "text"), (200, json!({}))),
        ("update", update, (200, json!({}))),
        ("delete", json!({"ids": ["gone", "never"]}), (200, json!({"deleted": 2}))),
    ] {
        let answer = write(&url, &id, verb, None, &body).await;
        assert_eq!((answer.status, answer.body.clone()), told, "{verb}");
        let kept = kept(&url, &answer).await;
        assert_eq!((&kept["acknowledged"], &kept["status"]), (&json!(true), &json!("pending")), "{kept}");
    }
    assert!(begun.elapsed() < AT_ONCE, "the nodes were waited for");
    stack.balancer.kill9();
    stack.nodes.iter_mut().for_each(|node| node.sigcont());
    stack.balancer.start_again().await;
    assert_nodes_equal(&stack, "docs", SOON).await;
    let applied = async || {
        let held = node_records(&stack.nodes[1].url(), "docs").await;
        let documents = held.iter().map(|(id, record)| (id.as_str(), record.2.clone()));
        documents.collect::<Vec<_>>() == [("added", json!("text")), ("first", json!("changed"))]
    };
    until(SOON, "the replica holds what the log acknowledged", applied).await;
}

/// Also while others write without a pause, so that no node ever holds all that was acknowledged.
#[tokio::test]
async fn every_read_shows_what_was_acknowledged_before_it() {
    let stack = Stack::start(Options::default().env("WRITE_ACK", "log")).await;
    let url = stack.url();
    let id = create(&url, "docs").await;
    upsert(&url, &id, "first", "text").await;
    let over = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (0..4)
        .map(|writer| {
            let (url, id, over) = (url.clone(), id.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut written = 0;
                while !over.load(Ordering::Relaxed) {
                    let answer = write(&url, &id, "upsert", None, &row(&format!("w{writer}"), "x")).await;
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    written += 1;
                }
                written
            })
        })
        .collect();
    for n in 0..30 {
        let text = format!("text {n}");
        assert_eq!(write(&url, &id, "upsert", None, &row("mine", &text)).await.status, 200);
        assert_eq!(document(&url, &id, "mine").await, text.as_str());
    }
    over.store(true, Ordering::Relaxed);
    let mut written = 0;
    for other in others {
        written += other.await.expect("a writer");
    }
    let by_log = metric(&url, r#"chroma_ha_log_acknowledgements_total{outcome="log"}"#).await;
    println!("{written} writes of others meanwhile, {by_log} acknowledged by the log");
    assert!(by_log > 30.0, "the log acknowledged {by_log}");
    assert_nodes_equal(&stack, "docs", SOON).await;
}

#[tokio::test]
async fn the_header_of_a_request_beats_the_variable() {
    for (variable, header, expected) in [
        ("log", None, true),
        ("log", Some("applied"), false),
        ("log", Some("all"), false),
        ("applied", Some("log"), true),
        ("applied", None, false),
    ] {
        let stack = Stack::start(Options { nodes: 1, ..Options::default().env("WRITE_ACK", variable) }).await;
        let url = stack.url();
        let id = create(&url, "docs").await;
        // The first shows the dimension to whoever wants to know it.
        for (text, expected) in [("first", false), ("second", expected)] {
            let answer = write(&url, &id, "upsert", header, &row("a", text)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let kept = kept(&url, &answer).await;
            assert_eq!(kept["acknowledged"], json!(expected), "{variable} {header:?} {text}");
            assert_eq!(document(&url, &id, "a").await, text);
        }
    }
}

/// Answers, words and records as without the balancer.
#[tokio::test]
async fn what_might_be_refused_is_answered_by_chroma() {
    let mut twin = Twin::start(Options::default().env("WRITE_ACK", "log")).await;
    twin.post("{}/collections", json!({"name": "docs"})).await;
    for round in 0..2 {
        for (verb, body) in [
            ("upsert", row("a", "text")),
            ("add", row("a", "other")),
            ("add", json!({"ids": ["b", "b"], "embeddings": [[1, 2, 3], [4, 5, 6]]})),
            ("add", json!({"ids": ["c"], "embeddings": [[1, 2]]})),
            ("add", json!({"ids": ["c"]})),
            ("add", json!({"ids": ["c"], "embeddings": ["AACAPwAAAEAAAEBA"]})),
            ("upsert", json!({"ids": ["c", "d"], "embeddings": [[1, 2, 3], "AACAPwAAAEAAAEBA"]})),
            ("upsert", json!({"ids": [""], "embeddings": [[1, 2, 3]]})),
            ("upsert", json!({"ids": ["d"], "embeddings": [[1, 2, 3]], "metadatas": [{"#k": 1}]})),
            ("update", json!({"ids": ["a", "never"], "documents": ["new", "new"]})),
            ("update", json!({"ids": ["a"], "embeddings": [[1, 2]]})),
            ("update", json!({"ids": ["a"], "documents": []})),
            ("delete", json!({"ids": ["b", "never"]})),
            ("delete", json!({"ids": []})),
            ("delete", json!({"where": {"k": 1}})),
        ] {
            twin.write("docs", verb, body.clone()).await;
            twin.write("docs", "get", json!({"include": ["documents", "metadatas", "embeddings"]})).await;
            println!("round {round}: {verb} {body}");
        }
    }
    twin.assert_as_bare("docs", "both rounds").await;
    let by_log = metric(&twin.stack.url(), r#"chroma_ha_log_acknowledgements_total{outcome="log"}"#).await;
    assert!(by_log > 5.0, "the log acknowledged {by_log}");
}

/// It is sound, and its collection is there; but a deletion of the collection is ahead of it in the log.
#[tokio::test]
async fn what_comes_after_the_deletion_of_its_collection_is_answered_by_chroma() {
    let options = Options { nodes: 1, ..unwatched().env("WRITE_ACK", "log") };
    let mut stack = Stack::start(options).await;
    let url = stack.url();
    let id = create(&url, "docs").await;
    upsert(&url, &id, "first", "text").await;
    assert_eq!(write(&url, &id, "upsert", None, &row("sound", "text")).await.status, 200);
    until_quiet(&url).await;
    stack.nodes[0].sigstop();
    let head = metric(&url, "chroma_ha_wal_head").await;
    let logged = async |count: f64| {
        let reached = async || metric(&url, "chroma_ha_wal_head").await >= head + count;
        until(SOON, "the write is in the log", reached).await;
    };
    let gone = format!("{}/docs", collections_url(&url));
    let deletion = tokio::spawn(client().delete(gone).send());
    logged(1.0).await;
    let (door, sound) = (url.clone(), row("late", "text"));
    let late = tokio::spawn(async move { write(&door, &id, "upsert", None, &sound).await.status });
    logged(2.0).await;
    stack.nodes[0].sigcont();
    assert_eq!(deletion.await.expect("a task").expect("an answer").status(), 200);
    assert_eq!(late.await.expect("a task"), 404);
}

#[tokio::test]
async fn what_the_log_may_be_ahead_is_bounded() {
    let mut stack = Stack::start(unwatched().env("WRITE_ACK", "log").env("WRITE_ACK_BACKLOG", "5")).await;
    let url = stack.url();
    let id = create(&url, "docs").await;
    upsert(&url, &id, "first", "text").await;
    stack.nodes.iter_mut().for_each(|node| node.sigstop());
    for n in 0..5 {
        assert_eq!(write(&url, &id, "upsert", None, &row(&format!("r{n}"), "text")).await.status, 200);
    }
    let refused = write(&url, &id, "upsert", None, &row("beyond", "text")).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(
        refused.headers.contains_key("retry-after") && !refused.headers.contains_key("x-chroma-ha-write-id")
    );
    assert!(
        refused.body["message"].as_str().expect("a text").contains("WRITE_ACK_BACKLOG"),
        "{}",
        refused.body
    );
    stack.nodes.iter_mut().for_each(|node| node.sigcont());
    let taken = async || write(&url, &id, "upsert", None, &row("again", "text")).await.status == 200;
    until(SOON, "writes are taken again", taken).await;
    assert_nodes_equal(&stack, "docs", SOON).await;
    let held: Vec<String> = node_records(&stack.nodes[0].url(), "docs").await.into_keys().collect();
    assert_eq!(held, ["again", "first", "r0", "r1", "r2", "r3", "r4"]);
}

/// It cannot happen as far as we know Chroma; if it does, nobody may overlook it.
#[tokio::test]
async fn a_person_hears_of_an_acknowledged_write_that_is_refused_all_the_same() {
    let (place, webhook) = (Place::new("refused-late"), Webhook::listen().await);
    let nodes = start_nodes(&place, 1, false).await;
    let front = Refuser::before(nodes[0].url()).await;
    let options = Options { nodes: 1, ..Options::default().env("WRITE_ACK", "log") };
    let options = options.env("PRIMARY_URL", &front.url()).env("SLACK_WEBHOOK_URL", &webhook.url());
    let stack = Stack::over(place, nodes, options).await;
    let url = stack.url();
    until_state(&url, "primary", "up").await;
    let id = create(&url, "docs").await;
    upsert(&url, &id, "first", "text").await;
    front.refuse(Some("/upsert"));
    let answer = write(&url, &id, "upsert", None, &row("a", "text")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let rejected = async || kept(&url, &answer).await["status"] == "rejected";
    until(SOON, "the log knows", rejected).await;
    let kept = kept(&url, &answer).await;
    assert_eq!(kept["acknowledged"], json!(true), "{kept}");
    assert!(kept["error_message"].as_str().expect("a text").contains("refused by"), "{kept}");
    let told = async || webhook.messages_with("A write that was acknowledged was refused") == 1;
    until(SOON, "people are told", told).await;
    assert!(metric(&url, "chroma_ha_refused_late_total").await > 0.0);
    // Reads do not wait for it, and the collection goes on.
    front.refuse(None);
    assert_eq!(document(&url, &id, "a").await, Value::Null);
    assert_eq!(records(&url, &id, "upsert", &row("b", "text")).await.0, 200);
    assert_eq!(document(&url, &id, "b").await, "text");
}
