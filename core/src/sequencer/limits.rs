//! How much a node's lanes keep in memory and in flight. Numbers only; `ready` and `node` hold them.

/// Bounds of what is kept in memory and in flight, per node.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries that one lane keeps in memory.
    pub lane_entries: usize,
    /// Bytes of entries that one node's lanes keep in memory; a lane always keeps one entry.
    pub node_bytes: usize,
    /// Requests in flight on one node, over all lanes.
    pub in_flight: usize,
    /// Entries read from the log at a time.
    pub page_entries: usize,
    /// Bytes read from the log at a time.
    pub page_bytes: usize,
    /// Deliveries of an accepted entry that a node may refuse before it is quarantined.
    pub attempts: u32,
    /// Writes that go to a node in one request.
    pub run_writes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            lane_entries: 128,
            node_bytes: 64 << 20,
            in_flight: 16,
            page_entries: 256,
            page_bytes: 16 << 20,
            attempts: 3,
            run_writes: 100,
        }
    }
}
