//! What names a node, a position in the log and a stream. Nothing here creates an id: ids come in
//! from the edges.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A position in the log. Positions start at 1, have no gaps and are assigned in commit order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first entry.
    pub const ZERO: Seq = Seq(0);

    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }

    pub fn prev(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node by its place in the configured order: 0 is the primary, the others are replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct NodeId(pub usize);

impl NodeId {
    pub const PRIMARY: NodeId = NodeId(0);

    /// The name under which a node is stored, shown and alerted: `primary`, `replica-1`, …
    pub fn name(self) -> String {
        match self.0 {
            0 => "primary".to_owned(),
            n => format!("replica-{n}"),
        }
    }

    /// The node of a name.
    pub fn parse(name: &str) -> Option<NodeId> {
        let node = match name.strip_prefix("replica-") {
            Some(number) => NodeId(number.parse().ok()?),
            None => NodeId::PRIMARY,
        };
        (node.name() == name).then_some(node)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// The id of a collection that clients see. Every node has an id of its own for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CollectionId(pub Uuid);

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// What keeps order: the catalog, or the records of one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Tenants, databases and collections.
    Catalog,
    /// The records of one collection.
    Collection(CollectionId),
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stream::Catalog => f.write_str("catalog"),
            Stream::Collection(id) => id.fmt(f),
        }
    }
}
