//! What an entry does to records or to the catalog, independent of when it is applied.

use serde::{Deserialize, Serialize};

use crate::ids::CollectionId;

/// Resolved once, at the entry's place in the acting node's lane, and durable before any node
/// gets the entry. Applying any suffix of the log again, from any earlier position, must end in
/// the same state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// `update`: the ids that existed; `delete` by filter: the ids that matched.
    Ids { ids: Vec<String> },
    /// Catalog entries about one collection: which one.
    Collection { id: CollectionId },
    /// Catalog entries that need no resolution.
    Plain,
}
