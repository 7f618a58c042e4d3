//! Does a Chroma server with data keep it when a balancer comes in front, and does an empty replica
//! get it? The primary's ids stay valid; nothing that nobody knows is overwritten. Not with the cosine
//! space: there Chroma itself reads embeddings back a rounding step off, so a copy of them is, too.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::nodes::{collections_url, difference, node_records};
use crate::harness::stack::start_nodes;
use crate::harness::status::until_all_up;
use crate::harness::{Load, Options, Place, Record, Stack, assert_nodes_equal, get, post, until};

const SOON: Duration = Duration::from_secs(60);

/// Creates a collection directly on a node and fills it; returns the node's id.
async fn fill(node_url: &str, name: &str, records: std::ops::Range<usize>, text: &str) -> String {
    let choice = json!({ "metadata": { "owner": "before" },
        "configuration": { "hnsw": { "space": "ip", "ef_construction": 123 } } });
    fill_with(node_url, name, records, text, &choice).await
}

async fn fill_with(
    node_url: &str,
    name: &str,
    records: std::ops::Range<usize>,
    text: &str,
    choice: &Value,
) -> String {
    let base = collections_url(node_url);
    let mut body = choice.clone();
    body["name"] = json!(name);
    let (status, made) = post(&base, &body).await;
    assert_eq!(status, 200, "{made}");
    let id = made["id"].as_str().unwrap().to_owned();
    let all: Vec<usize> = records.collect();
    for chunk in all.chunks(500) {
        let body = json!({
            "ids": chunk.iter().map(|n| format!("r{n}")).collect::<Vec<_>>(),
            "embeddings": chunk.iter().map(|n| [*n as f32 * 0.1, 1.0, -0.5]).collect::<Vec<_>>(),
            "metadatas": chunk.iter().map(|n| json!({ "n": n, "share": *n as f64 / 7.0, "even": n % 2 == 0 })).collect::<Vec<_>>(),
            "documents": chunk.iter().map(|n| format!("{text} {n}")).collect::<Vec<_>>(),
        });
        let (status, answer) = post(&format!("{base}/{id}/add"), &body).await;
        assert_eq!(status, 201, "{answer}");
    }
    id
}

#[tokio::test]
async fn existing_data_is_adopted_and_the_empty_replica_is_filled_while_writes_go_on() {
    let place = Place::new("adoption");
    let nodes = start_nodes(&place, 2, false).await;
    let primary = nodes[0].url();
    let docs = fill(&primary, "docs", 0..2_000, "text").await;
    fill(&primary, "notes", 0..300, "note").await;
    fill(&primary, "empty", 0..0, "none").await;
    let stack = Stack::over(place, nodes, Options::default()).await;

    let url = collections_url(&stack.url());
    let (status, found) = get(&format!("{url}/docs")).await;
    assert_eq!((status, found["id"].as_str()), (200, Some(docs.as_str())), "{found}");
    for n in 0..40 {
        let body = json!({ "ids": [format!("r{}", n * 7), format!("fresh{n}")], "embeddings": [[9.0, 9.0, n], [8.0, 8.0, n]] });
        assert_eq!(post(&format!("{url}/{docs}/upsert"), &body).await.0, 200);
        let body = json!({ "ids": [format!("r{}", 1_000 + n)] });
        assert_eq!(post(&format!("{url}/{docs}/delete"), &body).await.0, 200);
    }
    for name in ["docs", "notes", "empty"] {
        assert_nodes_equal(&stack, name, SOON).await;
    }
    assert_eq!(node_records(&stack.nodes[1].url(), "docs").await.len(), 2_000);
    let configuration = |url: String| async move {
        let (_, found) = get(&format!("{}/docs", collections_url(&url))).await;
        (found["configuration_json"].clone(), found["metadata"].clone())
    };
    assert_eq!(configuration(stack.nodes[0].url()).await, configuration(stack.nodes[1].url()).await);
    until_all_up(&stack).await;
}

#[tokio::test]
async fn equal_data_on_both_nodes_is_in_sync_at_once() {
    let place = Place::new("adoption");
    let nodes = start_nodes(&place, 2, false).await;
    fill(&nodes[0].url(), "docs", 0..50, "text").await;
    let there = fill(&nodes[1].url(), "docs", 0..50, "text").await;
    let stack = Stack::over(place, nodes, Options::default()).await;
    until_all_up(&stack).await;
    // Kept, not copied: the replica's collection is still the one that it had.
    let (_, found) = get(&format!("{}/docs", collections_url(&stack.nodes[1].url()))).await;
    assert_eq!(found["id"].as_str(), Some(there.as_str()));
}

#[tokio::test]
async fn different_data_is_reported_and_left_alone() {
    let place = Place::new("adoption");
    let nodes = start_nodes(&place, 2, false).await;
    let docs = fill(&nodes[0].url(), "docs", 0..50, "mine").await;
    fill(&nodes[1].url(), "docs", 0..60, "theirs").await;
    let before = node_records(&nodes[1].url(), "docs").await;
    let stack = Stack::over(place, nodes, Options::default()).await;
    until(SOON, "the conflict is shown", async || {
        let (_, status) = get(&format!("{}/wal/status", stack.url())).await;
        status["quarantined"][0]["stream"] == json!(docs)
    })
    .await;
    let url = format!("{}/{docs}", collections_url(&stack.url()));
    for _ in 0..10 {
        let (status, count) = get(&format!("{url}/count")).await;
        assert_eq!((status, count), (200, json!(50)), "served from the primary only");
    }
    let body = json!({ "ids": ["new"], "embeddings": [[1.0, 2.0, 3.0]] });
    assert_eq!(post(&format!("{url}/add"), &body).await.0, 201);
    assert_eq!(difference(&before, &node_records(&stack.nodes[1].url(), "docs").await), None);
}

#[tokio::test]
async fn the_primary_wins_where_that_is_configured() {
    let place = Place::new("adoption");
    let nodes = start_nodes(&place, 2, false).await;
    fill(&nodes[0].url(), "docs", 0..50, "mine").await;
    fill(&nodes[1].url(), "docs", 0..60, "theirs").await;
    let options = Options::default().env("ADOPT_CONFLICT", "primary-wins");
    let stack = Stack::over(place, nodes, options).await;
    assert_nodes_equal(&stack, "docs", SOON).await;
    assert_eq!(node_records(&stack.nodes[1].url(), "docs").await.len(), 50);
}

#[tokio::test]
async fn records_that_came_past_the_balancer_are_nobodys_to_take_over() {
    let stack = Stack::start(Options::default()).await;
    until_all_up(&stack).await;
    fill(&stack.nodes[0].url(), "past", 0..5, "past").await;
    fill(&stack.nodes[1].url(), "beside", 0..5, "beside").await;
    let url = collections_url(&stack.url());
    let (status, refusal) = post(&url, &json!({ "name": "past", "get_or_create": true })).await;
    assert_eq!(status, 409, "{refusal}");
    // Only the replica holds other records under this name: the collection works, served without it.
    let (status, made) = post(&url, &json!({ "name": "beside", "get_or_create": true })).await;
    assert_eq!(status, 200, "{made}");
    let id = made["id"].as_str().unwrap();
    let body = json!({ "ids": ["mine"], "embeddings": [[1.0, 2.0, 3.0]] });
    assert_eq!(post(&format!("{url}/{id}/add"), &body).await.0, 201);
    for _ in 0..10 {
        assert_eq!(get(&format!("{url}/{id}/count")).await, (200, json!(1)));
    }
    until(SOON, "the conflict is told", async || {
        let (_, status) = get(&format!("{}/wal/status", stack.url())).await;
        status["quarantined"][0]["reason"].as_str().is_some_and(|reason| reason.contains("ADOPT_CONFLICT"))
    })
    .await;
    assert_eq!(node_records(&stack.nodes[1].url(), "beside").await.len(), 5);
}

/// The spaces and indexes that people choose, and a schema; metadata and documents come by themselves.
fn choices() -> [(&'static str, Value); 4] {
    [
        (
            "flat",
            json!({ "configuration": { "hnsw": { "space": "l2", "ef_search": 64, "max_neighbors": 24 } } }),
        ),
        (
            "inner",
            json!({ "configuration": { "hnsw": { "space": "ip", "ef_construction": 150 } }, "metadata": { "owner": "before", "rank": 3 } }),
        ),
        ("angles", json!({ "configuration": { "hnsw": { "space": "cosine" } } })),
        ("shaped", json!({ "schema": schema() })),
    ]
}

/// Numbers of the key `n` are not indexed.
fn schema() -> Value {
    let text = json!({ "fts_index": { "enabled": true, "config": {} },
        "string_inverted_index": { "enabled": false, "config": {} } });
    let vector = json!({ "enabled": true, "config": { "space": "ip", "source_key": "#document",
        "hnsw": { "ef_construction": 120 } } });
    json!({ "defaults": {}, "keys": {
        "n": { "int": { "int_inverted_index": { "enabled": false, "config": {} } } },
        "#document": { "string": text },
        "#embedding": { "float_list": { "vector_index": vector } },
    } })
}

#[tokio::test]
async fn ten_thousand_records_of_every_kind_are_adopted_and_copied_under_load() {
    const EACH: usize = 2_500;
    let place = Place::new("adoption");
    let nodes = start_nodes(&place, 2, false).await;
    let mut ids = Vec::new();
    for (name, choice) in choices() {
        ids.push(fill_with(&nodes[0].url(), name, 0..EACH, "text", &choice).await);
    }
    let stack = Stack::over(place, nodes, Options::default()).await;
    let load = Load::start(&stack.url(), 4, 2).await;
    let url = collections_url(&stack.url());
    for (at, id) in ids.iter().enumerate() {
        for n in 0..10 {
            let body =
                json!({ "ids": [format!("r{}", n * 7 + at)], "metadatas": [{ "even": null, "fresh": n }] });
            assert_eq!(post(&format!("{url}/{id}/update"), &body).await.0, 200);
            let body = json!({ "ids": [format!("r{}", 1_000 + n), format!("r{}", 2_000 + n * 3)] });
            assert_eq!(post(&format!("{url}/{id}/delete"), &body).await.0, 200);
        }
    }
    load.a_round(SOON).await;
    until_all_up(&stack).await;
    load.assert_nothing_failed();
    load.end(&stack, SOON).await;
    for (name, _) in choices() {
        let (ours, theirs) = (
            node_records(&stack.nodes[0].url(), name).await,
            node_records(&stack.nodes[1].url(), name).await,
        );
        assert_eq!(ours.len(), EACH - 20, "{name}");
        if name == "angles" {
            assert!(
                ours.iter().zip(&theirs).all(|(a, b)| near(a, b)),
                "{name} differs by more than rounding"
            );
        } else {
            assert_eq!(difference(&ours, &theirs), None, "{name}");
        }
        let told = async |url: String| {
            let (_, found) = get(&format!("{}/{name}", collections_url(&url))).await;
            (
                found["configuration_json"].clone(),
                found["metadata"].clone(),
                found["schema"]["keys"]["n"].clone(),
            )
        };
        assert_eq!(told(stack.nodes[0].url()).await, told(stack.nodes[1].url()).await, "{name}");
    }
}

fn near(ours: (&String, &Record), theirs: (&String, &Record)) -> bool {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * a.abs().max(b.abs());
    let ((id, (a, fields, text, uri)), (other, (b, their_fields, their_text, their_uri))) = (ours, theirs);
    id == other && a.iter().zip(b).all(close) && (fields, text, uri) == (their_fields, their_text, their_uri)
}
