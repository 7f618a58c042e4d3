//! What follows when a node loses its standing or wins it back: who must be asked instead, which entries
//! are suspected, what is tried at once. What the standing is, `health` says.

use std::sync::Arc;

use super::{NodeLog, Sequencer};
use crate::entry::Entry;
use crate::ids::NodeId;
use crate::lane::{Lane, Phase};

/// What the node's health allows. Derived from its `health` state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its lanes may send.
    pub applies: bool,
    /// It may be read where its position allows it.
    pub serves: bool,
    /// It is not expected to answer: down, or drained by an operator.
    pub gone: bool,
    /// It failed a moment ago and may still answer: read only if nobody else can.
    pub suspect: bool,
    /// An operator takes it out: what is under way there counts, and nothing is begun.
    pub leaving: bool,
}

impl Standing {
    /// Whether outcomes of what was sent to it count.
    pub fn counts(self) -> bool {
        self.applies || self.leaving
    }

    /// Whether what is under way there is left: by reads, too.
    pub fn is_lost_in(self, next: Standing) -> bool {
        (self.serves || self.leaving) && !(next.serves || next.leaving) || self.counts() && !next.counts()
    }
}

impl Sequencer {
    pub fn set_standing(&mut self, node: NodeId, standing: Standing) {
        let was = self.nodes[node.0].standing;
        if was.counts() && !standing.counts() {
            self.suspect_in_flight(node);
        }
        self.nodes[node.0].set_standing(standing);
        if was.counts() && !standing.counts() {
            self.release_asked(node);
        }
        if standing.applies && !was.applies {
            self.end_waits(node);
        }
    }

    /// Streams that wait for this node's verdict may ask another one, unless its answer already counts.
    fn release_asked(&mut self, node: NodeId) {
        let log = &self.nodes[node.0];
        for (stream, state) in &mut self.streams {
            let counts = log.lane(*stream).is_some_and(|l| matches!(l.phase, Phase::Committing { .. }));
            if state.asked == Some(node) && !counts {
                state.asked = None;
            }
        }
    }

    /// The node came back: what broke off because of it, copies from it as well, need not wait any longer.
    fn end_waits(&mut self, node: NodeId) {
        self.nodes[node.0].end_back_off();
        self.nodes.iter_mut().for_each(|node| node.copy_after_ms.clear());
    }
}

impl NodeLog {
    /// What the node is being asked about, by request.
    pub(super) fn asked(&self) -> Vec<Vec<Arc<Entry>>> {
        self.lanes.values().filter(|lane| lane.phase == Phase::Asking).map(Lane::run).collect()
    }

    /// The node came back: whatever waits is tried at once.
    pub fn end_back_off(&mut self) {
        for lane in self.lanes.values_mut() {
            if matches!(lane.phase, Phase::BackOff { .. }) {
                lane.phase = Phase::Idle;
            }
        }
    }
}
