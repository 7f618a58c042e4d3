//! A log as the acting node decided it, and servers that get it: from whatever position, as often as it
//! happens. Deliveries are what the real effects make of an entry.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chroma_ha_core::effect::{self, Judge, Question, Send};
use chroma_ha_core::entry::{Decision, Draft, Entry, Op};
use chroma_ha_core::ids::{CollectionId, Seq};
use serde_json::{Value, json};
use uuid::Uuid;

use super::chroma::{Judged, Records, parsed};
use super::histories::Step;

/// What a node is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    Effects,
    /// The client's own requests, as if effects did not exist.
    Requests,
}

/// One server: its collections by name, each with the logical id that it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    salt: u64,
    collections: BTreeMap<String, (CollectionId, Records)>,
}

impl Node {
    pub(crate) fn new(salt: u64) -> Node {
        Node { salt, collections: BTreeMap::new() }
    }

    pub(crate) fn contents(&self) -> &BTreeMap<String, (CollectionId, Records)> {
        &self.collections
    }

    /// A name that another collection bears is left alone.
    fn create(&mut self, id: CollectionId, name: &str) {
        self.collections.entry(name.to_owned()).or_insert((id, Records::default()));
    }

    fn drop(&mut self, id: CollectionId) {
        self.collections.retain(|_, (there, _)| *there != id);
    }

    fn records(&mut self, id: CollectionId) -> Option<&mut Records> {
        self.collections.values_mut().find(|(there, _)| *there == id).map(|(_, records)| records)
    }

    fn matching(&mut self, id: CollectionId, body: &Bytes) -> Vec<String> {
        let salt = self.salt;
        self.records(id).map(|records| records.matching(&parsed(body), salt)).unwrap_or_default()
    }

    /// `None`: the collection is not there, and what was written to it went with it.
    fn apply(&mut self, id: CollectionId, op: Op, body: &Bytes) -> Option<Judged> {
        let salt = self.salt;
        self.records(id).map(|records| records.apply(op, &parsed(body), salt))
    }
}

#[derive(Debug)]
enum Logged {
    Create { id: CollectionId, name: String },
    Drop { id: CollectionId },
    Write(Arc<Entry>),
}

/// Accepted entries in log order, and the node that judged them.
#[derive(Debug)]
pub(crate) struct Log {
    entries: Vec<Logged>,
    acting: Node,
}

impl Log {
    pub(crate) fn decided(steps: &[Step]) -> Log {
        let mut log = Log { entries: Vec::new(), acting: Node::new(7) };
        let mut names: BTreeMap<usize, CollectionId> = BTreeMap::new();
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Create { collection } => {
                    if let std::collections::btree_map::Entry::Vacant(vacant) = names.entry(*collection) {
                        let id = *vacant.insert(CollectionId(Uuid::from_u128(at as u128 + 1)));
                        log.push(Logged::Create { id, name: format!("c{collection}") });
                    }
                }
                Step::Drop { collection } => {
                    if let Some(id) = names.remove(collection) {
                        log.push(Logged::Drop { id });
                    }
                }
                Step::Write { collection, op, body } => {
                    if let Some(id) = names.get(collection) {
                        log.judge(*id, *op, body);
                    }
                }
            }
        }
        log
    }

    pub(crate) fn acting(&self) -> &Node {
        &self.acting
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn push(&mut self, logged: Logged) {
        deliver(&mut self.acting, &logged, Delivery::Effects);
        self.entries.push(logged);
    }

    /// As the acting node's lane does: the effect first, then the verdict on it.
    fn judge(&mut self, id: CollectionId, op: Op, body: &Value) {
        let draft = Draft {
            write_id: String::new(),
            op,
            target: Some(id.0),
            method: "POST".to_owned(),
            path: "/".to_owned(),
            body: Bytes::from(body.to_string()),
            headers: Vec::new(),
        };
        let entry = Entry::new(Seq(self.entries.len() as u64 + 1), draft, 0);
        if let Question::Get(ask) = effect::question(op, &entry.draft.body) {
            let found = json!({ "ids": self.acting.matching(id, &ask) }).to_string();
            entry.resolve(effect::resolved(found.as_bytes()).expect("ids"));
        }
        let seen_whole = match effect::judge(&entry) {
            Judge::Nobody => false,
            Judge::Chroma => true,
            Judge::Dimension(rows) => rows != 2,
        };
        let sent = if seen_whole { Send::Body(entry.draft.body.clone()) } else { effect::send(&entry) };
        let verdict = match sent {
            Send::Empty => Ok(Value::Null),
            Send::Body(body) => self.acting.apply(id, op, &body).expect("the collection exists"),
        };
        if verdict.is_ok() {
            entry.decide(Decision::Accepted);
            self.entries.push(Logged::Write(Arc::new(entry)));
        }
    }

    pub(crate) fn deliver(&self, node: &mut Node, range: Range<usize>, delivery: Delivery) {
        self.entries[range].iter().for_each(|logged| deliver(node, logged, delivery));
    }
}

fn deliver(node: &mut Node, logged: &Logged, delivery: Delivery) {
    match logged {
        Logged::Create { id, name } => node.create(*id, name),
        Logged::Drop { id } => node.drop(*id),
        Logged::Write(entry) => {
            let id = entry.collection().expect("a record write");
            let sent = match delivery {
                Delivery::Effects => effect::send(entry),
                Delivery::Requests => Send::Body(entry.draft.body.clone()),
            };
            if let Send::Body(body) = sent {
                let judged = node.apply(id, entry.draft.op, &body);
                assert!(
                    judged.is_none_or(|judged| judged.is_ok()),
                    "an accepted entry is refused: {entry:?}"
                );
            }
        }
    }
}
