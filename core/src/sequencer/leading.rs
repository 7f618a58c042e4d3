//! Whether this balancer may begin anything: it holds the lease, is about to give it away, or does not
//! have it. It takes and gives no lease.

use super::{Inspection, NodeLog, Sequencer};

impl Sequencer {
    pub fn leading(&self) -> bool {
        self.leading
    }

    /// The lease is lost or regained with nothing changed in between.
    pub fn set_leading(&mut self, leading: bool) {
        self.leading = leading;
    }

    /// Nothing is begun from here on.
    pub fn rest(&mut self) {
        self.resting = true;
    }

    /// Whether nothing that was begun is under way on any node.
    pub fn is_still(&self) -> bool {
        let busy =
            |n: &NodeLog| n.in_flight > 0 || n.inspection == Inspection::UnderWay || n.copying.is_some();
        !self.nodes.iter().any(busy)
    }

    /// Another balancer sequences: what is known here grows stale and must not be told to anybody.
    pub fn step_down(&mut self) {
        self.leading = false;
        self.epoch = 0;
        self.interrupt_verification(0);
    }
}
