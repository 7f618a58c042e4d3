//! What happens to more requests than may be worked on (G7)? So many wait, for so long; every other one is
//! answered 503 with `Retry-After`. A request counts until its work ends, also when its client has gone.

use std::time::Duration;

use chroma_ha::dev::Chroma;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::client::{Answer, exchange};
use crate::harness::nodes::collections_url;
use crate::harness::surface::{create, document, upsert};
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
    let options = options.env("REQUEST_QUEUE_SIZE", "1").env("QUEUE_TIMEOUT", "3");
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
