//! How fast is each node at this moment? Percentiles of its reads and applies, and its rate, over the last
//! minute: differences of the counters of `stats`. It counts nothing itself.

use std::collections::VecDeque;
use std::time::Instant;

use chroma_ha_core::ids::NodeId;
use serde::Serialize;

use super::figures::{Requests, rounded};
use crate::stats::Stats;

/// A minute at one sample each 5 s.
const SAMPLES: usize = 13;

/// Of one node, over the last minute; none without a request.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Latency {
    pub read_seconds: Option<Percentiles>,
    pub apply_seconds: Option<Percentiles>,
    pub applied_per_second: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    reads: Requests,
    applies: Requests,
    applied: u64,
}

impl Sample {
    fn now(stats: &Stats, node: NodeId) -> Sample {
        let name = node.name();
        Sample {
            at: Instant::now(),
            reads: Requests::of(&stats.front.read_seconds, "node", &name),
            applies: Requests::of(&stats.nodes.apply_seconds, "node", &name),
            applied: stats.nodes.applied(&name),
        }
    }

    fn since(&self, before: &Sample) -> Latency {
        let percentiles = |now: &Requests, then: &Requests| {
            let (_, shares) = now.since(then);
            shares.map(|[p50, p99]| Percentiles { p50, p99 })
        };
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.001);
        Latency {
            read_seconds: percentiles(&self.reads, &before.reads),
            apply_seconds: percentiles(&self.applies, &before.applies),
            applied_per_second: rounded(self.applied.saturating_sub(before.applied) as f64 / seconds),
        }
    }
}

/// The last minute of every node.
#[derive(Debug)]
pub(super) struct Latencies {
    samples: VecDeque<Vec<Sample>>,
    /// Nothing was counted then.
    started: Sample,
}

impl Default for Latencies {
    fn default() -> Latencies {
        let (reads, applies) = (Requests::default(), Requests::default());
        let started = Sample { at: Instant::now(), reads, applies, applied: 0 };
        Latencies { samples: VecDeque::with_capacity(SAMPLES), started }
    }
}

impl Latencies {
    pub(super) fn take(&mut self, stats: &Stats, nodes: usize) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((0..nodes).map(|n| Sample::now(stats, NodeId(n))).collect());
    }

    pub(super) fn of(&self, node: NodeId) -> Latency {
        let full = self.samples.len() == SAMPLES;
        let first = self.samples.front().filter(|_| full).and_then(|samples| samples.get(node.0));
        let last = self.samples.back().and_then(|samples| samples.get(node.0));
        last.map(|last| last.since(first.unwrap_or(&self.started))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chroma_ha_core::coalesce::RunEnd;

    use super::*;
    use crate::stats::Tally;

    #[test]
    fn a_node_is_as_fast_as_it_was_in_the_last_minute() {
        let stats = Arc::new(Stats::try_new().expect("metrics"));
        let tally = Tally::new(Arc::clone(&stats));
        let mut latencies = Latencies::default();
        let node = NodeId(1);
        let read = |millis| tally.read("records", node, Duration::from_millis(millis));
        assert_eq!(latencies.of(node).read_seconds, None);
        (0..10).for_each(|_| read(10_000));
        // What came before the first sample is not lost.
        latencies.take(&stats, 2);
        assert!(latencies.of(node).read_seconds.expect("reads").p50 > 5.0);
        assert_eq!(latencies.of(NodeId::PRIMARY).read_seconds, None, "another node's");
        for _ in 1..SAMPLES {
            (0..10).for_each(|_| read(2));
            stats.nodes.apply(&node.name(), "following", Duration::from_millis(30), 4, RunEnd::Drained);
            latencies.take(&stats, 2);
        }
        let Latency { read_seconds, apply_seconds, applied_per_second } = latencies.of(node);
        assert!(read_seconds.expect("reads").p99 < 0.005, "{read_seconds:?}");
        assert!(apply_seconds.expect("applies").p50 > 0.01, "{apply_seconds:?}");
        assert!(applied_per_second > 0.0);
        assert_eq!(latencies.samples.len(), SAMPLES);
    }
}
