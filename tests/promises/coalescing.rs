//! Do writes that go to Chroma in one request end as if each had gone by itself? Many clients write to a few
//! records at once, well-formed and not; then a bare Chroma gets the same requests one by one, in the order of
//! the log. Every answer and the records at the end must be the same.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chroma_ha_core::entry::Op;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::suffix::Chance;
use crate::harness::client::exchange;
use crate::harness::nodes::{collections_url, difference, node_records};
use crate::harness::stack::start_nodes;
use crate::harness::status::PATIENCE;
use crate::harness::surface::{metric, until_quiet};
use crate::harness::{Options, Place, Stack, assert_nodes_equal, post};

/// Each with one request at a time.
const CLIENTS: usize = 40;
const WRITES: usize = 12;

const OPS: [Op; 4] = [Op::Upsert, Op::Update, Op::Add, Op::Delete];

/// A write and what its client heard.
struct Told {
    op: Op,
    body: Value,
    status: u16,
    answer: Value,
}

/// One in four is spelt as the Python client does, some say only part of a record.
fn body(chance: &mut Chance, op: Op) -> Value {
    if op == Op::Delete {
        return chance.deletion();
    }
    let mut body = chance.rows(op);
    if chance.below(4) == 0 {
        for row in body["embeddings"].as_array_mut().expect("rows") {
            let numbers = row.as_array().map(|row| row.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
            if let Some(numbers) = numbers {
                let bytes: Vec<u8> = numbers.iter().flat_map(|n| (*n as f32).to_le_bytes()).collect();
                *row = STANDARD.encode(bytes).into();
            }
        }
    }
    let fields = body.as_object_mut().expect("an object");
    for field in ["documents", "metadatas"] {
        if chance.below(4) == 0 {
            fields.remove(field);
        }
    }
    if chance.below(25) == 0 {
        fields.insert("documents".to_owned(), json!(["one too many", "", "", "", ""]));
    }
    body
}

async fn client(records: &str, seed: u64) -> Vec<(String, Told)> {
    let (mut chance, mut told) = (Chance(seed), Vec::new());
    for write in 0..WRITES {
        // Most do the same at the same time.
        let op = if chance.below(8) == 0 { chance.of(&OPS) } else { OPS[write % OPS.len()] };
        let body = body(&mut chance, op);
        let url = format!("{records}/{}", op.name());
        let answer = exchange(Method::POST, &url, Some(&body)).await.expect("an answer");
        let write_id = answer.headers["x-chroma-ha-write-id"].to_str().expect("an id").to_owned();
        told.push((write_id, Told { op, body, status: answer.status, answer: answer.body }));
    }
    told
}

async fn order(stack: &Stack) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(&stack.database_url, NoTls).await.expect("a session");
    tokio::spawn(connection);
    let rows = client.query("SELECT write_id FROM wal_pending_writes ORDER BY seq", &[]).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn writes_that_go_together_end_as_if_each_had_gone_alone() {
    let place = Place::new("bare");
    let (stack, bare) = tokio::join!(Stack::start(Options::default()), start_nodes(&place, 1, false));
    let url = stack.url();
    let made = async |url: String| {
        let id = post(&collections_url(&url), &json!({"name": "together"})).await.1["id"].clone();
        format!("{}/{}", collections_url(&url), id.as_str().expect("an id"))
    };
    let (ours, theirs) = (made(url.clone()).await, made(bare[0].url()).await);
    let clients = stream::iter(0..CLIENTS).map(|n| client(&ours, 7_000 + n as u64)).buffer_unordered(CLIENTS);
    let mut told: BTreeMap<String, Told> = clients.collect::<Vec<_>>().await.into_iter().flatten().collect();
    until_quiet(&url).await;
    let mut statuses = BTreeMap::<u16, usize>::new();
    for write_id in order(&stack).await {
        let Some(Told { op, body, status, answer }) = told.remove(&write_id) else { continue };
        let (wanted, text) = post(&format!("{theirs}/{}", op.name()), &body).await;
        assert_eq!((status, &answer), (wanted, &text), "{} {body}", op.name());
        *statuses.entry(status).or_default() += 1;
    }
    assert!(told.is_empty(), "not in the log: {:?}", told.keys());
    assert!(statuses[&400] > 10 && statuses[&200] > 100, "{statuses:?}");
    assert_nodes_equal(&stack, "together", PATIENCE).await;
    let (one, other) = (
        node_records(&stack.nodes[0].url(), "together").await,
        node_records(&bare[0].url(), "together").await,
    );
    assert_eq!(difference(&one, &other), None, "the primary (first) and the bare Chroma");
    for node in ["primary", "replica-1"] {
        let of = |what: &str| format!("chroma_ha_apply_entries_{what}{{node=\"{node}\"}}");
        let (sum, count) = (metric(&url, &of("sum")).await, metric(&url, &of("count")).await);
        println!("{node}: {sum} writes in {count} requests, answers {statuses:?}");
        assert!(sum > 1.25 * count, "{node}: {sum} writes in {count} requests");
    }
}
