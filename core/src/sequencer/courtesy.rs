//! How much of a node may what it missed take, while clients read from it? Less than all: its reads would wait
//! behind large writes. It limits followers only; a write that a client waits for is never held back.

use super::Sequencer;
use crate::ids::NodeId;

/// The part of a node's requests in flight that catching up takes while the node is read from.
const SHARE: usize = 4;

impl Sequencer {
    /// So many reads are under way at the node right now.
    pub fn note_reads(&mut self, node: NodeId, outstanding: u32) {
        self.readers[node.0] = outstanding;
    }

    /// A node that is far behind starts nothing more of what it missed.
    pub(super) fn yields(&self, node: NodeId) -> bool {
        let log = &self.nodes[node.0];
        let behind = usize::try_from(self.head.0 - log.cursor().0).unwrap_or(usize::MAX);
        let busy = log.in_flight >= (self.limits.in_flight / SHARE).max(1);
        self.readers[node.0] > 0 && busy && behind > self.batch(node)
    }
}
