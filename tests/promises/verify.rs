//! Is a record that was altered on one node, past the balancer, found and named, and is the node given
//! everything anew, while writes go on? Compared are the nodes themselves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::nodes::{collections_url, node_records, read};
use crate::harness::surface::{NODES, create, document, metric, records, until_quiet, until_state, upsert};
use crate::harness::twin::id_of;
use crate::harness::{Load, Options, Stack, Verb, get, post, until};

const SOON: Duration = Duration::from_secs(90);

async fn stack() -> Stack {
    let stack = Stack::start(Options::default().env("VERIFY_INTERVAL", "0")).await;
    for node in NODES {
        until_state(&stack.url(), node, "up").await;
    }
    stack
}

/// A collection with these many records, equal on both nodes. The cosine space: Chroma rounds what it
/// is given back.
async fn filled(stack: &Stack, name: &str, count: usize) -> String {
    let body = json!({ "name": name, "configuration": { "hnsw": { "space": "cosine" } } });
    let (status, made) = post(&collections_url(&stack.url()), &body).await;
    assert_eq!(status, 200, "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    for chunk in (0..count).collect::<Vec<_>>().chunks(250) {
        let body = json!({
            "ids": chunk.iter().map(|n| format!("r{n}")).collect::<Vec<_>>(),
            "embeddings": chunk.iter().map(|n| [*n as f32 * 0.3, 1.0, -0.7]).collect::<Vec<_>>(),
            "metadatas": chunk.iter().map(|n| json!({ "share": *n as f64 / 7.0, "n": n })).collect::<Vec<_>>(),
            "documents": chunk.iter().map(|n| format!("text {n}")).collect::<Vec<_>>(),
        });
        let (status, answer) = records(&stack.url(), &id, "add", &body).await;
        assert_eq!(status, 201, "{answer}");
    }
    until_quiet(&stack.url()).await;
    id
}

/// Changes a node's collection directly.
async fn past_the_balancer(stack: &Stack, node: usize, name: &str, verb: &str, body: Value) {
    let url = stack.nodes[node].url();
    let own = id_of(&url, name).await;
    let (status, answer) = records(&url, &own, verb, &body).await;
    assert!(status < 300, "{status} {answer}");
}

async fn begin(stack: &Stack, body: &Value) {
    let (status, answer) = post(&format!("{}/admin/verify", stack.url()), body).await;
    assert_eq!(status, 202, "{answer}");
}

async fn over(stack: &Stack) -> Value {
    let url = format!("{}/admin/verify", stack.url());
    until(SOON, "the verification is over", async || get(&url).await.1["state"] == "over").await;
    get(&url).await.1
}

#[tokio::test]
async fn a_record_altered_on_one_node_is_named_and_the_node_ends_equal() {
    let stack = stack().await;
    let docs = filled(&stack, "docs", 700).await;
    filled(&stack, "other", 3).await;
    begin(&stack, &json!({})).await;
    let clean = over(&stack).await;
    assert_eq!((&clean["clean"], &clean["equal"], &clean["records"]), (&json!(true), &json!(2), &json!(703)));

    let altered = json!({ "ids": ["r345"], "documents": ["altered"] });
    past_the_balancer(&stack, 1, "docs", "update", altered).await;
    begin(&stack, &json!({ "collection": "docs", "repair": false })).await;
    let told = over(&stack).await;
    let found = &told["differences"][0];
    assert_eq!((&found["node"], &found["records"]), (&json!("replica-1"), &json!(["r345"])), "{told}");
    assert_eq!((&found["repair"], &told["clean"]), (&json!("left"), &json!(false)), "{told}");
    assert_eq!(node_records(&stack.nodes[1].url(), "docs").await["r345"].2, json!("altered"));

    past_the_balancer(&stack, 1, "docs", "delete", json!({ "ids": ["r1"] })).await;
    past_the_balancer(&stack, 1, "docs", "add", json!({ "ids": ["extra"], "embeddings": [[1, 1, 1]] })).await;
    begin(&stack, &json!({ "collection": docs })).await;
    let url = format!("{}/admin/verify", stack.url());
    let named = async || get(&url).await.1["differing"] == 1;
    until(SOON, "the difference is found", named).await;
    for _ in 0..30 {
        assert_eq!(document(&stack.url(), &docs, "r345").await, "text 345", "never shown once it is known");
    }
    let told = over(&stack).await;
    assert_eq!(told["differences"][0]["records"], json!(["r1", "r345", "extra"]), "{told}");
    assert_eq!(
        (&told["differences"][0]["repair"], &told["clean"]),
        (&json!("equal"), &json!(true)),
        "{told}"
    );
    assert_eq!(node_records(&stack.nodes[1].url(), "docs").await["r345"].2, json!("text 345"));
    assert_eq!(node_records(&stack.nodes[1].url(), "docs").await.len(), 700);
    assert_eq!(metric(&stack.url(), "chroma_ha_differences_total{node=\"replica-1\"}").await, 2.0);
    until_state(&stack.url(), "replica-1", "up").await;
}

#[tokio::test]
async fn under_a_load_of_writes_only_the_altered_record_is_found() {
    let stack = stack().await;
    let docs = filled(&stack, "docs", 600).await;
    let load = Load::start(&stack.url(), 8, 4).await;
    load.a_round(SOON).await;
    begin(&stack, &json!({})).await;
    let told = over(&stack).await;
    assert_eq!((&told["differing"], &told["undecided"]), (&json!(0), &json!(0)), "{told}");
    let altered = json!({ "ids": ["r77"], "embeddings": [[9.0, 9.0, 9.0]] });
    past_the_balancer(&stack, 1, "docs", "update", altered).await;
    // The collection that holds the altered record is written, too.
    let writing = async {
        for n in 0..200 {
            upsert(&stack.url(), &docs, &format!("r{}", n % 20), &format!("again {n}")).await;
        }
    };
    let verifying = async {
        begin(&stack, &json!({})).await;
        over(&stack).await
    };
    let ((), told) = tokio::join!(writing, verifying);
    assert_eq!((&told["differing"], &told["undecided"]), (&json!(1), &json!(0)), "{told}");
    assert_eq!(told["differences"][0]["records"], json!(["r77"]), "{told}");
    assert_eq!(told["differences"][0]["repair"], "equal", "{told}");
    load.a_round(SOON).await;
    load.assert_nothing_failed();
    load.end(&stack, SOON).await;
}

async fn program(stack: &Stack, more: &[&str]) -> (i32, String) {
    let ended = Verb::of(&[&["verify", "--url", &stack.url()], more].concat()).ended().await;
    (ended.code, ended.said())
}

#[tokio::test]
async fn the_command_line_tells_by_its_exit_code() {
    let stack = stack().await;
    filled(&stack, "docs", 40).await;
    let (code, text) = program(&stack, &["--collection", "docs"]).await;
    assert_eq!(code, 0, "{text}");
    past_the_balancer(&stack, 1, "docs", "delete", json!({ "ids": ["r5"] })).await;
    let (code, text) = program(&stack, &["--no-repair"]).await;
    assert!(code == 1 && text.contains("r5") && text.contains("left as it is"), "{code} {text}");
    let (code, text) = program(&stack, &[]).await;
    assert!(code == 1 && text.contains("copied anew, now equal"), "{code} {text}");
    let (code, text) = program(&stack, &[]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = program(&stack, &["--collection", "nothing"]).await;
    assert!(code == 1 && text.contains("no collection has the id or name `nothing`"), "{text}");
}

/// A tenth of the interval after the start.
#[tokio::test]
async fn it_verifies_by_time() {
    let stack = Stack::start(Options::default().env("VERIFY_INTERVAL", "0.01")).await;
    let docs = create(&stack.url(), "docs").await;
    upsert(&stack.url(), &docs, "a", "text").await;
    until_quiet(&stack.url()).await;
    past_the_balancer(&stack, 1, "docs", "update", json!({ "ids": ["a"], "documents": ["altered"] })).await;
    // While it is copied anew the collection may be missing, or empty.
    let repaired = async || {
        let records = read(&stack.nodes[1].url(), "docs").await.unwrap_or_default();
        records.get("a").is_some_and(|record| record.2 == json!("text"))
    };
    until(SOON, "the altered record is found and repaired", repaired).await;
    let (_, status) = get(&format!("{}/status", stack.url())).await;
    assert!(status["verification"]["started_at_ms"].is_u64(), "{status}");
}
