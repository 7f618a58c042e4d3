//! How far one node is: its lanes, its place in the log, its own collection ids. It decides nothing
//! about other nodes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::doubt::Doubts;
use super::verify::compare::Comparing;
use super::{Inspection, Limits, Standing, Troubles};
use crate::entry::Entry;
use crate::ids::{CollectionId, Seq, Stream};
use crate::lane::{Lane, Phase, Span};
use crate::port::{Leftover, RecoveredNode};

#[derive(Debug, Default)]
pub struct NodeLog {
    pub standing: Standing,
    /// Rises whenever the node loses its standing: outcomes of older requests do not count.
    pub generation: u64,
    /// Every entry up to here has been given to a lane.
    pub fed: Seq,
    /// A page of the log is being read to feed the lanes.
    pub feeding: bool,
    /// An effect or a refusal from here on became durable while that page was being read: it may lack it.
    pub stale_from: Option<Seq>,
    pub(super) lanes: HashMap<Stream, Lane>,
    /// The first unapplied position of every lane that has one.
    waiting: BTreeSet<(Seq, Stream)>,
    /// Every catalog entry up to here is applied.
    pub catalog_cursor: Seq,
    pub(super) mapped: HashMap<CollectionId, Uuid>,
    pub(super) logical: HashMap<Uuid, CollectionId>,
    queued_bytes: usize,
    /// Lanes for which a page of the log is being read.
    loading: usize,
    pub in_flight: usize,
    /// The lane whose request is the only one in flight, because it is suspected.
    pub(super) isolated: Option<Stream>,
    /// The node belongs to the cluster: its contents are adopted or copied.
    pub joined: bool,
    pub inspection: Inspection,
    /// The most records that it takes in one request; none: it did not tell.
    pub(super) batch_limit: Option<usize>,
    /// It takes embeddings as base64; not known of one that was never looked at.
    pub(super) base64: bool,
    /// It was looked at before it last lost its standing.
    pub(super) familiar: bool,
    /// The collection that is being copied onto the node.
    pub(super) copying: Option<CollectionId>,
    pub(super) copy_after_ms: HashMap<CollectionId, u64>,
    /// Collections whose documents have other record ids here: followed, never read.
    pub(super) other_ids: HashSet<CollectionId>,
    pub doubts: Doubts,
    pub(super) comparing: Option<Comparing>,
    /// Collections on the node that a copy made and did not end.
    pub(super) leftovers: HashMap<CollectionId, Leftover>,
    /// Copies that were made since the node last had every collection.
    pub(super) copied: usize,
    pub(super) troubles: Troubles,
}

impl NodeLog {
    /// As the log remembers the node. Its health stays, but no lane moves until that says so again: what
    /// was sent before may still be executing.
    pub(super) fn remembered(stored: RecoveredNode, before: &NodeLog) -> NodeLog {
        let mut node = NodeLog {
            standing: Standing { applies: false, leaving: false, ..before.standing },
            generation: before.generation + 1,
            fed: stored.cursor,
            catalog_cursor: stored.catalog_cursor.max(stored.cursor),
            logical: stored.mapped.iter().map(|(id, own)| (*own, *id)).collect(),
            mapped: stored.mapped.into_iter().collect(),
            joined: stored.joined,
            other_ids: stored.other_ids.into_iter().collect(),
            leftovers: stored.copying.into_iter().collect(),
            ..NodeLog::default()
        };
        stored.quarantined.into_iter().for_each(|(id, reason)| node.quarantine(id, &reason));
        node.remember_doubts(stored.doubts);
        let stream = |id: Option<_>| id.map_or(Stream::Catalog, Stream::Collection);
        node.troubles.letters = stored.letters.into_iter().map(|(id, seq)| (stream(id), seq)).collect();
        node.troubles.skips = stored.skipped.into_iter().collect();
        node
    }

    /// Every entry up to here is applied.
    pub fn cursor(&self) -> Seq {
        self.waiting.first().map_or(self.fed, |(seq, _)| seq.prev().min(self.fed))
    }

    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(super) fn loading(&self) -> usize {
        self.loading
    }

    /// When the oldest unapplied entry was logged (ms since the Unix epoch), if that was seen.
    pub fn oldest_pending_ms(&self) -> Option<u64> {
        let (_, stream) = self.waiting.first()?;
        self.lanes.get(stream)?.since_ms()
    }

    /// Streams that have an unapplied entry, by the first of it.
    pub(super) fn waiting(&self, most: usize) -> Vec<(Seq, Stream)> {
        self.waiting.iter().take(most).copied().collect()
    }

    pub fn waiting_lanes(&self) -> usize {
        self.waiting.len()
    }

    pub fn lane(&self, stream: Stream) -> Option<&Lane> {
        self.lanes.get(&stream)
    }

    /// The first unapplied position of a stream.
    pub fn first(&self, stream: Stream) -> Option<Seq> {
        self.lanes.get(&stream).and_then(Lane::first)
    }

    /// Streams with something to do, in log order; not what waits to be copied.
    pub fn candidates(&self, limit: usize) -> Vec<(Seq, Stream)> {
        let moves = |(_, stream): &&(Seq, Stream)| !self.is_quarantined(*stream);
        self.waiting.iter().filter(moves).take(limit).copied().collect()
    }

    /// Takes the next entry of the log.
    pub fn offer(&mut self, entry: &Arc<Entry>, limits: &Limits) {
        debug_assert!(entry.seq > self.fed, "entries come in order, once");
        self.fed = entry.seq;
        let stream = entry.stream();
        if stream == Stream::Catalog && entry.seq <= self.catalog_cursor {
            return;
        }
        let queued = self.queued_bytes;
        let bytes = queued + entry.size_bytes();
        let standing = self.standing.applies;
        self.change(stream, |lane| {
            let room =
                standing && lane.len() < limits.lane_entries && (bytes <= limits.node_bytes || queued == 0);
            lane.offer(Arc::clone(entry), room);
        });
    }

    /// What an acceptance elsewhere means for pages that are being read right now.
    pub(super) fn adopt(&mut self, entry: &Arc<Entry>) {
        if self.feeding && entry.outdates_pages() {
            self.stale_from = Some(self.stale_from.map_or(entry.seq, |from| from.min(entry.seq)));
        }
        if let Some(lane) = self.lanes.get_mut(&entry.stream()) {
            lane.adopt(entry);
        }
    }

    /// Changes a lane and keeps what is derived from it: the waiting set, the bytes, no empty lanes.
    pub fn change<T>(&mut self, stream: Stream, change: impl FnOnce(&mut Lane) -> T) -> T {
        let lane = self.lanes.entry(stream).or_default();
        let (first, bytes, loads) = (lane.first(), lane.bytes(), lane.phase == Phase::Loading);
        let result = change(lane);
        let (now_first, now_bytes) = (lane.first(), lane.bytes());
        self.queued_bytes = self.queued_bytes + now_bytes - bytes;
        let over = lane.is_empty() && !matches!(lane.phase, Phase::Quarantined { .. });
        let still_loads = !over && lane.phase == Phase::Loading;
        self.loading = self.loading + usize::from(still_loads) - usize::from(loads);
        if over {
            self.lanes.remove(&stream);
        }
        if first != now_first {
            first.map(|seq| self.waiting.remove(&(seq, stream)));
            now_first.map(|seq| self.waiting.insert((seq, stream)));
        }
        result
    }

    /// The node lost or won its standing. Requests in flight no longer count unless their outcome is
    /// being made durable; a node that is gone gives its memory back.
    pub fn set_standing(&mut self, standing: Standing) {
        let lost = self.standing.counts() && !standing.counts();
        let gone = standing.gone && !self.standing.gone;
        self.standing = standing;
        if !(lost || gone) {
            return;
        }
        self.generation += 1;
        self.familiar = matches!(self.inspection, Inspection::Seen | Inspection::Complete);
        self.inspection = Inspection::Due;
        self.copying = None;
        self.isolated = None;
        self.comparing = None;
        self.doubt_asked();
        let streams: Vec<Stream> = self.lanes.keys().copied().collect();
        for stream in streams {
            let was_asking = self.change(stream, |lane| {
                let asking = lane.phase == Phase::Asking;
                if asking || matches!(lane.phase, Phase::BackOff { .. } | Phase::InDoubt) {
                    lane.phase = Phase::Idle;
                }
                if gone && lane.phase == Phase::Idle {
                    lane.spill();
                }
                asking
            });
            self.in_flight -= usize::from(was_asking);
        }
    }

    /// Gives memory back until no more than so many bytes are queued: from the lanes whose turn comes last, and
    /// from none with a request under way.
    pub(super) fn give_back(&mut self, most_bytes: usize) {
        let last_first: Vec<Stream> = self.waiting.iter().rev().map(|(_, stream)| *stream).collect();
        for stream in last_first {
            if self.queued_bytes <= most_bytes {
                return;
            }
            if self.lanes.get(&stream).is_some_and(|lane| lane.phase == Phase::Idle) {
                self.change(stream, Lane::spill);
            }
        }
    }

    pub fn wanted(&self, stream: Stream) -> Option<Span> {
        self.lanes.get(&stream).and_then(Lane::wanted)
    }
}
