//! Which states may a record be in? A write that was acknowledged happened; one without an answer may
//! have happened, at its place, or not at all. It asks no server; it is told what was sent and heard.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::Record;

/// What a writer does to one record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Nothing happens to a record that exists.
    Add,
    Upsert,
    /// Of metadata and document; nothing happens to a record that does not exist.
    Update,
    Delete,
    /// By a filter that matches this record only.
    DeleteWhere,
}

/// A record, by the numbers of the writes that made its parts. Keys of the metadata outlive an upsert,
/// so they tell which writes came before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    embedding: u64,
    document: u64,
    metadata: BTreeMap<String, u64>,
}

/// `None`: it does not exist.
pub(crate) type State = Option<Row>;

/// Every state is admissible; one of them is true.
pub(crate) type States = BTreeSet<State>;

fn metadata(number: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([("last".to_owned(), number), (format!("turn{}", number % 3), number)])
}

impl Op {
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Op::Add => "add",
            Op::Upsert => "upsert",
            Op::Update => "update",
            Op::Delete | Op::DeleteWhere => "delete",
        }
    }

    pub(crate) fn body(self, id: &str, number: u64) -> Value {
        let mut fields = json!(metadata(number));
        fields["owner"] = json!(id);
        let mut body = json!({"ids": [id], "documents": [number.to_string()], "metadatas": [fields]});
        match self {
            Op::Add | Op::Upsert => body["embeddings"] = json!([embedding(number)]),
            Op::Update => {}
            Op::Delete => body = json!({"ids": [id]}),
            Op::DeleteWhere => body = json!({"where": {"owner": id}}),
        }
        body
    }

    fn effect(self, state: &State, number: u64) -> State {
        let fresh = || Row { embedding: number, document: number, metadata: metadata(number) };
        let merged = |row: &Row, embedding: u64| {
            let mut row = Row { embedding, document: number, metadata: row.metadata.clone() };
            row.metadata.extend(metadata(number));
            row
        };
        match (self, state) {
            (Op::Delete | Op::DeleteWhere, _) | (Op::Update, None) => None,
            (Op::Add, Some(row)) => Some(row.clone()),
            (Op::Add | Op::Upsert, None) => Some(fresh()),
            (Op::Upsert, Some(row)) => Some(merged(row, number)),
            (Op::Update, Some(row)) => Some(merged(row, row.embedding)),
        }
    }
}

pub(crate) fn embedding(number: u64) -> [f32; 3] {
    let number = u16::try_from(number).expect("a test writes less");
    [f32::from(number), 1.0, -0.5]
}

/// What a server shows of a record as the numbers it was made of; `None` if no write made it so.
pub(crate) fn row(record: &Record) -> Option<Row> {
    let (vector, fields, document, _) = record;
    let document: u64 = document.as_str()?.parse().ok()?;
    let number = vector.first().filter(|first| first.fract() == 0.0 && **first >= 0.0)?;
    let number = number.to_string().parse().ok().filter(|n| vector[..] == embedding(*n))?;
    let fields = fields.as_object()?.iter().filter(|(name, _)| *name != "owner");
    let metadata = fields.map(|(name, value)| Some((name.clone(), value.as_u64()?)));
    Some(Row { embedding: number, document, metadata: metadata.collect::<Option<_>>()? })
}

/// What was admissible for one record, from its first write on.
#[derive(Clone, Debug)]
pub(crate) struct Trail(Vec<States>);

impl Default for Trail {
    fn default() -> Self {
        Self(vec![States::from([None])])
    }
}

impl Trail {
    pub(crate) fn now(&self) -> &States {
        self.0.last().expect("a trail has a beginning")
    }

    /// From here on a reader may see what it sees.
    pub(crate) fn place(&self) -> usize {
        self.0.len() - 1
    }

    /// Whether a read that began at `place` and has just ended may show this. Chroma itself reads the
    /// embedding at another moment than the rest, so a write that ends meanwhile may show in one only.
    pub(crate) fn admits(&self, place: usize, shown: &State) -> bool {
        let mut states = self.0[place..].iter().flatten();
        let Some(shown) = shown else { return states.any(Option::is_none) };
        let mut rows = states.clone().flatten();
        let rest = |row: &Row| row.document == shown.document && row.metadata == shown.metadata;
        rows.any(|row| row.embedding == shown.embedding) && states.flatten().any(rest)
    }

    /// Sent: it may happen at any time now. Returns what holds once it is acknowledged.
    pub(crate) fn sent(&mut self, op: Op, number: u64) -> States {
        let after: States = self.now().iter().map(|state| op.effect(state, number)).collect();
        self.0.push(self.now().union(&after).cloned().collect());
        after
    }

    pub(crate) fn acknowledged(&mut self, after: States) {
        self.0.push(after);
    }
}

#[test]
fn only_unanswered_writes_leave_a_choice() {
    let mut trail = Trail::default();
    let added = trail.sent(Op::Add, 1);
    assert_eq!(trail.now().len(), 2);
    trail.acknowledged(added);
    let unanswered = trail.sent(Op::Upsert, 2);
    assert_eq!((trail.now().len(), unanswered.len()), (2, 1));
    let place = trail.place();
    let updated = trail.sent(Op::Update, 3);
    assert!(!updated.contains(&None) && updated.len() == 2, "{updated:?}");
    trail.acknowledged(updated);
    assert!(trail.admits(place, unanswered.first().unwrap()) && !trail.admits(place, &None));
    let deleted = trail.sent(Op::DeleteWhere, 4);
    trail.acknowledged(deleted);
    assert_eq!(trail.now(), &States::from([None]));
}

#[test]
fn a_record_of_a_server_is_known_by_its_numbers() {
    let fields = json!({"last": 7, "turn1": 7, "owner": "x"});
    let record = |vector: [f32; 3]| (vector.to_vec(), fields.clone(), json!("7"), Value::Null);
    let made = Op::Add.effect(&None, 7);
    assert_eq!(row(&record([7.0, 1.0, -0.5])), made);
    assert_eq!(row(&record([7.5, 1.0, -0.5])), None);
    assert_eq!(row(&record([7.0, 1.0, 0.0])), None);
}
