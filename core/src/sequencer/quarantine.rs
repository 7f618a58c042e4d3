//! What may be set aside on a node by somebody's wish, to be copied there anew: an operator's, or a
//! comparison's that found a difference. The log remembers it first, so that a restart does not trust
//! the node again.

use super::Sequencer;
use crate::ids::{CollectionId, NodeId, Stream};
use crate::lane::Phase;

/// Why a wish about a collection on a node cannot be granted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    #[error("no collection of the catalog has this id")]
    NoSuchCollection,
    #[error("no other node holds this collection in good order, so nothing could be copied")]
    NoSource,
    #[error("the collection is being copied to this node at this moment")]
    BeingCopied,
    #[error("no open dead letter has this id")]
    NoSuchLetter,
    #[error("the node has no copy of the collection any more; it waits to be copied there anew")]
    NoCopy,
    #[error("the entry was removed from the log, so only a rebuild of the collection can help")]
    EntryGone,
    #[error(
        "an entry of the catalog cannot be rebuilt: mend its cause, then retry, or accept the difference"
    )]
    CatalogEntry,
    #[error("the entry is being tried on this node at this moment")]
    BeingTried,
    #[error("an outcome of this collection on this node is being made durable; try again")]
    UnderWay,
    #[error("a verification is under way; wait for its end, which GET /admin/verify tells")]
    Verifying,
    #[error(
        "no other node is up to date, so clients would be left without one; wait for another, or force it"
    )]
    LastNode,
    #[error("the node is not up to date, so it could not act at once; /status tells its lag")]
    Behind,
    #[error("this balancer does not hold the lease on the log")]
    NotLeading,
}

impl Sequencer {
    /// Whether the collection can be set aside on the node and copied to it anew.
    pub fn rebuildable(&self, node: NodeId, id: CollectionId) -> Result<(), Hindrance> {
        if self.catalog.collection(id).is_none() {
            return Err(Hindrance::NoSuchCollection);
        }
        if !self.node_ids().any(|other| other != node && self.nodes[other.0].holds(id)) {
            return Err(Hindrance::NoSource);
        }
        let log = &self.nodes[node.0];
        if log.copying == Some(id) {
            return Err(Hindrance::BeingCopied);
        }
        // Its outcome counts whatever happens: the lane must not be taken away under it.
        match log.lane(Stream::Collection(id)).map(|lane| &lane.phase) {
            Some(Phase::Committing { .. }) => Err(Hindrance::UnderWay),
            _ => Ok(()),
        }
    }

    /// Stops serving the collection from the node until it is copied there. The log knows already: what
    /// hinders it now hinders it only until a restart.
    pub fn set_aside(&mut self, node: NodeId, id: CollectionId, reason: &str) -> Result<(), Hindrance> {
        self.rebuildable(node, id)?;
        self.quarantine(node, id, reason);
        self.nodes[node.0].copy_after_ms.remove(&id);
        Ok(())
    }

    /// What the node is being asked about the collection somebody else may answer: its own answer comes too late now.
    pub(super) fn quarantine(&mut self, node: NodeId, id: CollectionId, reason: &str) {
        self.nodes[node.0].quarantine(id, reason);
        let state = self.streams.get_mut(&Stream::Collection(id));
        if let Some(state) = state.filter(|state| state.asked == Some(node)) {
            state.asked = None;
        }
    }
}
