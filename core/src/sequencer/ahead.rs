//! Which writes may the log acknowledge ahead of every node, and how many has it? A write that is sound by
//! itself may be refused all the same if its collection goes away before it. It looks into no body.

use std::sync::Arc;

use super::Sequencer;
use crate::entry::{Draft, Entry};
use crate::ids::{CollectionId, Stream};

impl Sequencer {
    /// Of writes that are logged next, in this order: whose collections surely exist when they are judged.
    pub fn surely_kept<'a>(&self, drafts: impl IntoIterator<Item = &'a Draft>) -> Vec<bool> {
        let mut kept = self.knows_undecided() && self.destructive.is_empty();
        let next = |draft: &Draft| {
            kept &= !draft.op.is_destructive();
            kept && draft.collection().is_some_and(|id| self.exists(id))
        };
        drafts.into_iter().map(next).collect()
    }

    fn exists(&self, id: CollectionId) -> bool {
        self.catalog.collection(id).is_some() && !self.is_lost(id)
    }

    /// After a takeover the undecided end of the log is read back first.
    fn knows_undecided(&self) -> bool {
        self.nodes.iter().any(|node| node.fed == self.head)
    }

    /// Acknowledged writes of the collection that have no verdict yet.
    pub fn ahead(&self, id: CollectionId) -> usize {
        let Some(state) = self.streams.get(&Stream::Collection(id)) else { return 0 };
        state.ahead.len() - state.ahead.partition_point(|seq| *seq <= state.decided)
    }

    /// Before its client hears of it: reads that begin after that wait for it.
    pub(super) fn acknowledge_logged(&mut self, entry: &Arc<Entry>) {
        if !entry.is_acknowledged() {
            return;
        }
        self.acknowledge_queued(entry.stream(), entry.seq);
        if let Some(state) = self.streams.get_mut(&entry.stream()) {
            let decided = state.ahead.partition_point(|seq| *seq <= state.decided);
            state.ahead.drain(..decided);
            state.ahead.push_back(entry.seq);
        }
    }
}
