//! What follows from operators' orders about nodes: who is asked first to judge, whether a node may be
//! taken out, and whether nothing of ours is under way there any more. It gives no order, and moves no
//! node: `health` does.

use super::{Hindrance, Inspection, Sequencer};
use crate::ids::{CollectionId, NodeId};
use crate::orders::Orders;

impl Sequencer {
    pub fn orders(&self) -> &Orders {
        self.heard.orders()
    }

    /// The node that judges what comes next whenever it is up to date.
    pub fn first_choice(&self) -> NodeId {
        self.orders().preferred.filter(|node| node.0 < self.nodes.len()).unwrap_or(NodeId::PRIMARY)
    }

    /// Nodes in the order in which they are asked to judge.
    pub(super) fn by_preference(&self) -> impl Iterator<Item = NodeId> {
        let first = self.first_choice();
        let preferred = self.node_ids().filter(move |node| *node == first);
        preferred.chain(self.node_ids().filter(move |node| *node != first))
    }

    /// Whether clients are served as before when the node is taken out.
    pub fn drainable(&self, node: NodeId) -> Result<(), Hindrance> {
        let others: Vec<NodeId> =
            self.node_ids().filter(|other| *other != node && self.is_up_to_date(*other)).collect();
        // What another node holds under other record ids is not read there, however up to date it is.
        let alone = |id: CollectionId| {
            !self.has_other_ids(node, id) && others.iter().all(|other| self.has_other_ids(*other, id))
        };
        if others.is_empty() || self.other_ids().into_iter().any(|(_, id)| alone(id)) {
            Err(Hindrance::LastNode)
        } else {
            Ok(())
        }
    }

    /// Whether the node can judge what comes next at once.
    pub fn preferable(&self, node: NodeId) -> Result<(), Hindrance> {
        if self.is_up_to_date(node) { Ok(()) } else { Err(Hindrance::Behind) }
    }

    fn is_up_to_date(&self, node: NodeId) -> bool {
        let standing = self.nodes[node.0].standing;
        let used = standing.applies && standing.serves && self.orders().drain_of(node).is_none();
        used && self.caught_up(node)
    }

    /// No request that this balancer wrote with, looked with or copied with is under way at the node.
    pub fn is_emptied(&self, node: NodeId) -> bool {
        let log = &self.nodes[node.0];
        log.in_flight == 0 && log.inspection != Inspection::UnderWay && log.copying.is_none()
    }
}
