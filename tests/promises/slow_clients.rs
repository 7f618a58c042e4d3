//! Can a client that sends or reads slowly, or not at all, take something from the others (G7)? It holds
//! no permit while it sends, room for its own body only, and is let go in time.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::nodes::collections_url;
use crate::harness::raw::{Raw, chunk, head};
use crate::harness::status::status;
use crate::harness::surface::{create, document, records, upsert};
use crate::harness::{Options, Stack, until};

const SOON: Duration = Duration::from_secs(60);

/// Shorter than the patience of the balancer with silence.
const DRIBBLE: Duration = Duration::from_millis(200);

fn path(id: &str, verb: &str) -> String {
    format!("{}/{id}/{verb}", collections_url(""))
}

#[tokio::test]
async fn who_sends_slowly_holds_no_permit_and_is_answered_408() {
    let options = Options::default().env("MAX_CONCURRENT_REQUESTS", "1");
    let options = options.env("CLIENT_TIMEOUT", "6").env("CLIENT_BODY_TIMEOUT", "8");
    let stack = Stack::start(options).await;
    let url = stack.url();
    let id = create(&url, "patient").await;
    let upserts = path(&id, "upsert");
    let mut slow = Vec::new();
    // Nothing of a body; a byte now and then; the same in chunks; half a head.
    let mut silent = Raw::to(&stack).await;
    silent.send(&head("POST", &upserts, Some(100_000))).await;
    slow.push(tokio::spawn(silent.rest(SOON)));
    for (length, piece) in [(Some(100_000), " ".to_owned()), (None, chunk(" "))] {
        let mut dribbling = Raw::to(&stack).await;
        dribbling.send(&head("POST", &upserts, length)).await;
        slow.push(tokio::spawn(dribbling.dribble(piece, DRIBBLE, SOON)));
    }
    let mut half = Raw::to(&stack).await;
    half.send("POST /api/v2/").await;
    slow.push(tokio::spawn(half.rest(SOON)));
    until(SOON, "their bodies are awaited", async || {
        status(&stack).await["requests"]["body_bytes"].as_u64() >= Some(200_000)
    })
    .await;
    assert_eq!(status(&stack).await["requests"]["in_flight"], 0);
    upsert(&url, &id, "meanwhile", "there").await;
    for answered in slow {
        let answer = answered.await.expect("a client's task");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
    assert_eq!(document(&url, &id, "meanwhile").await, "there");
    until(SOON, "nothing is held for them", async || status(&stack).await["requests"]["body_bytes"] == 0)
        .await;
}

/// Larger than what the kernels of both sides keep for a connection.
const LARGE: usize = 24;

#[tokio::test]
async fn who_does_not_take_an_answer_keeps_a_permit_and_is_let_go() {
    let options = Options::default().env("CLIENT_TIMEOUT", "20");
    let options = options.env("MAX_CONCURRENT_REQUESTS", "8").env("REQUEST_QUEUE_SIZE", "0");
    let stack = Stack::start(options).await;
    let url = stack.url();
    let id = create(&url, "large").await;
    for record in 0..LARGE {
        upsert(&url, &id, &format!("r{record}"), &"word ".repeat(200_000)).await;
    }
    let body = json!({"include": ["documents"]}).to_string();
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Raw::narrow(&stack).await;
        client.send(&(head("POST", &path(&id, "get"), Some(body.len())) + &body)).await;
        clients.push(client);
    }
    until(SOON, "six answers are under way", async || {
        status(&stack).await["requests"]["reads"]["in_flight"] == 6
    })
    .await;
    for client in &clients {
        assert!(client.is_answered(SOON).await);
    }
    // The reads' share is taken, the writes' is not.
    let (refused, answer) = records(&url, &id, "get", &json!({"ids": ["r1"]})).await;
    assert_eq!(refused, 503, "{answer}");
    for record in 0..3 {
        upsert(&url, &id, &format!("meanwhile-{record}"), "there").await;
    }
    assert_eq!(status(&stack).await["requests"]["reads"]["in_flight"], 6, "they are still there");
    until(SOON, "they are let go", async || status(&stack).await["requests"]["in_flight"] == 0).await;
    assert_eq!(document(&url, &id, "meanwhile-2").await, "there");
    drop(clients);
}

#[tokio::test]
async fn beyond_so_many_connections_the_next_waits_until_one_closes() {
    let options = Options::default().env("MAX_CONNECTIONS", "3").env("WORKERS", "1");
    let stack = Stack::start(options).await;
    let hello = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = Raw::to(&stack).await;
        client.send(hello).await;
        assert!(client.is_answered(SOON).await);
        open.push(client);
    }
    let mut next = Raw::to(&stack).await;
    next.send(hello).await;
    assert!(!next.is_answered(Duration::from_secs(2)).await, "it waits");
    open.pop().expect("a connection").reset();
    assert!(next.is_answered(SOON).await);
}

/// Every part of a request is waited for so long and no longer, also of a later request on a connection; who waits
/// for an answer, or takes one, is left alone.
#[tokio::test]
async fn a_connection_on_which_nothing_is_asked_is_closed() {
    let options = Options::default().env("CLIENT_IDLE_TIMEOUT", "2").env("CLIENT_TIMEOUT", "2");
    let stack = Stack::start(options.env("PROBE_TIMEOUT", "20")).await;
    let begun = Instant::now();
    let hello = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut idle = Raw::to(&stack).await;
    idle.send(hello).await;
    let idle = tokio::spawn(idle.rest(SOON));
    // Half a second head, and one that never ends.
    let mut half = Raw::to(&stack).await;
    half.send(&format!("{hello}GET /livez HTTP/1.1\r\nhost:")).await;
    let half = tokio::spawn(half.rest(SOON));
    let mut dribbling = Raw::to(&stack).await;
    dribbling.send(&format!("{hello}GET /livez HTTP/1.1\r\nx-a: ")).await;
    let dribbling = tokio::spawn(dribbling.dribble("b".to_owned(), DRIBBLE, SOON));
    let mut taking = Raw::to(&stack).await;
    taking.send("GET /dashboard/events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    for (who, closed) in [("idle", idle), ("half", half), ("dribbling", dribbling)] {
        let answer = closed.await.expect("a client's task");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{who}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{who}: {answer:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let taken = taking.taken(Duration::from_secs(8)).await;
    assert!(taken.matches("data:").count() >= 6, "it was cut off: {taken}");
}

/// What comes after a body in chunks, and beside their sizes, is waited for no longer than the body.
#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let options = Options::default().env("CLIENT_TIMEOUT", "5").env("CLIENT_BODY_TIMEOUT", "3");
    let stack = Stack::start(options).await;
    let id = create(&stack.url(), "endless").await;
    let mut slow = Vec::new();
    for begun in ["5;", "0\r\nx-a: "] {
        let mut client = Raw::to(&stack).await;
        client.send(&(head("POST", &path(&id, "upsert"), None) + begun)).await;
        slow.push(tokio::spawn(client.dribble("a".to_owned(), DRIBBLE, SOON)));
    }
    for answered in slow {
        let answer = answered.await.expect("a client's task");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
    upsert(&stack.url(), &id, "next", "there").await;
}
