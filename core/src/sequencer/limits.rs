//! How much a node's lanes keep in memory and in flight, and how much of that when memory is nearly used up?
//! Numbers only; `ready`, `pages` and `node` hold them.

use crate::pressure::{BatchSize, Pressure};

/// Bounds of what is kept in memory and in flight, per node.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries that one lane keeps in memory.
    pub lane_entries: usize,
    /// Bytes of entries that one node's lanes keep in memory. With nothing else in memory one entry may be larger.
    pub node_bytes: usize,
    /// Requests in flight on one node, over all lanes.
    pub in_flight: usize,
    /// Entries read from the log at a time, and writes in one request to a node, as a rule.
    pub page_entries: usize,
    /// The same for a node that stays far behind.
    pub far_page_entries: usize,
    /// Bytes read from the log at a time.
    pub page_bytes: usize,
    /// Pages that are read for a node's lanes at once.
    pub pages: usize,
    /// So many entries a doubt may hold a node's durable cursor back, before it is kept by itself.
    pub held_entries: u64,
    /// Deliveries of an accepted entry that a node may refuse before it is quarantined.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            lane_entries: 400,
            node_bytes: 64 << 20,
            in_flight: 16,
            page_entries: 100,
            far_page_entries: 200,
            page_bytes: 16 << 20,
            pages: 2,
            held_entries: 250,
            attempts: 3,
        }
    }
}

impl Limits {
    /// What of it holds while memory is so short.
    pub fn under(self, pressure: Pressure) -> Limits {
        let share = if pressure == Pressure::Shed { 4 } else { 1 };
        let node_bytes = self.node_bytes / share;
        // One page must not take all of a node's memory.
        let page_bytes = (self.page_bytes / share).min(node_bytes / 4);
        Limits { node_bytes, page_bytes, ..self }
    }

    /// How many entries are read at a time for a node, before anything is known of its backlog.
    pub(super) fn batch(&self) -> BatchSize {
        BatchSize::new(self.page_entries, self.far_page_entries)
    }
}
