//! What no node holds any more, and what that bars. A node that lacks a collection which another one holds
//! must not judge the catalog's entries nor be read for them: it would deny what exists. What every node
//! lost bars nobody: it is denied by all alike, and answered for here.

use std::sync::Arc;

use super::Sequencer;
use crate::entry::{Entry, Op};
use crate::ids::{CollectionId, NodeId, Stream};
use crate::lane::Lane;

impl Sequencer {
    /// The collection exists, but no node holds it or may get it from the log: nothing can be read,
    /// written or copied.
    pub fn is_lost(&self, id: CollectionId) -> bool {
        self.catalog.collection(id).is_some() && !self.node_ids().any(|node| self.is_source(node, id))
    }

    /// Whether the node lacks a collection that another one holds, up or not.
    pub fn is_barred(&self, node: NodeId) -> bool {
        let bars = |other: NodeId, id: CollectionId| {
            let spared = self.may_have_taken(node, id) && self.is_away(other, id);
            other != node && self.is_source(other, id) && !spared
        };
        self.nodes[node.0].lacking().any(|id| self.node_ids().any(|other| bars(other, id)))
    }

    /// Whether the node may lack the collection because it executed a deletion of which nobody heard the answer. Then
    /// it judges that deletion while all that still hold the collection are away.
    pub(super) fn may_have_taken(&self, node: NodeId, id: CollectionId) -> bool {
        self.unheard(node).is_some_and(|entry| self.takes(entry, id))
    }

    /// Whether the node rightly has no such collection, although it exists.
    pub fn can_have_none(&self, node: NodeId, id: CollectionId) -> bool {
        self.is_lost(id) || self.may_have_taken(node, id)
    }

    /// The collection whose deletion the node may have executed so: it is not worth a copy, which could outlive it.
    pub(super) fn may_have_deleted(&self, node: NodeId) -> Option<CollectionId> {
        let entry = self.unheard(node).filter(|entry| entry.draft.op == Op::DeleteCollection)?;
        self.subject(entry)
    }

    /// The catalog's next entry on the node, if it is undecided and may have been executed: an error tells nothing,
    /// it may be a gateway's.
    fn unheard(&self, node: NodeId) -> Option<&Arc<Entry>> {
        let lane = self.nodes[node.0].lane(Stream::Catalog)?;
        let sent = |entry: &Arc<Entry>| lane.attempts > 0 || self.is_doubtful(node, entry);
        lane.front().filter(|entry| self.decision(entry).is_none() && sent(entry))
    }

    /// Nothing about the collection is decided on the node for now.
    fn is_away(&self, node: NodeId, id: CollectionId) -> bool {
        let log = &self.nodes[node.0];
        log.standing.gone && !log.lane(Stream::Collection(id)).is_some_and(Lane::is_busy)
    }

    /// No node can judge a catalog entry for now: those that are not gone lack a collection.
    pub fn nobody_judges_catalog(&self) -> bool {
        self.node_ids().all(|node| self.nodes[node.0].standing.gone || self.is_barred(node))
    }

    /// Whether the others can get the collection from this node, now or once it has caught up.
    fn is_source(&self, node: NodeId, id: CollectionId) -> bool {
        self.nodes[node.0].holds(id) || self.may_create(node, id)
    }

    /// The node is behind: its creation may be still to come.
    fn may_create(&self, node: NodeId, id: CollectionId) -> bool {
        let log = &self.nodes[node.0];
        let lacks = log.node_collection(id).is_none() && !log.is_quarantined(Stream::Collection(id));
        log.joined && lacks && !self.catalog_is_current(node)
    }

    /// What is remembered of deleted collections that every node is past.
    pub fn forget_deleted(&mut self) {
        let through = self.completed();
        if !self.catalog.forget_deleted(through) {
            return;
        }
        for log in &mut self.nodes {
            log.forget(|id| self.catalog.collection(id).is_some() || self.catalog.deleted_at(id).is_some());
        }
    }
}
