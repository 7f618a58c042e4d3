//! Which nodes may answer a read, now or soon? The sequencer says how far they are; whether this balancer may
//! tell, and which of them lost their standing meanwhile, is looked after here.

use std::time::Duration;

use chroma_ha_core::ids::{NodeId, Seq};
use chroma_ha_core::sequencer::Gate;
use uuid::Uuid;

use super::Board;

/// A node that may answer a read.
#[derive(Clone, Copy, Debug)]
pub struct Readable {
    pub node: NodeId,
    /// The node's own id of the collection.
    pub node_collection: Option<Uuid>,
    /// How often the node had lost its standing before it was found readable.
    pub losses: u64,
}

impl Board {
    /// Nodes that may answer a read that begins now, without those to avoid.
    pub fn readable(&self, gate: Gate, avoid: &[NodeId]) -> Vec<Readable> {
        let due = self.sequencer().due(gate);
        self.readable_since(gate, due, avoid)
    }

    /// The same for one that began when so much was due.
    pub fn readable_since(&self, gate: Gate, due: Seq, avoid: &[NodeId]) -> Vec<Readable> {
        // Read first: a loss after this line is noticed by whoever uses the node.
        let losses: Vec<u64> = (0..self.posts.len()).map(|n| self.losses(NodeId(n))).collect();
        let mut nodes = self.sequencer().readable_since(gate, due);
        // Asked after the positions were read: they were ours to tell.
        if gate != Gate::Server && !self.may_read() {
            nodes.clear();
        }
        let wanted = nodes.into_iter().filter(|(node, _)| !avoid.contains(node));
        wanted
            .map(|(node, node_collection)| Readable { node, node_collection, losses: losses[node.0] })
            .collect()
    }

    /// Waits until some node may answer the read that began when so much was due, at most so long.
    pub async fn wait_readable(
        &self,
        gate: Gate,
        due: Seq,
        avoid: &[NodeId],
        wait: Duration,
    ) -> Vec<Readable> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut changed = self.changed.subscribe();
        loop {
            let nodes = self.readable_since(gate, due, avoid);
            if gate != Gate::Server && !self.may_read() {
                return Vec::new();
            }
            if !nodes.is_empty() || self.sequencer().all_gone() {
                return nodes;
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return Vec::new();
            }
        }
    }
}
