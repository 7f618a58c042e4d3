//! What the balancer says about itself, as a test waits for it: a node's state, an empty backlog, a
//! figure of `/metrics`. It also sends requests that plain JSON cannot express.

use std::time::Duration;

use reqwest::{Body, Method};
use serde_json::{Value, json};

use super::client::{client, get, post};
use super::nodes::{collections_url, until};

/// A returning node must be probed, settle and catch up, on a busy machine.
pub(crate) const RETURN: Duration = Duration::from_secs(20);

/// As the balancer names them: the primary, the first replica.
pub(crate) const NODES: [&str; 2] = ["primary", "replica-1"];

/// Creates a collection in the default database and returns its id.
pub(crate) async fn create(url: &str, name: &str) -> String {
    let (status, made) = post(&collections_url(url), &json!({"name": name})).await;
    assert_eq!(status, 200, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

/// A record route: `get`, `add`, `count`, ...
pub(crate) async fn records(url: &str, id: &str, verb: &str, body: &Value) -> (u16, Value) {
    post(&format!("{}/{id}/{verb}", collections_url(url)), body).await
}

/// Writes one record with a document and expects it to be taken.
pub(crate) async fn upsert(url: &str, id: &str, record: &str, document: &str) {
    let body = json!({"ids": [record], "embeddings": [[1.0, 2.0, 3.0]], "documents": [document]});
    let (status, answer) = records(url, id, "upsert", &body).await;
    assert_eq!(status, 200, "{answer}");
}

/// The document of a record as the address shows it; null when there is none.
pub(crate) async fn document(url: &str, id: &str, record: &str) -> Value {
    let body = json!({"ids": [record], "include": ["documents"]});
    let (status, answer) = records(url, id, "get", &body).await;
    assert_eq!(status, 200, "{answer}");
    answer["documents"][0].clone()
}

/// `up`, `down`, ... as `/status` says it.
pub(crate) async fn node_state(url: &str, node: &str) -> String {
    let (_, status) = get(&format!("{url}/status")).await;
    let nodes = status["nodes"].as_array().expect("nodes");
    let found = nodes.iter().find(|one| one["name"] == node).expect("the node");
    found["state"].as_str().expect("a state").to_owned()
}

pub(crate) async fn until_state(url: &str, node: &str, state: &str) {
    until(RETURN, &format!("{node} is {state}"), async || node_state(url, node).await == state).await;
}

/// Every node has applied the whole log.
pub(crate) async fn until_quiet(url: &str) {
    let quiet = async || get(&format!("{url}/wal/status")).await.1["pending_writes"] == 0;
    until(RETURN, "no write is pending", quiet).await;
}

/// Every sample of one counter of `/wal/stats`.
pub(crate) fn total(counter: &Value) -> f64 {
    counter.as_array().into_iter().flatten().filter_map(|sample| sample["value"].as_f64()).sum()
}

/// A sample of `/metrics` by its name with labels; 0 when it is not there yet.
pub(crate) async fn metric(url: &str, sample: &str) -> f64 {
    let (_, text) = get(&format!("{url}/metrics")).await;
    let text = text.as_str().expect("text").to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

/// Status, headers that name the content, and the text as it came.
pub(crate) async fn exchange(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> (u16, String, String) {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = client().request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap_or_else(|reason| panic!("{url}: no answer: {reason:?}"));
    let status = answer.status().as_u16();
    let content = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
    let content = content.unwrap_or_default().to_owned();
    (status, content, answer.text().await.expect("a text"))
}
