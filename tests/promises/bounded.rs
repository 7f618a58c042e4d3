//! What happens to more requests than may be worked on, or held in memory (G7)? So many wait, for so long;
//! every other one is answered 503 with `Retry-After`. A request counts until its work ends, also when its
//! client has gone. Reads go on while writes are refused.

use std::time::Duration;

use chroma_ha::dev::Chroma;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::client::{Answer, exchange};
use crate::harness::nodes::collections_url;
use crate::harness::raw::{Raw, chunk, head};
use crate::harness::surface::{create, document, exchange as send, metric, upsert};
use crate::harness::{Options, Stack, get, until};

const SOON: Duration = Duration::from_secs(20);

/// Sends a write and does not read the answer.
async fn begin_upsert(stack: &Stack, id: &str, record: &str) -> TcpStream {
    let body = json!({"ids": [record], "embeddings": [[1, 2, 3]], "documents": ["begun"]}).to_string();
    let path = collections_url("");
    let head = format!(
        "POST {path}/{id}/upsert HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(("127.0.0.1", stack.balancer.port())).await.expect("the balancer");
    socket.write_all((head + &body).as_bytes()).await.expect("a written request");
    socket
}

async fn until_requests(stack: &Stack, field: &str, count: u64) {
    until(SOON, &format!("{count} requests {field}"), async || requests(stack).await[field] == count).await;
}

/// Needs no permit: it answers when everything is taken.
async fn requests(stack: &Stack) -> Value {
    get(&format!("{}/status", stack.url())).await.1["requests"].clone()
}

fn assert_shed(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
    assert!(answer.body["message"].as_str().is_some_and(|text| text.contains(why)), "{}", answer.body);
}

#[tokio::test]
async fn beyond_its_bounds_it_answers_503_and_who_left_still_counts() {
    let options = Options::default().env("PROBE_TIMEOUT", "60").env("MAX_CONCURRENT_REQUESTS", "2");
    let options = options.env("REQUEST_QUEUE_SIZE", "1").env("QUEUE_TIMEOUT", "10");
    let mut stack = Stack::start(options).await;
    let url = stack.url();
    let id = create(&url, "narrow").await;
    upsert(&url, &id, "first", "there").await;
    stack.nodes.iter_mut().for_each(Chroma::sigstop);
    let begun = [begin_upsert(&stack, &id, "one").await, begin_upsert(&stack, &id, "two").await];
    until_requests(&stack, "waiting_for_verdict", 2).await;
    for socket in begun {
        // Reset: a client that merely closes is not noticed before it is written to.
        socket.set_zero_linger().expect("a socket");
    }
    let count = format!("{}/{id}/count", collections_url(&url));
    let waiting = tokio::spawn({
        let count = count.clone();
        async move { exchange(Method::GET, &count, None).await.expect("an answer") }
    });
    until_requests(&stack, "queued", 1).await;
    let refused = exchange(Method::GET, &count, None).await.expect("an answer");
    assert_shed(&refused, "too many requests are waiting");
    let waited = timeout(SOON, waiting).await.expect("the wait ends in time").expect("an answer");
    assert_shed(&waited, "waited too long");
    assert_eq!(requests(&stack).await["in_flight"], 2, "their clients have gone, their work has not");
    stack.nodes.iter_mut().for_each(Chroma::sigcont);
    until_requests(&stack, "in_flight", 0).await;
    for record in ["one", "two"] {
        assert_eq!(document(&url, &id, record).await, "begun");
    }
}

/// Writes until every node that is up has it: one that stands still, and is not known to, holds them up.
async fn begin_write_everywhere(stack: &Stack, id: &str, record: &str) -> Raw {
    let body = json!({"ids": [record], "embeddings": [[1, 2, 3]]}).to_string();
    let head = head("POST", &format!("{}/{id}/upsert", collections_url("")), Some(body.len()));
    let mut client = Raw::to(stack).await;
    client.send(&head.replacen("\r\n", "\r\nx-chroma-ha-ack: all\r\n", 1)).await;
    client.send(&body).await;
    client
}

#[tokio::test]
async fn reads_flow_while_writes_are_refused() {
    let options = Options::default().env("PROBE_TIMEOUT", "60").env("MAX_CONCURRENT_REQUESTS", "8");
    let mut stack = Stack::start(options.env("REQUEST_QUEUE_SIZE", "4").env("QUEUE_TIMEOUT", "60")).await;
    let url = stack.url();
    let id = create(&url, "flood").await;
    upsert(&url, &id, "first", "there").await;
    stack.replica().sigstop();
    let mut writers = vec![begin_write_everywhere(&stack, &id, "one").await];
    // From then on the replica is not read.
    let taken = async || {
        let (_, log) = get(&format!("{url}/wal/status")).await;
        let pending = |node: usize| log["nodes"][node]["pending"].as_u64();
        pending(0) == Some(0) && pending(1) > Some(0)
    };
    until(SOON, "the primary alone has it", taken).await;
    for count in 2..=9 {
        writers.push(begin_write_everywhere(&stack, &id, &format!("w{count}")).await);
    }
    until(SOON, "writes have taken their share", async || {
        let requests = requests(&stack).await;
        requests["writes"]["in_flight"] == 6 && requests["queued"] == 3
    })
    .await;
    let body = json!({"ids": ["more"], "embeddings": [[1, 2, 3]]});
    let upserts = format!("{}/{id}/upsert", collections_url(&url));
    let refused = exchange(Method::POST, &upserts, Some(&body)).await.expect("an answer");
    assert_shed(&refused, "too many requests are waiting");
    for _ in 0..20 {
        assert_eq!(document(&url, &id, "first").await, "there");
    }
    assert_eq!(requests(&stack).await["writes"]["in_flight"], 6, "and the writes were there all the while");
    stack.replica().sigcont();
    for writer in writers {
        assert!(writer.is_answered(SOON).await);
    }
    until_requests(&stack, "in_flight", 0).await;
    upsert(&url, &id, "last", "there").await;
}

/// A write's body of so many bytes that changes one record.
fn padded(record: &str, bytes: usize) -> String {
    let body = json!({"ids": [record], "embeddings": [[1, 2, 3]]}).to_string();
    " ".repeat(bytes - body.len()) + &body
}

#[tokio::test]
async fn bodies_beyond_their_memory_wait_and_are_refused_and_reads_go_on() {
    let options = Options::default().env("MAX_BODY_MEMORY", "1048576").env("QUEUE_TIMEOUT", "3");
    let stack = Stack::start(options).await;
    let url = stack.url();
    let id = create(&url, "fat").await;
    let upserts = format!("{}/{id}/upsert", collections_url(&url));
    let json = [("content-type", "application/json")];
    // More than ever fits.
    for body in [padded("huge", 800 << 10).into(), stream(padded("huge", 800 << 10))] {
        let (status, _, text) = send("POST", &upserts, &json, body).await;
        assert_eq!((status, text.contains("MAX_BODY_MEMORY")), (413, true), "{text}");
    }
    assert_eq!(send("POST", &upserts, &json, stream(padded("large", 700 << 10))).await.0, 200);
    upsert(&url, &id, "first", "there").await;
    // It says what it will send, and sends nothing: the room is taken.
    let mut greedy = Raw::to(&stack).await;
    greedy.send(&head("POST", &format!("{}/{id}/upsert", collections_url("")), Some(700 << 10))).await;
    until_requests(&stack, "body_bytes", 700 << 10).await;
    let body = json!({"ids": ["x".repeat(100 << 10)], "embeddings": [[1, 2, 3]]});
    let refused = exchange(Method::POST, &upserts, Some(&body)).await.expect("an answer");
    assert_shed(&refused, "no room came free in time");
    assert!(metric(&url, r#"chroma_ha_shed_total{bound="bodies"}"#).await >= 1.0);
    assert_eq!(document(&url, &id, "first").await, "there");
    greedy.reset();
    until_requests(&stack, "body_bytes", 0).await;
    assert_eq!(send("POST", &upserts, &json, padded("small", 100 << 10)).await.0, 200);
}

/// In chunks, without its length.
fn stream(body: String) -> reqwest::Body {
    reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(body)]))
}

#[tokio::test]
async fn half_received_bodies_do_not_wait_for_each_other_for_ever() {
    let options = Options::default().env("MAX_BODY_MEMORY", "1048576").env("QUEUE_TIMEOUT", "2");
    let stack = Stack::start(options).await;
    let id = create(&stack.url(), "halves").await;
    let path = format!("{}/{id}/upsert", collections_url(""));
    let mut halves = Vec::new();
    for _ in 0..3 {
        let mut half = Raw::to(&stack).await;
        half.send(&(head("POST", &path, None) + &chunk(&" ".repeat(250 << 10)))).await;
        halves.push(half);
    }
    // Each has doubled its room to 256 KiB, and all that one share may take is taken.
    until_requests(&stack, "body_bytes", 768 << 10).await;
    let rest = chunk(&padded("half", 250 << 10)) + "0\r\n\r\n";
    for half in &mut halves {
        half.send(&rest).await;
    }
    let mut refused = 0;
    for half in halves {
        let answer = half.answer(SOON).await;
        if answer.starts_with("HTTP/1.1 503 ") {
            assert!(answer.contains("retry-after: 1"), "{answer}");
            refused += 1;
        } else {
            // What one gave up is room for another.
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }
    assert!(refused > 0);
    until_requests(&stack, "body_bytes", 0).await;
    upsert(&stack.url(), &id, "after", "there").await;
}

#[tokio::test]
async fn a_machine_short_of_memory_is_told_no_more_writes() {
    let group = tempfile::tempdir().expect("a folder");
    let used = |percent: u64| {
        let file = group.path().join(".current");
        std::fs::write(&file, (percent << 20).to_string()).expect("a file");
        std::fs::rename(file, group.path().join("memory.current")).expect("its name");
    };
    for (file, text) in
        [("memory.max", (100u64 << 20).to_string()), ("memory.stat", "inactive_file 0".into())]
    {
        std::fs::write(group.path().join(file), text).expect("a file");
    }
    used(20);
    let folder = group.path().to_str().expect("a path");
    let options = Options::default().env("CHROMA_HA_CGROUP", folder);
    let stack = Stack::start(options.env("WAL_MEMORY_THRESHOLD", "80")).await;
    let url = stack.url();
    let id = create(&url, "short").await;
    upsert(&url, &id, "first", "there").await;
    used(95);
    let pressure = async || get(&format!("{url}/status")).await.1["resources"]["pressure"].clone();
    until(SOON, "it is noticed", async || pressure().await == "shed").await;
    let body = json!({"ids": ["no"], "embeddings": [[1, 2, 3]]});
    for path in [format!("{}/{id}/upsert", collections_url(&url)), format!("{url}/api/v1/collections")] {
        let refused = exchange(Method::POST, &path, Some(&body)).await.expect("an answer");
        assert_shed(&refused, "nearly out of memory");
    }
    assert!(metric(&url, r#"chroma_ha_shed_total{bound="memory"}"#).await >= 2.0);
    assert_eq!(document(&url, &id, "first").await, "there");
    used(20);
    until(SOON, "it is over", async || pressure().await != "shed").await;
    upsert(&url, &id, "again", "there").await;
}
