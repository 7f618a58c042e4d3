//! Which collection of a node is which of the catalog? Each node mints ids of its own.

use uuid::Uuid;

use super::NodeLog;
use crate::ids::{CollectionId, Stream};

impl NodeLog {
    pub fn node_collection(&self, id: CollectionId) -> Option<Uuid> {
        self.mapped.get(&id).copied()
    }

    /// The node has a copy that is not set aside.
    pub fn holds(&self, id: CollectionId) -> bool {
        self.node_collection(id).is_some() && !self.is_quarantined(Stream::Collection(id))
    }

    /// Every collection of the node that the log knows, with the node's own id.
    pub fn mapped(&self) -> impl Iterator<Item = (CollectionId, Uuid)> {
        self.mapped.iter().map(|(id, own)| (*id, *own))
    }

    pub fn logical(&self, node_collection: Uuid) -> Option<CollectionId> {
        self.logical.get(&node_collection).copied()
    }

    /// Forgets its own ids of collections that nobody knows any more.
    pub(super) fn forget(&mut self, is_known: impl Fn(CollectionId) -> bool) {
        self.mapped.retain(|id, _| is_known(*id));
        self.logical.retain(|_, id| is_known(*id));
    }

    pub fn map(&mut self, id: CollectionId, node_collection: Option<Uuid>) {
        if node_collection.is_none() {
            self.other_ids.remove(&id);
        }
        if let Some(old) = self.mapped.remove(&id) {
            self.logical.remove(&old);
            if node_collection != Some(old) {
                self.forget_doubt(id);
            }
        }
        if let Some(own) = node_collection {
            self.mapped.insert(id, own);
            self.logical.insert(own, id);
        }
    }
}
