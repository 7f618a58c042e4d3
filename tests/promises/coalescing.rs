//! Do writes that go to Chroma in one request end as if each had gone by itself? Many clients write to a few
//! records at once, well-formed and not; then a bare Chroma gets the same requests one by one, in the order of
//! the log. Every answer and the records at the end must be the same. `CHROMA_HA_COALESCING_SEED` chooses
//! other histories.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chroma_ha_core::entry::Op;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use super::suffix::{deletion, rows};
use crate::harness::campaign::Chance;
use crate::harness::client::exchange;
use crate::harness::nodes::{collections_url, difference, node_records};
use crate::harness::sql::connect;
use crate::harness::stack::start_nodes;
use crate::harness::status::PATIENCE;
use crate::harness::surface::{self, create, metric, records, until_quiet, until_state};
use crate::harness::{Options, Place, Refuser, Stack, assert_nodes_equal, post, until};

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
        return deletion(chance);
    }
    let mut body = rows(chance, op);
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
    let (mut chance, mut told) = (Chance::new(seed), Vec::new());
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
    let client = connect(&stack.database_url).await;
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
    let seed = std::env::var("CHROMA_HA_COALESCING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(7_000);
    let client = |n| client(&ours, seed + n as u64);
    let clients = stream::iter(0..CLIENTS).map(client).buffer_unordered(CLIENTS);
    let mut told: BTreeMap<String, Told> = clients.collect::<Vec<_>>().await.into_iter().flatten().collect();
    until_quiet(&url).await;
    let mut statuses = BTreeMap::<u16, usize>::new();
    for write_id in order(&stack).await {
        let Some(Told { op, body, status, answer }) = told.remove(&write_id) else { continue };
        let (wanted, text) = post(&format!("{theirs}/{}", op.name()), &body).await;
        assert_eq!((status, &answer), (wanted, &text), "seed {seed}: {} {body}", op.name());
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

/// The server says that it takes five records in one request.
#[tokio::test]
async fn no_request_that_is_made_here_has_more_records_than_the_server_takes() {
    let place = Place::new("small-batches");
    let nodes = start_nodes(&place, 1, false).await;
    let front = Refuser::before(nodes[0].url()).await;
    front.tell_batch_limit(5);
    let options = Options { nodes: 1, ..Options::default().env("PRIMARY_URL", &front.url()) };
    let stack = Stack::over(place, nodes, options).await;
    let url = stack.url();
    until_state(&url, "primary", "up").await;
    let id = create(&url, "small").await;
    let upsert = async |ids: Vec<String>| {
        let body = json!({"ids": ids, "embeddings": vec![[1, 2]; ids.len()]});
        assert_eq!(records(&url, &id, "upsert", &body).await.0, 200);
    };
    let writes = stream::iter(0..300).map(|n| upsert(vec![format!("r{n}")]));
    writes.buffer_unordered(CLIENTS).collect::<Vec<()>>().await;
    assert_eq!(front.largest(), 5);
    assert!(metric(&url, "chroma_ha_apply_run_ends_total{reason=\"records\"}").await > 0.0);
    // Whether a client's own request is too large is for the server to say.
    upsert((0..8).map(|n| format!("r{n}")).collect()).await;
    assert_eq!(front.largest(), 8);
}

/// As Python spells `[1, 2]`.
const CODED: &str = "AACAPwAAAEA=";

/// Histories of one collection each, as clients may spell them. They wait in the log while the primary
/// stands still, so that they go together as far as they may.
fn spelt() -> Vec<(&'static str, Vec<(Op, String)>)> {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let long = "word ".repeat(60_000);
    let row = |id: &str| format!(r#"{{"ids":["{id}"],"embeddings":[[1,2]]}}"#);
    let with = |id: &str, more: &str| format!(r#"{{"ids":["{id}"],"embeddings":[[1,2]],{more}}}"#);
    let (add, upsert, update, delete) = (Op::Add, Op::Upsert, Op::Update, Op::Delete);
    vec![
        ("an id again and again", vec![
            (add, with("a", r#""documents":["first"]"#)),
            (add, with("a", r#""documents":["ignored"]"#)),
            (add, row("b")),
            (upsert, with("a", r#""metadatas":[{"k":1}]"#)),
            (upsert, with("a", r#""documents":["last"],"metadatas":[{"k":null,"m":2}]"#)),
            (upsert, r#"{"ids":["c","c"],"embeddings":[[1,2],[3,4]],"documents":["x","y"]}"#.into()),
            (upsert, r#"{"ids":["c"],"embeddings":[[5,6]]}"#.into()),
        ]),
        ("the first one fixes the dimension", vec![
            (add, r#"{"ids":["a"],"embeddings":[[1,2,3]]}"#.into()),
            (add, row("b")),
            (add, r#"{"ids":["c"],"embeddings":[[4,5,6]]}"#.into()),
            (add, r#"{"ids":["d"],"embeddings":[[]]}"#.into()),
            (add, r#"{"ids":["e","f"],"embeddings":[[4,5,6],[1]]}"#.into()),
        ]),
        ("what is refused fixes none", vec![
            (add, with("a", r##""metadatas":[{"#k":1}]"##)),
            (add, r#"{"ids":["b"],"embeddings":[[1,2,3]]}"#.into()),
            (add, row("c")),
        ]),
        ("null, absent and empty", vec![
            (upsert, with("a", r#""documents":["x"],"uris":["u"],"metadatas":[{"k":1}]"#)),
            (upsert, with("a", r#""documents":[null],"uris":null,"metadatas":[null]"#)),
            (upsert, with("b", r#""documents":[""],"metadatas":[{}]"#)),
            (upsert, row("b")),
            (update, r#"{"ids":["a"],"documents":[null],"embeddings":null,"metadatas":[{"k":null}]}"#.into()),
            (update, r#"{"ids":["a"],"uris":["v"]}"#.into()),
            (update, r#"{"ids":["a"]}"#.into()),
            (update, r#"{"ids":[]}"#.into()),
            (upsert, r#"{"ids":[],"embeddings":[]}"#.into()),
            (delete, r#"{"ids":[]}"#.into()),
            (upsert, with("c", r#""metadatas":[]"#)),
            (upsert, row("d")),
        ]),
        ("texts and lists", vec![
            (upsert, format!(r#"{{"ids":["a"],"embeddings":["{CODED}"]}}"#)),
            (upsert, format!(r#"{{"ids":["b"],"embeddings":["{CODED}"]}}"#)),
            (upsert, row("c")),
            (upsert, format!(r#"{{"ids":["d","e"],"embeddings":["{CODED}",[1,2]]}}"#)),
            (upsert, r#"{"ids":["f"],"embeddings":["AACA"]}"#.into()),
            (upsert, r#"{"ids":["g"],"embeddings":["\u0041ACAPwAAAEA="]}"#.into()),
            (upsert, row("h")),
        ]),
        ("how JSON may be spelt", vec![
            (upsert, row("a")),
            (upsert, format!("\u{feff}{}", row("bom"))),
            (upsert, format!(" \r\n{}\n", row("space"))),
            (upsert, format!("{} {{}}", row("trailing"))),
            (upsert, format!("{}\0", row("nul"))),
            (upsert, r#"{"i\u0064s":["\u0061\/b"],"embeddings":[[1,2]]}"#.into()),
            (upsert, row("\\ud83d\\ude00")),
            (upsert, row("\\ud83d")),
            (upsert, r#"{"ids":["x"],"ids":["y"],"embeddings":[[1,2]]}"#.into()),
            (upsert, r#"{"ids":["x"],"embeddings":[[1,2]],"ids":["y"]}"#.into()),
            (upsert, with("twice", r#""metadatas":[{"k":1,"k":2}]"#)),
            (upsert, with("include", r#""include":["documents"]"#)),
            (upsert, r#"[["l"],[[1,2]],null,null,null]"#.into()),
            (upsert, row("z")),
        ]),
        ("numbers", vec![
            (upsert, r#"{"ids":["a"],"embeddings":[[-0.0,1e-50]]}"#.into()),
            (upsert, r#"{"ids":["b"],"embeddings":[[1e400,1]]}"#.into()),
            (upsert, r#"{"ids":["c"],"embeddings":[[1e39,1]]}"#.into()),
            (upsert, r#"{"ids":["d"],"embeddings":[[1E2,16777217]]}"#.into()),
            (upsert, with("e", r#""metadatas":[{"i":9223372036854775807,"f":-0.0,"g":1e2}]"#)),
            (upsert, with("f", r#""metadatas":[{"i":9223372036854775808}]"#)),
            (upsert, with("g", r#""metadatas":[{"i":0.1,"j":0.30000000000000004}]"#)),
        ]),
        ("depth and length", vec![
            (upsert, row("a")),
            (upsert, with("b", &format!(r#""metadatas":[{{"k":{deep}}}]"#))),
            (upsert, with("c", &format!(r#""documents":["{long}"]"#))),
            (upsert, with("d", r#""metadatas":[{"k":[1,2]}]"#)),
            (upsert, with("e", r#""metadatas":[{"k":[1,"x"]}]"#)),
            (upsert, row("f")),
        ]),
        ("updates of what is there and what is not", vec![
            (upsert, row("a")),
            (update, r#"{"ids":["a","never"],"documents":["x","y"],"metadatas":[{"f":0.30000000000000004},null]}"#.into()),
            (update, r#"{"ids":["never"],"embeddings":[[1,2,3]]}"#.into()),
            (update, r#"{"ids":["a"],"embeddings":[[1,2,3]]}"#.into()),
            (update, r#"{"ids":["a","\ud83d"],"documents":["u","v"]}"#.into()),
            (update, r##"{"ids":["never"],"metadatas":[{"#k":1}]}"##.into()),
            (update, r#"{"ids":["a","a"],"documents":["y","z"],"embeddings":[null,[7,8]]}"#.into()),
            (delete, r#"{"ids":["a","never"]}"#.into()),
            (delete, r#"{"ids":["a","a"]}"#.into()),
            (delete, r#"{"ids":["\u0061"],"limit":null}"#.into()),
            (add, row("a")),
        ]),
    ]
}

#[tokio::test]
async fn however_they_are_spelt_they_end_as_if_each_had_gone_alone() {
    let place = Place::new("bare");
    let options = Options { nodes: 1, ..Options::default().env("CHECK_INTERVAL", "60") };
    let (mut stack, bare) = tokio::join!(Stack::start(options), start_nodes(&place, 1, false));
    let url = stack.url();
    for (n, (title, history)) in spelt().into_iter().enumerate() {
        let name = format!("spelt-{n}");
        let made = async |url: &str| create(url, &name).await;
        let (ours, theirs) = (made(&url).await, made(&bare[0].url()).await);
        let at = |url: &str, id: &str, op: Op| format!("{}/{id}/{}", collections_url(url), op.name());
        let json = [("content-type", "application/json")];
        // The log's order is that of the history: each is sent when the one before is in the log.
        stack.nodes[0].sigstop();
        let mut head = metric(&url, "chroma_ha_wal_head").await;
        let mut waiting = Vec::new();
        for (op, body) in history.iter().cloned() {
            let url_of = at(&url, &ours, op);
            waiting.push(tokio::spawn(async move { surface::exchange("POST", &url_of, &json, body).await }));
            head += 1.0;
            let logged = async || metric(&url, "chroma_ha_wal_head").await >= head;
            until(PATIENCE, "the write is in the log", logged).await;
        }
        stack.nodes[0].sigcont();
        for ((op, body), answer) in history.iter().zip(waiting) {
            let (status, _, text) = answer.await.expect("an answer");
            let wanted =
                surface::exchange("POST", &at(&bare[0].url(), &theirs, *op), &json, body.clone()).await;
            let (text, other) = (text.replace(&ours, "ID"), wanted.2.replace(&theirs, "ID"));
            let shown: String = body.chars().take(200).collect();
            assert_eq!((status, text), (wanted.0, other), "{title}: {} {shown}", op.name());
        }
        let (one, other) =
            (node_records(&stack.nodes[0].url(), &name).await, node_records(&bare[0].url(), &name).await);
        assert_eq!(difference(&one, &other), None, "{title}: the primary (first) and the bare Chroma");
    }
    let of = |what: &str| format!("chroma_ha_apply_entries_{what}{{node=\"primary\"}}");
    let (sum, count) = (metric(&url, &of("sum")).await, metric(&url, &of("count")).await);
    assert!(sum > count, "{sum} writes in {count} requests: none went together");
}
