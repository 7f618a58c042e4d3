//! Which requests bring the records of the restored collections from the copy to the target? The log's effects,
//! in order within each collection; what follows each other and does the same goes together. It sends nothing.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::Logged;
use crate::coalesce::{self, Bounds};
use crate::effect::Send;
use crate::entry::Op;
use crate::ids::{CollectionId, Seq};

/// Bytes that wait, in all collections together.
const WAITING_BYTES: usize = 16 << 20;

/// One request that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub collection: CollectionId,
    pub op: Op,
    pub body: Bytes,
    /// Of the entries in it.
    pub first: Seq,
    pub last: Seq,
}

#[derive(Debug)]
struct Waiting {
    op: Op,
    bodies: Vec<Bytes>,
    seqs: Vec<Seq>,
}

/// Entries go in, requests come out.
#[derive(Debug)]
pub struct Replay {
    bounds: Bounds,
    waiting: BTreeMap<CollectionId, Waiting>,
    bytes: usize,
    /// Which collections are wanted.
    wanted: HashSet<CollectionId>,
}

impl Replay {
    pub fn of(wanted: impl IntoIterator<Item = CollectionId>, bounds: Bounds) -> Replay {
        Replay { bounds, waiting: BTreeMap::new(), bytes: 0, wanted: wanted.into_iter().collect() }
    }

    /// The next entry of the log, and what is due before or with it.
    pub fn log(&mut self, logged: &Logged) -> Result<Vec<Request>, String> {
        let collection = logged.collection().filter(|id| logged.is_accepted() && self.wanted.contains(id));
        let Some(collection) = collection else { return Ok(Vec::new()) };
        let Send::Body(body) = logged.send()? else { return Ok(Vec::new()) };
        let mut due = Vec::new();
        let other = self.waiting.get(&collection).is_some_and(|waiting| waiting.op != logged.op);
        if other && let Some(waiting) = self.waiting.remove(&collection) {
            self.release(collection, waiting, &mut due);
        }
        self.bytes += body.len();
        let fresh = || Waiting { op: logged.op, bodies: Vec::new(), seqs: Vec::new() };
        let waiting = self.waiting.entry(collection).or_insert_with(fresh);
        waiting.bodies.push(body);
        waiting.seqs.push(logged.seq);
        if waiting.bodies.len() >= self.bounds.records {
            if let Some(waiting) = self.waiting.remove(&collection) {
                self.release(collection, waiting, &mut due);
            }
        } else if self.bytes > WAITING_BYTES {
            due.extend(self.end());
        }
        Ok(due)
    }

    /// What still waits.
    pub fn end(&mut self) -> Vec<Request> {
        let mut due = Vec::new();
        for (collection, waiting) in std::mem::take(&mut self.waiting) {
            self.release(collection, waiting, &mut due);
        }
        due
    }

    fn release(&mut self, collection: CollectionId, waiting: Waiting, due: &mut Vec<Request>) {
        let Waiting { op, bodies, seqs } = waiting;
        self.bytes -= bodies.iter().map(Bytes::len).sum::<usize>();
        let mut at = 0;
        while at < bodies.len() {
            let joined = coalesce::join(op, &bodies[at..], self.bounds);
            let end = at + joined.count.max(1);
            due.push(Request { collection, op, body: joined.body, first: seqs[at], last: seqs[end - 1] });
            at = end;
        }
    }
}
