//! A client of the catalog: collections made, deleted, made again under the same name and renamed, with
//! a record in each that tells one from its namesake. The names are its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::Chance;
use super::book::{COLLECTIONS, Hub, born_label};
use super::records_client::{body, name, shown};
use super::wire::{Ask, Exchange, Wire};
use crate::harness::history::names::{Found, NameOp};
use crate::harness::history::record::{Change, Patch, Verb};
use crate::harness::history::{Call, Outcome, What};

const NAMES: usize = 3;

const PATIENCE: Duration = Duration::from_secs(6);

/// Once a write had no answer so often, its names are left to rest.
const UNANSWERED: usize = 5;

/// In every collection.
pub(super) const RECORD: &str = "mark";

/// Metadata of a collection: the number it was born with.
pub(crate) const BORN: &str = "born";

pub(super) struct NamesClient {
    number: usize,
    chance: Chance,
    hub: Arc<Hub>,
    wire: Wire,
    unanswered: usize,
}

impl NamesClient {
    pub(super) fn new(number: usize, hub: &Arc<Hub>) -> Self {
        let chance = Chance::new(hub.seed ^ (number as u64 + 101) << 32);
        let wire = Wire::new(format!("names-{number}"));
        Self { number, chance, hub: Arc::clone(hub), wire, unanswered: 0 }
    }

    fn name(&self, at: usize) -> String {
        let generation = self.unanswered / UNANSWERED;
        format!("n{}-{generation}-{at}", self.number)
    }

    /// Each generation of names is an object of its own.
    fn object(&self) -> usize {
        self.number * 1_000 + self.unanswered / UNANSWERED
    }

    pub(super) async fn run(mut self) {
        while self.hub.goes_on() {
            let at = self.chance.index(NAMES);
            let name = self.name(at);
            match self.find(&name).await {
                Some(None) => self.create(name).await,
                Some(Some((id, born))) => self.touch(name, &id, born).await,
                None => {}
            }
        }
    }

    /// Under every other seed it names its writes and sends them again.
    async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Exchange {
        let hub = Arc::clone(&self.hub);
        let writes = method != Method::GET && !path.ends_with("/get");
        let key = (hub.seed % 2 == 1 && writes).then(|| format!("key-{}", hub.number()));
        let path = format!("{COLLECTIONS}{path}");
        self.wire.ask(&hub, &Ask { method, path, body, patience: PATIENCE, key }).await
    }

    /// Where the name leads to, id and number; `None` without an answer.
    async fn find(&mut self, name: &str) -> Option<Option<(String, u64)>> {
        let exchange = self.ask(Method::GET, &format!("/{name}"), None).await;
        let found = match (exchange.is(200), exchange.is(404)) {
            (Some(shown), _) => Some((shown["id"].as_str()?.to_owned(), shown["metadata"][BORN].as_u64()?)),
            (_, Some(_)) => None,
            _ => {
                self.hub.count("name read", "not answered");
                return None;
            }
        };
        self.hub.count("name read", "answered");
        let born = found.as_ref().map(|(_, born)| *born);
        let what = What::Read(Found { name: name.to_owned(), born });
        self.hub.named(self.object(), Call { begin: exchange.begin, end: exchange.end, what });
        Some(found)
    }

    fn named(&mut self, op: NameOp, exchange: &Exchange) -> Option<Outcome> {
        let outcome = exchange.outcome(self.hub.relays());
        let Some(outcome) = outcome else {
            self.hub.count("name write", "not sent");
            return None;
        };
        let what = What::Write(op, outcome);
        self.hub.count("name write", super::book::word(&what));
        self.hub.named(self.object(), Call { begin: exchange.begin, end: exchange.end, what });
        self.unanswered += usize::from(outcome == Outcome::Unanswered);
        Some(outcome)
    }

    async fn create(&mut self, name: String) {
        let born = self.hub.number();
        let body = json!({"name": name, "metadata": {BORN: born}});
        let exchange = self.ask(Method::POST, "", Some(&body)).await;
        let id = exchange.is(200).and_then(|made| made["id"].as_str()).map(str::to_owned);
        self.named(NameOp::Create { name, born }, &exchange);
        if let Some(id) = id {
            self.write(&id, born).await;
        }
    }

    async fn touch(&mut self, name: String, id: &str, born: u64) {
        match self.chance.below(10) {
            0..=2 => {
                let exchange = self.ask(Method::DELETE, &format!("/{name}"), None).await;
                self.named(NameOp::Delete { name }, &exchange);
            }
            3 | 4 => {
                let at = self.chance.index(NAMES);
                let to = self.name(at);
                if self.find(&to).await == Some(None) {
                    let exchange =
                        self.ask(Method::PUT, &format!("/{id}"), Some(&json!({"new_name": to}))).await;
                    self.named(NameOp::Rename { born, to }, &exchange);
                }
            }
            5..=7 => self.write(id, born).await,
            _ => self.read(id, born).await,
        }
    }

    async fn write(&mut self, id: &str, born: u64) {
        let verb = self.chance.of(&[Verb::Upsert, Verb::Upsert, Verb::Delete]);
        let number = self.hub.number();
        let metadata = BTreeMap::from([("last".to_owned(), Some(number))]);
        let patches = vec![Patch { embedding: Some(number), document: Some(number), metadata }];
        let body = body(verb, &[RECORD.to_owned()], "names", &patches);
        let exchange = self.ask(Method::POST, &format!("/{id}/{}", name(verb)), Some(&body)).await;
        let outcome = exchange.outcome(self.hub.relays());
        // Refused: the collection is gone, which the names are judged by.
        if let Some(outcome) = outcome.filter(|outcome| *outcome != Outcome::Refused) {
            let what = What::Write(Change { verb, patches }, outcome);
            self.hub.count("write", super::book::word(&what));
            let call = Call { begin: exchange.begin, end: exchange.end, what };
            self.hub.record((born_label(born), RECORD.to_owned()), call);
        }
    }

    async fn read(&mut self, id: &str, born: u64) {
        let body = json!({"ids": [RECORD], "include": ["embeddings", "metadatas", "documents"]});
        let exchange = self.ask(Method::POST, &format!("/{id}/get"), Some(&body)).await;
        let Some(page) = exchange.is(200) else { return self.hub.count("read", "not answered") };
        self.hub.count("read", "answered");
        for seen in shown(page, RECORD) {
            let call = Call { begin: exchange.begin, end: exchange.end, what: What::Read(seen) };
            self.hub.record((born_label(born), RECORD.to_owned()), call);
        }
    }
}
