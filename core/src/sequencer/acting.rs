//! Which node judges an undecided entry, and which judgement is none. `ready` asks it before it hands
//! work out; it changes nothing.

use super::{Inspection, Sequencer};
use crate::entry::Entry;
use crate::ids::{NodeId, Stream};
use crate::lane::Phase;

impl Sequencer {
    /// The node to be asked about an undecided entry: the most preferred that has applied everything
    /// before it. A more preferred one that is a single request behind is waited for, so that the
    /// primary acts again under a steady load.
    pub(super) fn acting(&self, entry: &Entry, now_ms: u64) -> Option<NodeId> {
        let stream = entry.stream();
        if let Some(asked) = self.streams.get(&stream).and_then(|s| s.asked) {
            return Some(asked);
        }
        self.by_preference().find(|node| self.may_act(*node, stream, entry, now_ms))
    }

    fn may_act(&self, node: NodeId, stream: Stream, entry: &Entry, now_ms: u64) -> bool {
        let log = &self.nodes[node.0];
        let known = match entry.collection() {
            Some(id) => log.node_collection(id).is_some() && !log.other_ids.contains(&id),
            // A node without some collection would answer as if it did not exist.
            None => log.inspection == Inspection::Complete && log.copying.is_none() && !self.is_barred(node),
        };
        let looked_at = matches!(log.inspection, Inspection::Seen | Inspection::Complete);
        let able = log.standing.applies && looked_at && known && log.fed >= entry.seq;
        let Some(lane) = log.lane(stream).filter(|_| able) else {
            return false;
        };
        if lane.first() == Some(entry.seq) {
            return match lane.phase {
                Phase::BackOff { until_ms } => until_ms <= now_ms,
                Phase::InDoubt | Phase::Quarantined { .. } => false,
                Phase::Idle | Phase::Loading | Phase::Asking | Phase::Committing { .. } => true,
            };
        }
        let close = lane.next_run().is_some_and(|next| next.seq == entry.seq);
        close && matches!(lane.phase, Phase::Idle | Phase::Asking | Phase::Committing { .. })
    }

    /// A node says that it has no such collection: because a later entry took it away, on this node
    /// only so far? (After a recovery it may not have been read back yet.) It was sent after everything before it was applied there, so this entry was, too.
    pub fn taken_along(&self, entry: &Entry) -> bool {
        let Some(id) = entry.collection() else { return false };
        let unread = self.nodes.iter().all(|log| log.fed < self.recovered_head);
        unread
            || self.catalog.collection(id).is_none()
            || self.destructive.range(entry.seq..).any(|(_, later)| self.takes(later, id))
    }
}
