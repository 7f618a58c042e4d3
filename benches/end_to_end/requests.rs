//! The requests that are measured, as the official clients spell them: 384 dimensions, embeddings of writes in
//! base64, a document and metadata with each record.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::load::{Ask, Kind};
use super::wire::request;

pub(crate) const COLLECTIONS: &str = "/api/v2/tenants/default_tenant/databases/default_database/collections";

const DIMENSIONS: usize = 384;

/// Different embeddings that take turns: making each anew would cost the client more than the server.
const EMBEDDINGS: u64 = 64;

/// The records that reads go to.
pub(crate) const HELD: u64 = 1_000;

const ALL: &str = "x-chroma-ha-ack: all\r\n";
const LOG: &str = "x-chroma-ha-ack: log\r\n";

/// What the client of a write waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ack {
    /// As the server is set.
    Usual,
    All,
    Log,
}

/// One collection, by the id that its server takes.
pub(crate) struct Requests {
    path: String,
    rows: Vec<String>,
}

fn numbers(nth: u64) -> Vec<f32> {
    (0..DIMENSIONS).map(|at| ((nth * 7 + at as u64) as f32).sin()).collect()
}

/// Text that nobody can compress, always the same.
pub(crate) fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes: Vec<u8> = (0..length / 4 * 3 + 3)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect();
    let mut text = STANDARD.encode(bytes);
    text.truncate(length);
    text
}

impl Requests {
    pub(crate) fn of(id: &str) -> Self {
        let row = |nth| {
            let bytes: Vec<u8> = numbers(nth).iter().flat_map(|number| number.to_le_bytes()).collect();
            format!("\"{}\"", STANDARD.encode(bytes))
        };
        Self { path: format!("{COLLECTIONS}/{id}"), rows: (0..EMBEDDINGS).map(row).collect() }
    }

    fn post(&self, verb: &str, more: &str, body: &[u8]) -> Vec<u8> {
        request("POST", &format!("{}/{verb}", self.path), more, body)
    }

    /// Records `nth`, `nth + 1`, …
    fn records(&self, nth: u64, count: u64) -> Vec<u8> {
        let listed = |one: &dyn Fn(u64) -> String| (nth..nth + count).map(one).collect::<Vec<_>>().join(",");
        let ids = listed(&|n| format!("\"r{n}\""));
        let rows = listed(&|n| self.rows[(n % EMBEDDINGS) as usize].clone());
        let metadatas = listed(&|n| format!(r#"{{"source":"bench","nth":{n}}}"#));
        let documents = listed(&|n| format!("\"a short text of a few words, number {n}\""));
        let body = format!(
            r#"{{"ids":[{ids}],"embeddings":[{rows}],"metadatas":[{metadatas}],"documents":[{documents}],"uris":null}}"#
        );
        body.into_bytes()
    }

    pub(crate) fn upsert(&self, nth: u64, count: u64, ack: Ack) -> Vec<u8> {
        let more = match ack {
            Ack::Usual => "",
            Ack::All => ALL,
            Ack::Log => LOG,
        };
        self.post("upsert", more, &self.records(nth, count))
    }

    /// A write of so many new records.
    pub(crate) fn write(&self, nth: u64, count: u64, ack: Ack) -> Ask<'_> {
        (Kind::Write, Cow::Owned(self.upsert(nth * count, count, ack)))
    }

    /// One record by its id.
    pub(crate) fn get(&self, nth: u64) -> Vec<u8> {
        let body = json!({"ids": [format!("r{nth}")], "include": ["documents", "metadatas"]});
        self.post("get", "", body.to_string().as_bytes())
    }

    /// The ten nearest.
    pub(crate) fn query(&self, nth: u64) -> Vec<u8> {
        let include = ["documents", "metadatas", "distances"];
        let body = json!({"query_embeddings": [numbers(nth)], "n_results": 10, "include": include});
        self.post("query", "", body.to_string().as_bytes())
    }

    pub(crate) fn count(&self) -> Vec<u8> {
        request("GET", &format!("{}/count", self.path), "", b"")
    }

    /// Hardly more than an id: ten million of them still fit on a disk.
    pub(crate) fn small_write(&self, nth: u64) -> Ask<'_> {
        let body = json!({"ids": [format!("r{nth}")], "embeddings": [[1.0, 2.0, nth]]});
        (Kind::Write, Cow::Owned(self.post("upsert", "", body.to_string().as_bytes())))
    }

    /// One record whose document makes the body so long.
    pub(crate) fn long_upsert(&self, nth: u64, bytes: usize) -> Vec<u8> {
        let (id, row) = (format!("r{nth}"), Value::from(self.rows[0].trim_matches('"')));
        let text = noise(bytes.saturating_sub(2_200));
        let body = json!({"ids": [id], "embeddings": [row], "documents": [text]});
        self.post("upsert", "", body.to_string().as_bytes())
    }

    /// A stub answers with so many KiB.
    pub(crate) fn long_get(&self, kib: usize) -> Vec<u8> {
        self.post("get", "", json!({"limit": kib}).to_string().as_bytes())
    }
}
