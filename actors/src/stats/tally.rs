//! What one web worker has counted before, at hand: a counter of requests is looked up by its labels once, not
//! with every request. It counts nothing of its own.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use chroma_ha_core::ids::NodeId;
use prometheus::{Histogram, IntCounter};

use super::Stats;

/// Handles by their labels, of which there are few.
type Known<K> = RefCell<Vec<(K, IntCounter, Histogram)>>;

pub struct Tally {
    stats: Arc<Stats>,
    /// By route, class and status.
    requests: Known<(&'static str, &'static str, u16)>,
    /// By class and node.
    reads: Known<(&'static str, NodeId)>,
}

impl Tally {
    pub fn new(stats: Arc<Stats>) -> Tally {
        Tally { stats, requests: RefCell::default(), reads: RefCell::default() }
    }

    /// A request was answered.
    pub fn request(&self, route: &'static str, class: &'static str, status: u16, took: Duration) {
        let find = || self.stats.front.of_requests(route, class, status);
        with(&self.requests, (route, class, status), find, |answered, seconds| {
            answered.inc();
            seconds.observe(took.as_secs_f64());
        });
    }

    /// A read is sent to a node.
    pub fn sent(&self, class: &'static str, node: NodeId) {
        with(&self.reads, (class, node), || self.stats.front.of_reads(class, node), |sent, _| sent.inc());
    }

    /// The node began to answer, or failed.
    pub fn read(&self, class: &'static str, node: NodeId, took: Duration) {
        let find = || self.stats.front.of_reads(class, node);
        with(&self.reads, (class, node), find, |_, seconds| seconds.observe(took.as_secs_f64()));
    }
}

fn with<K: PartialEq>(
    known: &Known<K>,
    key: K,
    find: impl FnOnce() -> (IntCounter, Histogram),
    count: impl FnOnce(&IntCounter, &Histogram),
) {
    let mut known = known.borrow_mut();
    if let Some((_, counter, histogram)) = known.iter().find(|(labels, ..)| *labels == key) {
        return count(counter, histogram);
    }
    let (counter, histogram) = find();
    count(&counter, &histogram);
    known.push((key, counter, histogram));
}
