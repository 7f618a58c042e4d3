//! One record as Chroma keeps it: what each write makes of it, by the numbers that its parts were given.
//! It mirrors what Chroma was measured to do, and knows nothing of nodes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Object;
use crate::harness::Record;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Nothing happens to a record that exists.
    Add,
    Upsert,
    /// Nothing happens to a record that does not exist.
    Update,
    Delete,
    /// By a filter, if its metadata says this.
    DeleteGroup(u64),
}

/// One row of a request; parts that it leaves out stay as they are, `None` in metadata removes a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patch {
    pub(crate) embedding: Option<u64>,
    pub(crate) document: Option<u64>,
    pub(crate) metadata: BTreeMap<String, Option<u64>>,
}

/// What one request does to one record: a row for each time that it names its id.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) verb: Verb,
    pub(crate) patches: Vec<Patch>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) embedding: u64,
    pub(crate) document: Option<u64>,
    pub(crate) metadata: BTreeMap<String, u64>,
}

/// Chroma reads the embedding at another moment than the rest: each is a look of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Absent,
    Embedding(u64),
    Rest(Option<u64>, BTreeMap<String, u64>),
    /// What no write made.
    Nonsense,
}

pub(crate) const GROUP: &str = "group";

/// Metadata that never changes, for filters.
pub(crate) const OWNER: &str = "owner";

#[derive(Clone, Debug)]
pub(crate) struct Kept;

impl Object for Kept {
    type State = Option<Row>;
    type Op = Change;
    type Seen = Seen;

    fn after(change: &Change, state: &Option<Row>) -> Option<Option<Row>> {
        Some(match change.verb {
            Verb::Delete => None,
            Verb::DeleteGroup(group) => state.clone().filter(|row| row.metadata.get(GROUP) != Some(&group)),
            verb => change.patches.iter().fold(state.clone(), |row, patch| patched(verb, row, patch)),
        })
    }

    fn shows(state: &Option<Row>, seen: &Seen) -> bool {
        match (state, seen) {
            (None, Seen::Absent) => true,
            (Some(row), Seen::Embedding(number)) => row.embedding == *number,
            (Some(row), Seen::Rest(document, metadata)) => {
                row.document == *document && row.metadata == *metadata
            }
            _ => false,
        }
    }
}

fn patched(verb: Verb, row: Option<Row>, patch: &Patch) -> Option<Row> {
    match (verb, row) {
        (Verb::Add, Some(row)) => Some(row),
        (Verb::Update, None) => None,
        (_, row) => {
            let fresh = Row { embedding: 0, document: None, metadata: BTreeMap::new() };
            let mut row = row.unwrap_or(fresh);
            row.embedding = patch.embedding.unwrap_or(row.embedding);
            row.document = patch.document.or(row.document);
            for (key, value) in &patch.metadata {
                match value {
                    Some(value) => row.metadata.insert(key.clone(), *value),
                    None => row.metadata.remove(key),
                };
            }
            Some(row)
        }
    }
}

pub(crate) fn embedding(number: u64) -> Value {
    json!([number, 1.0, -0.5])
}

/// What a server shows of a record, embedding and rest apart.
pub(crate) fn looks(embedding: Option<&Value>, document: &Value, metadata: &Value) -> Vec<Seen> {
    let rest = rest(document, metadata).unwrap_or(Seen::Nonsense);
    let vector = embedding.map(|value| number(value).map_or(Seen::Nonsense, Seen::Embedding));
    vector.into_iter().chain([rest]).collect()
}

fn rest(document: &Value, metadata: &Value) -> Option<Seen> {
    let document = match document {
        Value::Null => None,
        text => Some(text.as_str()?.parse().ok()?),
    };
    let fields = metadata.as_object()?.iter().filter(|(key, _)| *key != OWNER);
    let fields = fields.map(|(key, value)| Some((key.clone(), value.as_u64()?)));
    Some(Seen::Rest(document, fields.collect::<Option<_>>()?))
}

fn number(vector: &Value) -> Option<u64> {
    let vector: Vec<f32> = serde_json::from_value(vector.clone()).ok()?;
    let [first, 1.0, -0.5] = vector[..] else { return None };
    let whole = first.fract() == 0.0 && first >= 0.0;
    whole.then(|| first.to_string().parse().ok()).flatten()
}

/// A record read from a node; `None` if no write made it so.
pub(crate) fn row(record: &Record) -> Option<Row> {
    let (vector, metadata, document, _) = record;
    let Seen::Rest(document, metadata) = rest(document, metadata)? else { return None };
    Some(Row { embedding: number(&json!(vector))?, document, metadata })
}
