//! What does a log store remember when the lease is taken? Values only, as they were recorded.

use uuid::Uuid;

use crate::ids::{CollectionId, Seq, Stream};
use crate::orders::Orders;

/// What the store remembers, read once when the lease is taken.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The last position of the log.
    pub head: Seq,
    pub epoch: u64,
    /// The last holder let go with nothing under way or in doubt on any node: no node has to settle.
    pub quiet: bool,
    pub tenants: Vec<String>,
    /// `(id, tenant, name)`
    pub databases: Vec<(Uuid, String, String)>,
    /// Collections that exist: `(id, tenant, database, name)`.
    pub collections: Vec<(CollectionId, String, String, String)>,
    /// Collections that were deleted, with the deleting entry, as far as a node may still be behind it.
    pub deleted: Vec<(CollectionId, Seq)>,
    pub nodes: Vec<RecoveredNode>,
    /// What operators ordered about nodes.
    pub orders: Orders,
    /// The last changes of nodes' states, the oldest first.
    pub turns: Vec<PastTurn>,
}

/// A node's state changed, under this balancer or an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastTurn {
    pub at_ms: u64,
    pub node: String,
    pub from: String,
    pub to: String,
    pub reason: String,
}

/// A collection on a node that no mapping names, and what a copy may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leftover {
    pub node_collection: Uuid,
    pub state: LeftoverState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftoverState {
    /// A copy replaces it.
    Void,
    /// A copy fills it, and may go on: everything in it was read at this position or later.
    Begun(Seq),
    /// The node was away for so long that the log cannot say what it missed: kept if it is the same.
    Unchecked,
}

/// What the store remembers about one node. A node without a row was never seen.
#[derive(Debug, Default)]
pub struct RecoveredNode {
    pub name: String,
    /// Every record entry up to here is applied.
    pub cursor: Seq,
    /// Every catalog entry up to here is applied.
    pub catalog_cursor: Seq,
    /// The node's own ids of collections.
    pub mapped: Vec<(CollectionId, Uuid)>,
    /// The node belongs to the cluster.
    pub joined: bool,
    /// Collections whose documents have other record ids there.
    pub other_ids: Vec<CollectionId>,
    /// What copies that did not end have left.
    pub copying: Vec<(CollectionId, Leftover)>,
    /// Collections that must not be served from it, and why.
    pub quarantined: Vec<(CollectionId, String)>,
    /// Its open dead letters; no collection: of the catalog.
    pub letters: Vec<(Option<CollectionId>, Seq)>,
    /// Streams of which it may show what it should not, and from which entry on.
    pub doubts: Vec<(Stream, Seq)>,
    /// Entries that it passes over because an operator says so.
    pub skipped: Vec<Seq>,
}
