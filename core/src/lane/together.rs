//! Which entries at the front of a lane went out in one request, and how many may the next time? What went
//! wrong under such a request is remembered until each of them was looked at by itself. It sends nothing.

use std::sync::Arc;

use super::Lane;
use crate::entry::Entry;
use crate::ids::Seq;

#[derive(Debug)]
pub(super) struct Together {
    /// Entries at the front that went out in the last request.
    flying: usize,
    /// Entries that may go out in one request: fewer after a refusal, until it is known whose it is.
    most: usize,
    /// Entries up to here go out alone: something went wrong under a request with several.
    alone_through: Seq,
    /// So many entries at the front went out in one request that came to nothing: whether the node has applied
    /// them is read first. Applied again one after the other, earlier ones would go over later ones.
    unread: usize,
    /// One of them was applied again all the same, accepted by another node: up to here records do not tell
    /// what the node has applied.
    masked_through: Seq,
}

impl Default for Together {
    fn default() -> Self {
        Together {
            flying: 0,
            most: usize::MAX,
            alone_through: Seq::ZERO,
            unread: 0,
            masked_through: Seq::ZERO,
        }
    }
}

impl Together {
    /// So many entries at the front go out in one request.
    pub(super) fn sent(&mut self, count: usize) {
        self.flying = count;
    }

    /// What went out together and has not been read: what the node shows does not tell of it any more.
    pub(super) fn mask(&mut self) {
        if std::mem::take(&mut self.unread) > 1 {
            self.masked_through = self.alone_through;
        }
    }

    /// Nothing of it needs to be read any more.
    pub(super) fn forget_unread(&mut self) {
        self.unread = 0;
    }

    pub(super) fn unread(&self) -> usize {
        self.unread
    }
}

impl Lane {
    /// How many entries the next request may have.
    pub fn most_together(&self) -> usize {
        self.together.most
    }

    /// Fewer go out than was thought.
    pub fn shorten(&mut self, count: usize) {
        self.together.flying = self.together.flying.min(count);
    }

    /// The entries of the request that is under way.
    pub fn run(&self) -> Vec<Arc<Entry>> {
        let count = if self.is_busy() { self.together.flying } else { 0 };
        self.queue.iter().take(count).cloned().collect()
    }

    /// What comes after the request that is under way, or after the first entry.
    pub fn next_run(&self) -> Option<&Arc<Entry>> {
        self.queue.get(if self.is_busy() { self.together.flying.max(1) } else { 1 })
    }

    /// Larger requests again: one of so many entries was taken. True: they had gone out together before, and were
    /// read as a whole.
    pub fn taken_together(&mut self, count: usize) -> bool {
        self.together.most = self.together.most.max(count.saturating_mul(2));
        let read = count > 1 && self.unread().len() > 1;
        if read {
            self.together.unread = 0;
        }
        read
    }

    /// Smaller requests after one of so many entries was refused: the refusal is one entry's, and it will go alone.
    pub fn refused_together(&mut self, count: usize) {
        self.together.most = (count / 2).max(1);
        self.together.unread = 0;
    }

    /// Something went wrong under a request with these; `unread`: whether they were applied is to be read first.
    pub fn part(&mut self, entries: &[Arc<Entry>], unread: bool) {
        let [first, .., last] = entries else { return };
        self.together.alone_through = self.together.alone_through.max(last.seq);
        if unread && self.queue.front().is_some_and(|front| front.seq == first.seq) {
            self.together.unread = entries.len();
        }
    }

    /// Whether an entry goes alone because something went wrong under a request that held it.
    pub fn goes_alone(&self, seq: Seq) -> bool {
        seq <= self.together.alone_through
    }

    /// The entries at the front that went out together and were not read since.
    pub fn unread(&self) -> Vec<Arc<Entry>> {
        let Some(first) = self.queue.front() else { return Vec::new() };
        let along = |entry: &&Arc<Entry>| {
            let alike = entry.draft.op == first.draft.op && entry.draft.path == first.draft.path;
            self.goes_alone(entry.seq) && alike
        };
        self.queue.iter().take(self.together.unread).take_while(along).cloned().collect()
    }

    /// Whether they were applied cannot be read: they go alone.
    pub fn mask(&mut self) {
        self.together.mask();
    }

    /// What the node shows does not tell whether it has applied the entry.
    pub fn is_masked(&self, seq: Seq) -> bool {
        seq <= self.together.masked_through
    }
}

#[cfg(test)]
mod tests;
