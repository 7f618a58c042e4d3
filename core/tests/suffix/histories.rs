//! What clients might do, at random: few ids and few values, so that writes meet. It knows nothing of
//! nodes.

use chroma_ha_core::entry::Op;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// One request of a client.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create {
        collection: usize,
    },
    /// The collection goes; a later `Create` makes another one of that name.
    Drop {
        collection: usize,
    },
    Write {
        collection: usize,
        op: Op,
        body: Value,
    },
}

const IDS: [&str; 4] = ["a", "b", "c", "d"];
const WORDS: [&str; 3] = ["red", "green", "red green"];

pub(crate) fn histories() -> impl Strategy<Value = Vec<Step>> {
    let created = (0..2usize).map(|collection| Step::Create { collection });
    let rest = prop::collection::vec(step(), 1..24);
    rest.prop_map(move |rest| created.clone().chain(rest).collect())
}

fn step() -> impl Strategy<Value = Step> {
    let catalog = (0..2usize, any::<bool>()).prop_map(|(collection, drop)| {
        if drop { Step::Drop { collection } } else { Step::Create { collection } }
    });
    let write =
        (0..2usize, writes()).prop_map(|(collection, (op, body))| Step::Write { collection, op, body });
    prop_oneof![1 => catalog, 8 => write]
}

fn writes() -> impl Strategy<Value = (Op, Value)> {
    let op = prop::sample::select(vec![Op::Add, Op::Upsert, Op::Update]);
    let rows = prop::collection::vec(row(), 1..5);
    prop_oneof![3 => (op, rows).prop_map(|(op, rows)| (op, body(&rows))), 2 => deletes().prop_map(|b| (Op::Delete, b))]
}

/// Ids come twice in a request now and then: among four ids they must.
#[derive(Clone, Debug)]
struct Row {
    id: &'static str,
    embedding: Option<Vec<i32>>,
    document: Option<&'static str>,
    metadata: Value,
}

fn row() -> impl Strategy<Value = Row> {
    // One in thirty has the wrong dimension, and the whole request is refused.
    let embedding = prop_oneof![
        18 => Just(None),
        11 => (0..3, 0..3).prop_map(|(x, y)| Some(vec![x, y])),
        1 => Just(Some(vec![1, 2, 3])),
    ];
    let document = prop::option::of(prop::sample::select(WORDS.to_vec()));
    (prop::sample::select(IDS.to_vec()), embedding, document, metadata())
        .prop_map(|(id, embedding, document, metadata)| Row { id, embedding, document, metadata })
}

/// A value sets its key, null removes it, no key leaves it.
fn metadata() -> impl Strategy<Value = Value> {
    let value = prop_oneof![3 => (0..3).prop_map(Value::from), 1 => Just(Value::Null)];
    prop_oneof![
        1 => Just(Value::Null),
        4 => prop::collection::vec((prop::sample::select(vec!["k", "j"]), value), 1..3)
            .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
    ]
}

fn body(rows: &[Row]) -> Value {
    json!({
        "ids": rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        "embeddings": rows.iter().map(|row| json!(row.embedding)).collect::<Vec<_>>(),
        "documents": rows.iter().map(|row| json!(row.document)).collect::<Vec<_>>(),
        "metadatas": rows.iter().map(|row| row.metadata.clone()).collect::<Vec<_>>(),
    })
}

fn deletes() -> impl Strategy<Value = Value> {
    let some = || prop::collection::vec(prop::sample::select(IDS.to_vec()), 1..4);
    let filter = prop_oneof![
        (0..3).prop_map(|k| json!({ "where": { "k": k } })),
        Just(json!({ "where_document": { "$contains": "red" } })),
    ];
    let by_filter = (filter, prop::option::of(1..3), prop::option::weighted(0.2, some())).prop_map(
        |(filter, limit, among)| {
            let mut body: Map<String, Value> = filter.as_object().cloned().unwrap_or_default();
            limit.map(|limit| body.insert("limit".to_owned(), json!(limit)));
            among.map(|ids| body.insert("ids".to_owned(), json!(ids)));
            Value::Object(body)
        },
    );
    prop_oneof![some().prop_map(|ids| json!({ "ids": ids })), by_filter]
}
