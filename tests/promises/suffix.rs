//! Does a real Chroma end in the same state when any suffix of the balancer's log is applied to it again?
//! Random histories go through the balancer; a server that has never seen a client gets the log's
//! effects, breaks off, starts again from some earlier position, and must end like the nodes.
//! `CHROMA_HA_SUFFIX_HISTORIES=n` runs that many, from `CHROMA_HA_SUFFIX_SEED` on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chroma_ha::postgres::{PgLog, Settings};
use chroma_ha_core::effect::{self, Effect, Send};
use chroma_ha_core::entry::{Entry, Op};
use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::port::{LogStore, Page};
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::harness::campaign::Chance;
use crate::harness::client::{delete, request};
use crate::harness::nodes::{collections_url, difference, node_records};
use crate::harness::stack::start_nodes;
use crate::harness::surface::until_quiet;
use crate::harness::{Options, Place, Stack, post};

const HISTORIES: u64 = 32;
const STEPS: usize = 14;
/// Collections at work at the same time: each is written by one request at a time.
const AT_ONCE: usize = 6;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn ids(chance: &mut Chance) -> Vec<&'static str> {
    (0..=chance.below(3)).map(|_| chance.of(&["a", "b", "c", "d"])).collect()
}

/// Ids come twice in a request now and then; one request in twelve is refused for its dimension.
pub(super) fn rows(chance: &mut Chance, op: Op) -> Value {
    let ids = ids(chance);
    let wrong = chance.below(12) == 0;
    let mut embedding = || match () {
        () if wrong => json!([1, 2, 3]),
        () if op == Op::Update && chance.below(2) == 0 => Value::Null,
        () => json!([chance.below(5), chance.below(5)]),
    };
    let embeddings: Vec<Value> = ids.iter().map(|_| embedding()).collect();
    let documents: Vec<&str> = ids.iter().map(|_| chance.of(&["red", "green", "red green"])).collect();
    let metadatas: Vec<Value> = ids.iter().map(|_| metadata(chance, op != Op::Add)).collect();
    json!({"ids": ids, "embeddings": embeddings, "documents": documents, "metadatas": metadatas})
}

fn metadata(chance: &mut Chance, removes: bool) -> Value {
    let mut fields = Map::new();
    for _ in 0..=chance.below(2) {
        let value = if removes && chance.below(3) == 0 { Value::Null } else { Value::from(chance.below(3)) };
        fields.insert(chance.of(&["k", "j"]).to_owned(), value);
    }
    Value::Object(fields)
}

pub(super) fn deletion(chance: &mut Chance) -> Value {
    let mut body = match chance.below(3) {
        0 => return json!({"ids": ids(chance)}),
        1 => json!({"where": {"k": chance.below(3)}}),
        _ => json!({"where_document": {"$contains": "red"}}),
    };
    if chance.below(2) == 0 {
        body["limit"] = json!(1 + chance.below(2));
    }
    if chance.below(4) == 0 {
        body["ids"] = json!(ids(chance));
    }
    body
}

fn named(seed: u64) -> String {
    format!("suffix-{seed}")
}

async fn made(url: &str, name: &str) -> String {
    let (status, found) = post(&collections_url(url), &json!({"name": name, "get_or_create": true})).await;
    assert_eq!(status, 200, "{found}");
    found["id"].as_str().expect("an id").to_owned()
}

/// One client's requests; they are answered as Chroma likes.
async fn history(url: &str, seed: u64) {
    let (mut chance, name) = (Chance::new(seed), named(seed));
    let mut id = made(url, &name).await;
    for _ in 0..STEPS {
        let (op, body) = match chance.below(10) {
            0 => {
                assert_eq!(delete(&format!("{}/{name}", collections_url(url))).await.0, 200);
                id = made(url, &name).await;
                continue;
            }
            1..=3 => (Op::Delete, deletion(&mut chance)),
            _ => {
                let op = chance.of(&[Op::Add, Op::Upsert, Op::Update]);
                (op, rows(&mut chance, op))
            }
        };
        let (status, answer) = post(&format!("{}/{id}/{}", collections_url(url), op.name()), &body).await;
        assert!(status < 500, "seed {seed}: {status} {answer} to {body}");
    }
}

/// Everything that was accepted, in log order.
async fn log(stack: &Stack) -> Vec<Arc<Entry>> {
    let store = PgLog::new(Settings::parse(&stack.database_url).expect("an address"));
    let (mut entries, mut from) = (Vec::new(), Seq(1));
    loop {
        let page =
            Page { stream: None, from, through: Seq(u64::MAX >> 1), max_entries: 1_000, max_bytes: 16 << 20 };
        let pages = store.page(page).await.expect("a page");
        entries.extend(pages.entries);
        if pages.complete_through < from {
            return entries;
        }
        from = pages.complete_through.next();
    }
}

/// The entries of one history: a name's collections, and what was written to them.
fn of_history(log: &[Arc<Entry>], name: &str) -> Vec<Arc<Entry>> {
    let mut ids = Vec::new();
    let ours = |entry: &&Arc<Entry>| match (entry.draft.op, entry.effect()) {
        (Op::CreateCollection, Some(Effect::Collection { id })) => {
            let body: Value = serde_json::from_slice(&entry.draft.body).expect("JSON");
            let ours = body["name"] == name;
            ids.extend(ours.then_some(*id));
            ours
        }
        (Op::DeleteCollection, Some(Effect::Collection { id })) => ids.contains(id),
        _ => entry.collection().is_some_and(|id| ids.contains(&id)),
    };
    log.iter().filter(ours).cloned().collect()
}

/// A bare server that gets one history's entries.
struct Target<'a> {
    url: &'a str,
    name: String,
    /// The collection under the name: which one it stands for, and the server's own id.
    held: Option<(CollectionId, Uuid)>,
}

impl Target<'_> {
    async fn deliver(&mut self, log: &[Arc<Entry>], range: Range<usize>) {
        for entry in &log[range] {
            match (entry.draft.op, entry.effect()) {
                (Op::CreateCollection, Some(Effect::Collection { id })) if self.held.is_none() => {
                    let own = made(self.url, &self.name).await;
                    self.held = Some((*id, Uuid::parse_str(&own).expect("an id")));
                }
                (Op::DeleteCollection, Some(Effect::Collection { id })) => {
                    if self.held.is_some_and(|(there, _)| there == *id) {
                        let url = format!("{}/{}", collections_url(self.url), self.name);
                        assert_eq!(request(Method::DELETE, &url, None).await.0, 200);
                        self.held = None;
                    }
                }
                _ => self.write(entry).await,
            }
        }
    }

    async fn write(&self, entry: &Entry) {
        let own = self.held.filter(|(there, _)| Some(*there) == entry.collection());
        let (Some((_, own)), Send::Body(body)) = (own, effect::send(entry)) else { return };
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let url = format!("{}/{own}/{}", collections_url(self.url), entry.draft.op.name());
        let (status, answer) = post(&url, &body).await;
        assert!(status < 300, "{}: an accepted entry is refused: {status} {answer}", self.name);
    }
}

/// What differs, after the server got the history with restarts.
async fn replayed(bare: &str, node: &str, log: &[Arc<Entry>], seed: u64) -> Option<String> {
    let (mut chance, name) = (Chance::new(seed ^ 0x5AFE), named(seed));
    let entries = of_history(log, &name);
    let mut target = Target { url: bare, name: name.clone(), held: None };
    let (mut position, mut restarts) = (0, Vec::new());
    for _ in 0..2 {
        let crash = position + chance.index(entries.len() - position + 1);
        target.deliver(&entries, position..crash).await;
        position = chance.index(crash + 1);
        restarts.push((crash, position));
    }
    target.deliver(&entries, position..entries.len()).await;
    // Once more from anywhere, over the end.
    let again = chance.index(entries.len());
    target.deliver(&entries, again..entries.len()).await;
    restarts.push((entries.len(), again));
    let differs = difference(&node_records(node, &name).await, &node_records(bare, &name).await)?;
    let lines: Vec<String> = entries
        .iter()
        .map(|e| format!("  {} {:?} {:?}", e.draft.op.name(), e.draft.body, e.effect()))
        .collect();
    Some(format!(
        "seed {seed}, restarts {restarts:?}: {differs}\n{}\n  CHROMA_HA_SUFFIX_SEED={seed} CHROMA_HA_SUFFIX_HISTORIES=1 cargo test --test promises suffix",
        lines.join("\n")
    ))
}

#[tokio::test]
async fn a_real_chroma_ends_alike_whatever_suffix_of_the_log_it_gets_again() {
    let first = number("CHROMA_HA_SUFFIX_SEED").unwrap_or(1);
    let seeds: Vec<u64> =
        (first..first + number("CHROMA_HA_SUFFIX_HISTORIES").unwrap_or(HISTORIES)).collect();
    let place = Place::new("bare");
    let (stack, bare) = tokio::join!(Stack::start(Options::default()), start_nodes(&place, 1, false));
    let (url, bare) = (stack.url(), bare[0].url());
    let begun = std::time::Instant::now();
    stream::iter(&seeds).for_each_concurrent(AT_ONCE, |seed| history(&url, *seed)).await;
    until_quiet(&url).await;
    let log = log(&stack).await;
    let counted = |op: Op| log.iter().filter(|entry| entry.draft.op == op).count();
    let counts: BTreeMap<&str, usize> = Op::ALL.map(|op| (op.name(), counted(op))).into();
    println!("{} histories from seed {first}: {counts:?} in {:?}", seeds.len(), begun.elapsed());
    let primary = stack.nodes[0].url();
    let differs: Vec<String> = stream::iter(&seeds)
        .map(|seed| replayed(&bare, &primary, &log, *seed))
        .buffer_unordered(AT_ONCE)
        .filter_map(|differs| async { differs })
        .collect()
        .await;
    println!("replayed in {:?}", begun.elapsed());
    assert!(differs.is_empty(), "{}", differs.join("\n"));
    for seed in &seeds {
        let nodes = stack.nodes.iter().map(|node| node.url()).collect::<Vec<_>>();
        let (one, other) =
            (node_records(&nodes[0], &named(*seed)).await, node_records(&nodes[1], &named(*seed)).await);
        assert_eq!(difference(&one, &other), None, "seed {seed}: primary and replica");
    }
}
