//! Group commit: which waiting writes go into the next log transaction. One transaction is under
//! way at a time; what arrives meanwhile forms the next group, so a lone writer never waits for a
//! timer and a crowd shares one fsync.

use std::collections::VecDeque;

/// Bounds of one group.
#[derive(Clone, Copy, Debug)]
pub struct GroupLimits {
    pub max_entries: usize,
    /// Bytes of bodies; a single larger write still goes, alone.
    pub max_bytes: usize,
}

/// Why a group ended where it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEnd {
    /// Everything that waited is in it.
    Drained,
    /// The next write would exceed the entry limit.
    Entries,
    /// The next write would exceed the byte limit.
    Bytes,
}

#[derive(Debug)]
pub struct GroupCommit<T> {
    waiting: VecDeque<(T, usize)>,
    limits: GroupLimits,
    under_way: bool,
}

impl<T> GroupCommit<T> {
    pub fn new(limits: GroupLimits) -> Self {
        Self { waiting: VecDeque::new(), limits, under_way: false }
    }

    pub fn push(&mut self, item: T, bytes: usize) {
        self.waiting.push_back((item, bytes));
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn under_way(&self) -> bool {
        self.under_way
    }

    /// The next group, if nothing is under way and something waits.
    pub fn begin(&mut self) -> Option<(Vec<T>, GroupEnd)> {
        if self.under_way || self.waiting.is_empty() {
            return None;
        }
        self.under_way = true;
        let mut group = Vec::new();
        let mut bytes = 0;
        let end = loop {
            let Some((_, size)) = self.waiting.front() else { break GroupEnd::Drained };
            if group.len() == self.limits.max_entries {
                break GroupEnd::Entries;
            }
            if !group.is_empty() && bytes + size > self.limits.max_bytes {
                break GroupEnd::Bytes;
            }
            bytes += size;
            group.extend(self.waiting.pop_front().map(|(item, _)| item));
        };
        Some((group, end))
    }

    /// The group under way ended, well or not.
    pub fn end(&mut self) {
        self.under_way = false;
    }

    /// Everything that waits, to be refused.
    pub fn abandon(&mut self) -> Vec<T> {
        self.waiting.drain(..).map(|(item, _)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(max_entries: usize, max_bytes: usize) -> GroupCommit<u32> {
        GroupCommit::new(GroupLimits { max_entries, max_bytes })
    }

    #[test]
    fn a_lone_write_goes_at_once_and_the_crowd_forms_the_next_group() {
        let mut c = commit(10, 1000);
        c.push(1, 5);
        assert_eq!(c.begin(), Some((vec![1], GroupEnd::Drained)));
        c.push(2, 5);
        c.push(3, 5);
        assert_eq!(c.begin(), None);
        c.end();
        assert_eq!(c.begin(), Some((vec![2, 3], GroupEnd::Drained)));
    }

    #[test]
    fn groups_end_at_their_limits_and_keep_order() {
        let mut c = commit(2, 10);
        for (item, bytes) in [(1, 50), (2, 6), (3, 6), (4, 1), (5, 1)] {
            c.push(item, bytes);
        }
        let mut seen = Vec::new();
        while let Some((group, end)) = c.begin() {
            seen.push((group, end));
            c.end();
        }
        assert_eq!(
            seen,
            [
                (vec![1], GroupEnd::Bytes),
                (vec![2], GroupEnd::Bytes),
                (vec![3, 4], GroupEnd::Entries),
                (vec![5], GroupEnd::Drained)
            ]
        );
    }
}
