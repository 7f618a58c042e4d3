//! What readers and operators see of the sequencer: who may answer a read, how far each node is.

use serde::Serialize;
use uuid::Uuid;

use super::{Inspection, Sequencer, Standing};
use crate::ids::{CollectionId, NodeId, Seq, Stream};

/// What a read must not miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing of the log: any node may answer.
    Server,
    Stream(Stream),
}

/// One node's place in the log.
#[derive(Clone, Debug)]
pub struct NodeView {
    pub node: NodeId,
    pub cursor: Seq,
    pub lag: u64,
    pub in_flight: usize,
    pub waiting_lanes: usize,
    pub queued_bytes: usize,
    /// Entries that are read from the log at a time for it.
    pub batch: usize,
    pub quarantined: Vec<(Stream, String)>,
    /// Streams in which a request that was given up may still change something, not yet read back.
    pub in_doubt: usize,
    /// Copies made since the node last had every collection.
    pub copied: usize,
    pub standing: Standing,
}

/// A stream that a node has not applied to its end.
#[derive(Clone, Debug, Serialize)]
pub struct Behind {
    pub stream: String,
    /// As people know it.
    pub place: String,
    /// The first entry that the node lacks.
    pub first: Seq,
    /// When that was logged, if that was seen.
    pub since_ms: Option<u64>,
    pub doing: &'static str,
}

/// Where one write stands on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Applied,
    /// Decided, and the node's lane has not come to it.
    Pending,
    /// No node has judged it yet.
    WaitingForVerdict,
    /// The node gets the whole collection anew.
    Quarantined,
}

impl Sequencer {
    pub fn place(&self, node: NodeId, stream: Stream, seq: Seq) -> Place {
        let log = &self.nodes[node.0];
        if log.is_quarantined(stream) {
            Place::Quarantined
        } else if log.position(stream) >= seq {
            Place::Applied
        } else if self.is_decided(stream, seq) {
            Place::Pending
        } else {
            Place::WaitingForVerdict
        }
    }

    /// Whether the verdict on the entry at this place is known.
    pub fn is_decided(&self, stream: Stream, seq: Seq) -> bool {
        match self.streams.get(&stream) {
            Some(state) => seq <= state.decided,
            // Forgotten, because every node has applied everything; or not read back yet.
            None => seq <= self.floor || self.nodes.iter().all(|node| node.fed >= seq),
        }
    }

    /// The last acknowledged entry, as of now: no read that begins now may show less.
    pub fn due(&self, gate: Gate) -> Seq {
        let Gate::Stream(stream) = gate else { return Seq::ZERO };
        self.streams.get(&stream).map_or(Seq::ZERO, |s| s.acked).max(self.recovered_head)
    }

    /// For a read that begins now.
    pub fn readable(&self, gate: Gate) -> Vec<(NodeId, Option<Uuid>)> {
        self.readable_since(gate, self.due(gate))
    }

    /// Nodes that have applied what was due in the stream when the read began, most preferred first, and the
    /// node's own id of the collection. What is acknowledged later is not waited for: under a steady load
    /// that would never end. Nodes that may serve come first; if there is none, those that are in doubt
    /// but not gone.
    pub fn readable_since(&self, gate: Gate, due: Seq) -> Vec<(NodeId, Option<Uuid>)> {
        let fits = |n: NodeId| self.fits(n, gate, due).map(|own| (n, own));
        let fit: Vec<_> = self.node_ids().filter_map(fits).collect();
        let serving: Vec<_> = fit.iter().copied().filter(|(n, _)| self.nodes[n.0].standing.serves).collect();
        if serving.is_empty() {
            // What came back and was not looked at yet may have lost its disk.
            let last = |n: NodeId| match gate {
                Gate::Server => !self.nodes[n.0].standing.gone && !self.nodes[n.0].standing.leaving,
                Gate::Stream(_) => self.nodes[n.0].standing.suspect && self.nodes[n.0].familiar,
            };
            return fit.into_iter().filter(|(n, _)| last(*n)).collect();
        }
        // What a late request may have changed is shown only if nobody else can be asked.
        let sure = |n: NodeId| match gate {
            Gate::Server => true,
            Gate::Stream(stream) => !self.nodes[n.0].doubts.is_fresh(stream),
        };
        let sure: Vec<_> = serving.iter().copied().filter(|(n, _)| sure(*n)).collect();
        if sure.is_empty() { serving } else { sure }
    }

    fn fits(&self, node: NodeId, gate: Gate, due: Seq) -> Option<Option<Uuid>> {
        let log = &self.nodes[node.0];
        let Gate::Stream(stream) = gate else { return Some(None) };
        let fresh = log.fed >= due && log.first(stream).is_none_or(|first| first > due);
        let aside = log.is_quarantined(stream) || self.is_condemned(node, stream);
        if !fresh || aside || (log.standing.serves && !log.inspection.is_made()) {
            return None;
        }
        match stream {
            Stream::Catalog if self.is_barred(node) || log.inspection != Inspection::Complete => None,
            Stream::Catalog => Some(None),
            Stream::Collection(id) if log.other_ids.contains(&id) => None,
            Stream::Collection(id) => log.node_collection(id).map(Some),
        }
    }

    /// The node's own id of a collection, and back.
    pub fn node_collection(&self, node: NodeId, id: CollectionId) -> Option<Uuid> {
        self.nodes[node.0].node_collection(id)
    }

    pub fn logical(&self, node: NodeId, own: Uuid) -> Option<CollectionId> {
        self.nodes[node.0].logical(own)
    }

    /// What a copy that did not end left on the node: it has taken the mapped collection's place.
    pub fn leftover_of(&self, node: NodeId, id: CollectionId) -> Option<Uuid> {
        self.nodes[node.0].leftovers.get(&id).map(|left| left.node_collection)
    }

    /// Whether this is what the node kept of a collection that has been deleted since.
    pub fn is_outlived(&self, node: NodeId, own: Uuid) -> bool {
        let mut leftovers = self.nodes[node.0].leftovers.iter();
        leftovers.any(|(id, left)| left.node_collection == own && self.catalog.collection(*id).is_none())
    }

    /// Entries from the first one that the node has not applied to the head.
    pub fn lag(&self, node: NodeId) -> u64 {
        self.head.0 - self.nodes[node.0].cursor().0
    }

    pub fn view(&self, node: NodeId) -> NodeView {
        let log = &self.nodes[node.0];
        let cursor = log.cursor();
        NodeView {
            node,
            cursor,
            lag: self.lag(node),
            in_flight: log.in_flight,
            waiting_lanes: log.waiting_lanes(),
            queued_bytes: log.queued_bytes(),
            batch: self.batch(node),
            quarantined: log.quarantined(),
            in_doubt: log.doubts.fresh(),
            copied: log.copied,
            standing: log.standing,
        }
    }

    /// Streams in which the node lacks an entry from before that time, the oldest first; at most so many.
    pub fn behind(&self, node: NodeId, before_ms: u64, most: usize) -> Vec<Behind> {
        let log = &self.nodes[node.0];
        let shown = |(first, stream): (Seq, Stream)| {
            let lane = log.lane(stream)?;
            let since_ms = lane.since_ms();
            let doing = lane.phase.name();
            let old = since_ms.is_none_or(|since| since < before_ms);
            old.then(|| Behind {
                stream: stream.to_string(),
                place: self.described(stream),
                first,
                since_ms,
                doing,
            })
        };
        log.waiting(most).into_iter().filter_map(shown).collect()
    }

    /// The node that judges what comes next, as a rule: the most preferred one that has been looked at, lacks
    /// no collection, and is as far as any other. A stream of its own may be judged by another one.
    pub fn acts_next(&self) -> Option<NodeId> {
        let able = |node: &NodeId| {
            let log = &self.nodes[node.0];
            log.standing.applies && log.inspection == Inspection::Complete && !self.is_barred(*node)
        };
        let able: Vec<NodeId> = self.by_preference().filter(able).collect();
        let furthest = able.iter().map(|node| self.nodes[node.0].cursor()).max()?;
        let near = |node: &NodeId| self.caught_up(*node) || self.nodes[node.0].cursor() == furthest;
        able.into_iter().find(near).filter(|_| self.leading())
    }

    /// Every node whose lanes may send has applied this entry.
    pub fn applied_everywhere(&self, stream: Stream, seq: Seq) -> bool {
        let behind = |n: &super::NodeLog| n.fed < seq || n.first(stream).is_some_and(|first| first <= seq);
        let counts = |n: &super::NodeLog| n.standing.applies && !n.is_quarantined(stream);
        !self.nodes.iter().any(|node| counts(node) && behind(node))
    }

    /// No node is expected to answer for now.
    pub fn all_gone(&self) -> bool {
        self.nodes.iter().all(|n| n.standing.gone)
    }

    /// Every node has applied everything up to here.
    pub fn completed(&self) -> Seq {
        self.nodes.iter().map(|n| n.cursor()).min().unwrap_or(self.head)
    }

    /// The node is near enough to the log's end to count as caught up: nothing is spilled and no
    /// more than a moment's writes are waiting.
    pub fn caught_up(&self, node: NodeId) -> bool {
        const MOMENT: u64 = 64;
        let log = &self.nodes[node.0];
        log.inspection == Inspection::Complete
            && !self.is_barred(node)
            && log.fed == self.head
            && self.head.0 - log.cursor().0 <= MOMENT
            && !log.lanes.values().any(|l| l.is_spilled())
    }
}
