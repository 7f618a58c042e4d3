//! Which nodes hold a collection's documents under other record ids? They were filled apart, before there
//! was a log. Such a node follows the log, so that deletions reach it, but it is not read, judges nothing
//! and is no source of a copy.

use super::Sequencer;
use crate::ids::{CollectionId, NodeId};

impl Sequencer {
    pub fn has_other_ids(&self, node: NodeId, id: CollectionId) -> bool {
        self.nodes[node.0].other_ids.contains(&id)
    }

    /// A copy found it so, or replaced what was there.
    pub fn set_other_ids(&mut self, node: NodeId, id: CollectionId, other: bool) {
        let known = &mut self.nodes[node.0].other_ids;
        let _ = if other { known.insert(id) } else { known.remove(&id) };
    }

    /// Whether the collection was there before the log: its records came to the nodes apart. Only then has
    /// it a node's own id. One that was born through the log has one id for each record.
    pub fn is_adopted(&self, id: CollectionId) -> bool {
        let own = |n: &super::NodeLog| n.node_collection(id) == Some(id.0) || n.other_ids.contains(&id);
        self.nodes.iter().any(own)
    }

    /// Every such node and collection, in order.
    pub fn other_ids(&self) -> Vec<(NodeId, CollectionId)> {
        let of = |node: NodeId| self.nodes[node.0].other_ids.iter().map(move |id| (node, *id));
        let mut all: Vec<_> = self.node_ids().flat_map(of).collect();
        all.sort_unstable();
        all
    }
}
