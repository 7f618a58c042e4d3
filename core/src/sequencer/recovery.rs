//! What of a node's place in the log is remembered by the log itself: the rest is found out anew.

use super::{NodeLog, Standing};
use crate::ids::Stream;
use crate::port::RecoveredNode;

impl NodeLog {
    /// As the log remembers the node. Its health stays, but no lane moves until that says so again: what
    /// was sent before may still be executing.
    pub(super) fn remembered(stored: RecoveredNode, before: &NodeLog) -> NodeLog {
        let catalog_cursor = stored.catalog_cursor.max(stored.cursor);
        let mut node = NodeLog::recovered(stored.cursor, catalog_cursor, stored.mapped);
        node.standing = Standing { applies: false, ..before.standing };
        node.generation = before.generation + 1;
        node.joined = stored.joined;
        node.other_ids = stored.other_ids.into_iter().collect();
        node.leftovers = stored.copying.into_iter().collect();
        stored.quarantined.into_iter().for_each(|(id, reason)| node.quarantine(id, &reason));
        let stream = |id| Option::map_or(id, Stream::Catalog, Stream::Collection);
        node.troubles.letters = stored.letters.into_iter().map(|(id, seq)| (stream(id), seq)).collect();
        node.troubles.skips = stored.skipped.into_iter().collect();
        node
    }
}
