//! Which records of a node may still be changed by a request that was given up? Such a request can
//! execute after the entry and its successors were applied again. Per stream a bounded set of record ids
//! is kept until the node was read back often enough; `readback` says when. Nothing is read here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::NodeLog;
use crate::effect::{self, Effect, Question};
use crate::entry::Entry;
use crate::ids::{CollectionId, Seq, Stream};
use crate::lane::Phase;

mod copied;
mod kept;
mod readback;

pub use kept::Keeping;

/// Ids that are remembered of one stream; beyond them the whole collection is read back.
const IDS: usize = 1_000;

/// Bytes of ids that are remembered of all streams of a node, which may be many; the same beyond them.
const IDS_BYTES: usize = 8 << 20;

/// What an id takes besides its letters.
const ID_BYTES: usize = 48;

/// After the first look that found a node equal: when it is looked at again.
const AGAIN_MS: [u64; 3] = [2_000, 15_000, 120_000];

/// What is in doubt of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// The first entry in doubt: applied again from here, the stream ends as the log says.
    pub first: Seq,
    pub last: Seq,
    /// `None`: every record.
    pub ids: Option<BTreeSet<String>>,
    /// Of these ids.
    bytes: usize,
    /// Rises when more comes into doubt: what was read before does not settle it.
    pub version: u64,
    /// How often it was found equal since.
    looks: usize,
    /// The stream was applied again from `first`.
    pub replayed: bool,
    /// It is being: the first was read and not sent.
    begun: bool,
    /// How often it was, since the last entry came into doubt.
    pub rounds: u32,
    /// It had been applied up to here when it was last applied again.
    pub through: Seq,
    /// It is to be applied again from there as soon as the lane is idle.
    pub wished: Option<Seq>,
    pub due_ms: u64,
    /// Since when there was no other node to compare with.
    pub alone_since_ms: Option<u64>,
}

impl Doubt {
    /// Nothing was done about it: a restart must find it again.
    pub fn is_fresh(&self) -> bool {
        self.looks == 0 && !self.replayed
    }

    /// The lane is past this entry; `read`: what was sent before counts as its being applied again. With what
    /// went along in one request, that is complete once the last of them was applied again, too.
    pub(super) fn passed(&mut self, seq: Seq, read: bool) {
        self.begun |= read && self.first.max(self.through) >= seq;
        self.replayed |= self.begun && self.last <= seq.max(self.through);
    }

    /// With every other id, if there is room for them.
    fn remember(&mut self, ids: Option<BTreeSet<String>>, room: usize) {
        if let Some((known, more)) = self.ids.as_mut().zip(ids) {
            for id in more {
                let bytes = id.len() + ID_BYTES;
                self.bytes += if known.insert(id) { bytes } else { 0 };
            }
            if known.len() <= IDS && self.bytes <= room {
                return;
            }
        }
        (self.ids, self.bytes) = (None, 0);
    }

    /// A difference was seen: what was found before does not count.
    pub fn reopen(&mut self) {
        (self.looks, self.due_ms) = (0, 0);
    }
}

#[derive(Debug, Default)]
pub struct Doubts {
    streams: HashMap<Stream, Doubt>,
    /// Of all ids that are remembered.
    bytes: usize,
    /// Everything up to here that the lanes pass may have been sent by an earlier holder of the lease.
    inherited: Seq,
    /// Up to where the node may show more of a stream than its lane has applied.
    ahead: HashMap<Stream, Seq>,
    /// Doubts that a restart finds by a note of their own, and from which entry on.
    kept: HashMap<Stream, Seq>,
}

impl Doubts {
    /// These were sent, and what became of them is not known.
    pub fn note(&mut self, entries: &[Arc<Entry>]) {
        for entry in entries {
            let ids = within_reach(entry);
            if ids.as_ref().is_some_and(BTreeSet::is_empty) {
                continue;
            }
            let fresh = || Doubt { first: entry.seq, ids: Some(BTreeSet::new()), ..Doubt::default() };
            let doubt = self.streams.entry(entry.stream()).or_insert_with(fresh);
            doubt.first = doubt.first.min(entry.seq);
            doubt.last = doubt.last.max(entry.seq);
            let others = self.bytes - doubt.bytes;
            doubt.remember(ids, IDS_BYTES.saturating_sub(others));
            self.bytes = others + doubt.bytes;
            doubt.version += 1;
            (doubt.looks, doubt.replayed, doubt.begun, doubt.rounds) = (0, false, false, 0);
            (doubt.due_ms, doubt.alone_since_ms) = (0, None);
        }
    }

    /// The node's lane is past the entry: whether an earlier holder had sent it is not known.
    pub fn passed(&mut self, entry: &Arc<Entry>) {
        let known =
            self.streams.get(&entry.stream()).is_some_and(|d| d.first <= entry.seq && entry.seq <= d.last);
        if entry.seq <= self.inherited && !known {
            self.note(std::slice::from_ref(entry));
        }
    }

    /// The node shows what was applied up to here already, although its lane begins further ahead.
    pub fn ahead(&mut self, stream: Stream, through: Seq) {
        self.ahead.insert(stream, through);
    }

    /// From which position on the node holds no more and no less than its lane has applied.
    pub fn shown_through(&self, stream: Stream) -> Seq {
        let ahead = self.ahead.get(&stream).copied().unwrap_or_default();
        let doubted = self.of(stream).map_or(Seq::ZERO, |doubt| doubt.last);
        self.inherited.max(ahead).max(doubted)
    }

    pub fn of(&self, stream: Stream) -> Option<&Doubt> {
        self.streams.get(&stream)
    }

    pub fn of_mut(&mut self, stream: Stream) -> Option<&mut Doubt> {
        self.streams.get_mut(&stream)
    }

    /// The log is to be applied again as soon as the lane is idle.
    pub fn is_wished(&self, stream: Stream) -> bool {
        self.of(stream).is_some_and(|doubt| doubt.wished.is_some())
    }

    pub fn is_fresh(&self, stream: Stream) -> bool {
        self.of(stream).is_some_and(Doubt::is_fresh)
    }

    /// Streams whose next look is due, in order.
    pub fn due(&self, now_ms: u64) -> Vec<Stream> {
        let due = self.streams.iter().filter(|(_, doubt)| doubt.due_ms <= now_ms);
        let mut due: Vec<Stream> = due.map(|(stream, _)| *stream).collect();
        due.sort_unstable();
        due
    }

    /// The node was found to hold what it should.
    pub fn looked(&mut self, stream: Stream, version: u64, now_ms: u64) {
        let Some(doubt) = self.streams.get_mut(&stream).filter(|doubt| doubt.version == version) else {
            return;
        };
        match AGAIN_MS.get(doubt.looks) {
            Some(wait) => {
                doubt.looks += 1;
                doubt.replayed = false;
                doubt.due_ms = now_ms + wait;
            }
            None => self.forget(stream),
        }
    }

    /// The stream's collection on the node is another one now, or none: what is late finds nothing.
    pub fn forget(&mut self, stream: Stream) {
        self.bytes -= self.streams.remove(&stream).map_or(0, |doubt| doubt.bytes);
    }

    /// Streams in doubt about which nothing was done yet.
    pub fn fresh(&self) -> usize {
        self.streams.values().filter(|doubt| doubt.is_fresh()).count()
    }

    /// Whether one of these records is in doubt.
    pub fn covers(&self, stream: Stream, records: &[String]) -> bool {
        self.of(stream).is_some_and(|doubt| {
            doubt.ids.as_ref().is_none_or(|ids| records.iter().any(|record| ids.contains(record)))
        })
    }
}

impl NodeLog {
    /// What an earlier holder of the lease had in flight, and how far it was, is not known.
    pub(super) fn inherit_doubts(&mut self, through: Seq) {
        self.doubts.inherited = through;
        self.doubts.restore(through);
    }

    /// There was no answer: the lane waits until the node has settled.
    pub(super) fn leave_in_doubt(&mut self, stream: Stream, entries: &[Arc<Entry>]) {
        self.doubts.note(entries);
        self.change(stream, |lane| {
            lane.attempts += 1;
            lane.phase = Phase::InDoubt;
        });
    }

    /// What is asked right now is given up: the node may execute it at any time.
    pub(super) fn doubt_asked(&mut self) {
        let asked = self.asked();
        asked.iter().for_each(|run| self.doubts.note(run));
    }

    /// The node's collection is another one now, or none.
    pub(super) fn forget_doubt(&mut self, id: CollectionId) {
        self.doubts.forget(Stream::Collection(id));
    }
}

/// Which records a request for this entry can change, whatever its effect came to since; `None`: any.
fn within_reach(entry: &Entry) -> Option<BTreeSet<String>> {
    let Entry { draft, .. } = entry;
    let named = || effect::named_ids(&draft.body);
    let ids = match entry.effect() {
        Some(Effect::Ids { ids }) => ids.clone(),
        // The acting node may have got the client's own ids instead: those that were none then, too.
        Some(Effect::Deletion(deletion)) => [deletion.ids.clone(), named().unwrap_or_default()].concat(),
        // Only the question was sent.
        None if matches!(effect::question(draft.op, &draft.body), Question::Get(_)) => Vec::new(),
        _ if draft.op.is_record() => named()?,
        _ => return None,
    };
    Some(ids.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::entry::{Draft, Op};

    /// An upsert of one record with a long id.
    fn upsert(seq: u64, collection: u128) -> Arc<Entry> {
        let id = format!("{seq:01000}");
        let draft = Draft {
            write_id: seq.to_string(),
            op: Op::Upsert,
            target: Some(Uuid::from_u128(collection)),
            method: "POST".to_owned(),
            path: "/".to_owned(),
            body: Bytes::from(format!(r#"{{"ids": ["{id}"], "embeddings": [[1]]}}"#)),
            headers: Vec::new(),
        };
        Arc::new(Entry::new(crate::ids::Seq(seq), draft, 0))
    }

    #[test]
    fn ids_of_many_streams_are_bounded_and_beyond_the_bound_all_of_a_stream_is_in_doubt() {
        let mut doubts = Doubts::default();
        let stream = |n: u64| Stream::Collection(CollectionId(Uuid::from_u128(u128::from(n))));
        for seq in 1..=20_000 {
            doubts.note(&[upsert(seq, u128::from(seq % 10_000))]);
            assert!(doubts.bytes <= IDS_BYTES, "after {seq}");
        }
        let known = doubts.streams.values().filter(|doubt| doubt.ids.is_some()).count();
        let counted: usize = doubts.streams.values().map(|doubt| doubt.bytes).sum();
        assert!((2_000..9_000).contains(&known), "{known}");
        assert_eq!(counted, doubts.bytes);
        // None is forgotten for it: all of the collection is looked at.
        assert!((0..10_000).all(|n| doubts.covers(stream(n), &[format!("{n:01000}")]) || n == 0));
        (0..10_000).for_each(|n| doubts.forget(stream(n)));
        assert_eq!(doubts.bytes, 0);
    }
}
