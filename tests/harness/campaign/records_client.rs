//! A client of the collections that stay: single writes, batches that name an id twice, deletes by filter,
//! on records of its own and on a few that all clients write; and reads of all of these.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::Chance;
use super::book::{COLLECTIONS, Hub, Key, SHARED_PREFIX, STABLE, stable_name};
use super::wire::{Ask, Exchange, Wire};
use crate::harness::history::record::{Change, GROUP, OWNER, Patch, Seen, Verb, embedding, looks};
use crate::harness::history::{Call, Outcome, What};

/// Records of a client's own at any time.
const SLOTS: usize = 4;

/// Records that every client writes, in each collection.
const SHARED: usize = 2;

/// So many unanswered writes, and a record is left to rest: each may still come at any time.
const UNANSWERED: usize = 3;

const GROUPS: u64 = 3;

/// One that gives up before the balancer does, and one that does not.
const PATIENCE: [Duration; 2] = [Duration::from_millis(2_500), Duration::from_secs(7)];

pub(super) struct RecordsClient {
    number: usize,
    chance: Chance,
    hub: Arc<Hub>,
    wire: Wire,
    collection: usize,
    /// How often the record of a slot was left for another, and its unanswered writes.
    slots: [(usize, usize); SLOTS],
    /// A delete by filter without an answer may still come, also to records that are not there yet: it
    /// goes on under another name.
    generation: usize,
    /// Every id that it wrote under its present name.
    mine: Vec<String>,
}

impl RecordsClient {
    pub(super) fn new(number: usize, hub: &Arc<Hub>) -> Self {
        let chance = Chance::new(hub.seed ^ (number as u64 + 1) << 32);
        let mut client = Self {
            number,
            chance,
            hub: Arc::clone(hub),
            wire: Wire::new(format!("records-{number}")),
            collection: number % STABLE,
            slots: [(0, 0); SLOTS],
            generation: 0,
            mine: Vec::new(),
        };
        client.mine = (0..SLOTS).map(|slot| client.id(slot)).collect();
        client
    }

    fn owner(&self) -> String {
        format!("w{}.{}", self.number, self.generation)
    }

    fn id(&self, slot: usize) -> String {
        format!("{}-{slot}-{}", self.owner(), self.slots[slot].0)
    }

    fn key(&self, id: &str) -> Key {
        (stable_name(self.collection), id.to_owned())
    }

    fn path(&self, verb: &str) -> String {
        format!("{COLLECTIONS}/{}/{verb}", self.hub.stable[self.collection])
    }

    pub(super) async fn run(mut self) {
        while self.hub.goes_on() {
            match self.chance.below(20) {
                0..=8 => self.write_own().await,
                9 => self.delete_group().await,
                10 | 11 => self.write_shared().await,
                _ => self.read().await,
            }
        }
    }

    /// Every other client names its writes and sends them again.
    async fn ask(&mut self, verb: &str, body: &Value) -> Exchange {
        let hub = Arc::clone(&self.hub);
        let key = (self.number % 2 == 1 && verb != "get").then(|| format!("key-{}", hub.number()));
        let (path, patience) = (self.path(verb), self.chance.of(&PATIENCE));
        self.wire.ask(&hub, &Ask { method: Method::POST, path, body: Some(body), patience, key }).await
    }

    /// One record, or several with one of them twice.
    async fn write_own(&mut self) {
        let mut slots = vec![self.chance.index(SLOTS)];
        if self.chance.percent(30) {
            slots = (0..3).map(|_| self.chance.index(SLOTS)).collect();
            slots.push(slots[0]);
        }
        let ids: Vec<String> = slots.iter().map(|slot| self.id(*slot)).collect();
        let owner = self.owner();
        self.write(&ids, &owner).await;
    }

    async fn write_shared(&mut self) {
        let id = self.hub.shared(self.collection, self.chance.index(SHARED));
        self.write(&[id], "shared").await;
    }

    async fn write(&mut self, ids: &[String], owner: &str) {
        let verb = self.chance.of(&[
            Verb::Add,
            Verb::Upsert,
            Verb::Upsert,
            Verb::Update,
            Verb::Update,
            Verb::Delete,
        ]);
        let patches: Vec<Patch> = ids.iter().map(|_| self.patch(verb)).collect();
        let exchange = self.ask(name(verb), &body(verb, ids, owner, &patches)).await;
        let mut changes = BTreeMap::<&String, Vec<Patch>>::new();
        for (id, patch) in ids.iter().zip(patches) {
            changes.entry(id).or_default().push(patch);
        }
        let changes = changes.into_iter().map(|(id, patches)| (id.clone(), Change { verb, patches }));
        self.written(&exchange, changes.collect());
    }

    /// A request of one kind for all its rows: documents only, or everything.
    fn patch(&mut self, verb: Verb) -> Patch {
        let number = self.hub.number();
        let mut metadata =
            BTreeMap::from([("last".to_owned(), Some(number)), (GROUP.to_owned(), Some(number % GROUPS))]);
        let turn = format!("turn{}", number % 3);
        if verb == Verb::Update {
            if self.chance.percent(40) {
                return Patch { document: Some(number), ..Patch::default() };
            }
            metadata.insert(turn, self.chance.percent(50).then_some(number));
            return Patch { embedding: None, document: Some(number), metadata };
        }
        metadata.insert(turn, Some(number));
        Patch { embedding: Some(number), document: Some(number), metadata }
    }

    async fn delete_group(&mut self) {
        let group = self.chance.below(GROUPS);
        let filter = json!({"$and": [{OWNER: self.owner()}, {GROUP: group}]});
        let exchange = self.ask("delete", &json!({"where": filter})).await;
        let change = Change { verb: Verb::DeleteGroup(group), patches: Vec::new() };
        let changes = self.mine.iter().map(|id| (id.clone(), change.clone())).collect();
        self.written(&exchange, changes);
        if exchange.outcome(self.hub.relays()) == Some(Outcome::Unanswered) {
            self.generation += 1;
            self.slots = [(0, 0); SLOTS];
            self.mine = (0..SLOTS).map(|slot| self.id(slot)).collect();
        }
    }

    fn written(&mut self, exchange: &Exchange, changes: Vec<(String, Change)>) {
        let Some(outcome) = exchange.outcome(self.hub.relays()) else {
            return self.hub.count("write", "not sent");
        };
        let (begin, end) = (exchange.begin, exchange.end);
        for (at, (id, change)) in changes.into_iter().enumerate() {
            let what = What::Write(change, outcome);
            if at == 0 {
                self.hub.count("write", super::book::word(&what));
            }
            self.hub.record(self.key(&id), Call { begin, end, what });
            if outcome == Outcome::Unanswered {
                self.unanswered(&id);
            }
        }
    }

    fn unanswered(&mut self, id: &str) {
        if id.starts_with(SHARED_PREFIX) {
            return self.hub.shared_unanswered(self.collection);
        }
        let Some(slot) = (0..SLOTS).find(|slot| self.id(*slot) == id) else { return };
        self.slots[slot].1 += 1;
        if self.slots[slot].1 >= UNANSWERED {
            self.slots[slot] = (self.slots[slot].0 + 1, 0);
            self.mine.push(self.id(slot));
        }
    }

    async fn read(&mut self) {
        let mut ids = self.mine.clone();
        ids.extend((0..SHARED).map(|at| self.hub.shared(self.collection, at)));
        let body = json!({"ids": ids, "include": ["embeddings", "metadatas", "documents"]});
        let exchange = self.ask("get", &body).await;
        let Some(page) = exchange.is(200) else {
            if let Some(outcome @ Outcome::Refused) = exchange.outcome(false) {
                self.hub.wrong(format!(
                    "denied: a read of {} at {} was {outcome:?}",
                    self.collection, exchange.begin
                ));
            }
            return self.hub.count("read", "not answered");
        };
        self.hub.count("read", "answered");
        for id in &ids {
            for seen in shown(page, id) {
                let call = Call { begin: exchange.begin, end: exchange.end, what: What::Read(seen) };
                self.hub.record(self.key(id), call);
            }
        }
    }
}

/// What a page shows of a record. Chroma shows one that is being added or deleted without its embedding.
pub(super) fn shown(page: &Value, id: &str) -> Vec<Seen> {
    let ids = page["ids"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(at) = ids.iter().position(|one| one == id) else { return vec![Seen::Absent] };
    let whole = page["embeddings"].as_array().filter(|embeddings| embeddings.len() == ids.len());
    let embedding = whole.map(|embeddings| &embeddings[at]).filter(|embedding| !embedding.is_null());
    looks(embedding, &page["documents"][at], &page["metadatas"][at])
}

pub(super) fn name(verb: Verb) -> &'static str {
    match verb {
        Verb::Add => "add",
        Verb::Upsert => "upsert",
        Verb::Update => "update",
        Verb::Delete | Verb::DeleteGroup(_) => "delete",
    }
}

pub(super) fn body(verb: Verb, ids: &[String], owner: &str, patches: &[Patch]) -> Value {
    if verb == Verb::Delete {
        return json!({"ids": ids});
    }
    let metadata = |patch: &Patch| {
        let mut fields = json!(patch.metadata);
        fields[OWNER] = json!(owner);
        fields
    };
    let mut body = json!({
        "ids": ids,
        "documents": patches.iter().map(|patch| patch.document.map(|n| n.to_string())).collect::<Vec<_>>(),
        "metadatas": patches.iter().map(metadata).collect::<Vec<_>>(),
    });
    if verb != Verb::Update {
        let embeddings = patches.iter().map(|patch| embedding(patch.embedding.unwrap_or_default()));
        body["embeddings"] = embeddings.collect();
    }
    body
}
