//! What clients did and heard, by object, with times of one clock; and what all of them share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::json;

use super::arena::Arena;
use crate::harness::client::post;
use crate::harness::history::names::Names;
use crate::harness::history::record::{Change, Kept, Verb};
use crate::harness::history::{Call, Outcome, What};
use crate::harness::nodes::collections_url;

/// Collections that stay, each a stream of the log.
pub(crate) const STABLE: usize = 2;

pub(super) const SHARED_PREFIX: &str = "shared-";

/// So many unanswered writes, and other records are shared.
const SHARED_UNANSWERED: u64 = 3;

/// Where every record of the campaign is.
pub(super) const COLLECTIONS: &str = "/api/v2/tenants/default_tenant/databases/default_database/collections";

/// A record: the collection's label and the id.
pub(crate) type Key = (String, String);

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) records: BTreeMap<Key, Vec<Call<Kept>>>,
    /// Of each client that has names of its own.
    pub(crate) names: BTreeMap<usize, Vec<Call<Names>>>,
    pub(crate) outcomes: BTreeMap<String, usize>,
    /// Wrong whatever the histories say.
    pub(crate) wrong: Vec<String>,
    pub(crate) lines: Vec<String>,
}

pub(crate) struct Hub {
    pub(crate) urls: Vec<String>,
    /// Ids of the collections that stay, by which they are written.
    pub(crate) stable: Vec<String>,
    pub(crate) seed: u64,
    clock: Instant,
    stop: AtomicBool,
    numbers: AtomicU64,
    /// Writes of shared records without an answer, in each collection.
    shared_unanswered: [AtomicU64; STABLE],
    book: Mutex<Book>,
}

/// A collection that stays, by its name.
pub(crate) fn stable_name(at: usize) -> String {
    format!("stable-{at}")
}

/// The label of a collection that one of the name clients made.
pub(crate) fn born_label(born: u64) -> String {
    format!("born-{born}")
}

impl Hub {
    /// Makes the collections that stay, with a record each: Chroma answers reads that meet the very first
    /// write of a collection 500.
    pub(super) async fn over(arena: &Arena, seed: u64) -> Self {
        let base = collections_url(&arena.stack.url());
        let mut stable = Vec::new();
        for at in 0..STABLE {
            let (status, made) = post(&base, &json!({"name": stable_name(at)})).await;
            assert_eq!(status, 200, "{made}");
            let id = made["id"].as_str().expect("an id").to_owned();
            let row = json!({"ids": ["seed"], "embeddings": [[0.0, 1.0, -0.5]]});
            let (status, answer) = post(&format!("{base}/{id}/add"), &row).await;
            assert_eq!(status, 201, "{answer}");
            stable.push(id);
        }
        Self {
            urls: arena.urls(),
            stable,
            seed,
            clock: Instant::now(),
            stop: AtomicBool::new(false),
            numbers: AtomicU64::new(1),
            shared_unanswered: Default::default(),
            book: Mutex::default(),
        }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("a book that no test tore")
    }

    /// Nanoseconds of the campaign.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Never given before; small enough for an embedding to carry it exactly.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The record that clients share at this place now.
    pub(super) fn shared(&self, collection: usize, at: usize) -> String {
        let generation = self.shared_unanswered[collection].load(Ordering::Relaxed) / SHARED_UNANSWERED;
        format!("{SHARED_PREFIX}{at}-{generation}")
    }

    pub(super) fn shared_unanswered(&self, collection: usize) {
        self.shared_unanswered[collection].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// More than one balancer: one may pass a request on to the other.
    pub(super) fn relays(&self) -> bool {
        self.urls.len() > 1
    }

    pub(super) fn line(&self, line: &str) {
        self.book().lines.push(line.to_owned());
    }

    /// What the campaign itself did, between the lines of the clients.
    pub(super) fn note(&self, what: &str) {
        let line = format!("{} --- {what} ({:?})", self.now(), Duration::from_nanos(self.now()));
        self.line(&line);
    }

    pub(super) fn count(&self, kind: &str, outcome: &str) {
        *self.book().outcomes.entry(format!("{kind} {outcome}")).or_default() += 1;
    }

    pub(super) fn record(&self, key: Key, call: Call<Kept>) {
        self.book().records.entry(key).or_default().push(call);
    }

    /// As if a client had just heard that it deleted the record.
    pub(crate) fn deleted(&self, label: &str, id: &str) {
        let (begin, change) = (self.now(), Change { verb: Verb::Delete, patches: Vec::new() });
        let what = What::Write(change, Outcome::Acknowledged);
        self.record((label.to_owned(), id.to_owned()), Call { begin, end: self.now(), what });
    }

    pub(super) fn named(&self, client: usize, call: Call<Names>) {
        self.book().names.entry(client).or_default().push(call);
    }

    pub(super) fn wrong(&self, what: String) {
        self.book().wrong.push(what);
    }
}

pub(super) fn word<O: crate::harness::history::Object>(what: &What<O>) -> &'static str {
    match what {
        What::Read(_) => "answered",
        What::Write(_, Outcome::Acknowledged) => "acknowledged",
        What::Write(_, Outcome::Refused) => "refused",
        What::Write(_, Outcome::Logged) => "logged",
        What::Write(_, Outcome::Undecided) => "undecided",
        What::Write(_, Outcome::Unanswered) => "unanswered",
    }
}
