//! Group commit: which waiting writes go into the next log transaction. One transaction is under
//! way at a time; what arrives meanwhile forms the next group, so a lone writer never waits for a
//! timer and a crowd shares one fsync. A group is what waits already, so a small one saves nothing but its
//! copy on the way to the store: it is bounded more tightly only while memory is nearly used up.

use std::collections::VecDeque;

use crate::pressure::Pressure;

/// Bounds of one group.
#[derive(Clone, Copy, Debug)]
pub struct GroupLimits {
    pub max_entries: usize,
    /// Bytes of bodies; a single larger write still goes, alone.
    pub max_bytes: usize,
}

impl GroupLimits {
    /// What holds while memory is so short.
    fn under(self, pressure: Pressure) -> GroupLimits {
        let share = if pressure == Pressure::Shed { 4 } else { 1 };
        GroupLimits { max_entries: (self.max_entries / share).max(1), max_bytes: self.max_bytes / share }
    }
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
    pub fn begin(&mut self, pressure: Pressure) -> Option<(Vec<T>, GroupEnd)> {
        let limits = self.limits.under(pressure);
        if self.under_way || self.waiting.is_empty() {
            return None;
        }
        self.under_way = true;
        let mut group = Vec::new();
        let mut bytes = 0;
        let end = loop {
            let Some((_, size)) = self.waiting.front() else { break GroupEnd::Drained };
            if group.len() == limits.max_entries {
                break GroupEnd::Entries;
            }
            if !group.is_empty() && bytes + size > limits.max_bytes {
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
        assert_eq!(c.begin(Pressure::Calm), Some((vec![1], GroupEnd::Drained)));
        c.push(2, 5);
        c.push(3, 5);
        assert_eq!(c.begin(Pressure::Calm), None);
        c.end();
        assert_eq!(c.begin(Pressure::Calm), Some((vec![2, 3], GroupEnd::Drained)));
    }

    #[test]
    fn groups_end_at_their_limits_and_keep_order() {
        let mut c = commit(2, 10);
        for (item, bytes) in [(1, 50), (2, 6), (3, 6), (4, 1), (5, 1)] {
            c.push(item, bytes);
        }
        let mut seen = Vec::new();
        while let Some((group, end)) = c.begin(Pressure::Calm) {
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

    #[test]
    fn groups_are_a_quarter_while_memory_is_nearly_used_up() {
        let mut c = commit(8, 40);
        (0..8).for_each(|item| c.push(item, 4));
        let mut sizes = Vec::new();
        for pressure in [Pressure::Shed, Pressure::Busy] {
            let (group, end) = c.begin(pressure).unwrap();
            sizes.push((group.len(), end));
            c.end();
        }
        assert_eq!(sizes, [(2, GroupEnd::Entries), (6, GroupEnd::Drained)]);
        let mut large = commit(100, 40);
        (0..4).for_each(|item| large.push(item, 6));
        assert_eq!(large.begin(Pressure::Shed), Some((vec![0], GroupEnd::Bytes)));
    }
}
