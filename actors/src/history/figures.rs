//! One point of the last hour: differences of the counters of `stats` between two moments, and what the
//! sequencer says at the second one. It counts nothing itself.

use std::time::Instant;

use chroma_ha_core::ids::NodeId;
use chroma_ha_core::quantile::quantile;
use prometheus::HistogramVec;
use prometheus::core::Collector;
use prometheus::proto::Metric;
use serde::Serialize;

use crate::board::Board;
use crate::resources::Load;
use crate::stats::Stats;
use crate::wal::now_unix_ms;

/// Requests of one kind, and how long they took.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    total: u64,
    bounds: Vec<f64>,
    /// Answered within the bound of the same place.
    below: Vec<u64>,
}

/// The counters at one moment.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    at: Instant,
    reads: Requests,
    writes: Requests,
    applied: Vec<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Point {
    pub at_ms: u64,
    pub reads_per_second: f64,
    pub writes_per_second: f64,
    /// p50 and p99; none without a request.
    pub read_seconds: Option<[f64; 2]>,
    pub write_seconds: Option<[f64; 2]>,
    pub cpu_percent: f64,
    pub memory_percent: f64,
    pub nodes: Vec<NodePoint>,
}

#[derive(Clone, Debug, Serialize)]
pub struct NodePoint {
    /// None while another balancer holds the log: it is not known here.
    pub lag: Option<u64>,
    pub applied_per_second: f64,
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    metric.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}

impl Requests {
    /// What a histogram counted under this label, whatever its others.
    pub(super) fn of(histogram: &HistogramVec, name: &str, value: &str) -> Requests {
        let mut all = Requests::default();
        for family in histogram.collect() {
            for metric in family.get_metric().iter().filter(|metric| label(metric, name) == value) {
                all.add(metric);
            }
        }
        all
    }

    fn add(&mut self, metric: &Metric) {
        let histogram = metric.get_histogram();
        let buckets = histogram.get_bucket();
        if self.bounds.is_empty() {
            self.bounds = buckets.iter().map(|bucket| bucket.upper_bound()).collect();
            self.below = vec![0; buckets.len()];
        }
        self.total += histogram.get_sample_count();
        for (sum, bucket) in self.below.iter_mut().zip(buckets) {
            *sum += bucket.cumulative_count();
        }
    }

    /// How many since then, with p50 and p99 of their time.
    pub(super) fn since(&self, before: &Requests) -> (u64, Option<[f64; 2]>) {
        let total = self.total.saturating_sub(before.total);
        let known = before.below.iter().copied().chain(std::iter::repeat(0));
        let below: Vec<u64> =
            self.below.iter().zip(known).map(|(now, then)| now.saturating_sub(then)).collect();
        let share = |share| quantile(&self.bounds, &below, total, share).map(rounded);
        (total, share(0.5).zip(share(0.99)).map(|(median, high)| [median, high]))
    }
}

/// To four digits: what is measured is no better, and a page gets hundreds of them.
pub(super) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

fn of_class(stats: &Stats, class: &str) -> Requests {
    Requests::of(&stats.front.request_seconds, "class", class)
}

impl Counted {
    pub(super) fn now(board: &Board, stats: &Stats) -> Counted {
        let applied = |n: usize| stats.nodes.applied(&NodeId(n).name());
        Counted {
            at: Instant::now(),
            reads: of_class(stats, "read"),
            writes: of_class(stats, "write"),
            applied: (0..board.posts.len()).map(applied).collect(),
        }
    }

    pub(super) fn since(&self, before: &Counted, board: &Board, load: &Load) -> Point {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.001);
        let rate = |count: u64| rounded(count as f64 / seconds);
        let (reads, read_seconds) = self.reads.since(&before.reads);
        let (writes, write_seconds) = self.writes.since(&before.writes);
        let sequencer = board.sequencer();
        let leading = sequencer.leading();
        let node = |n: usize| NodePoint {
            lag: leading.then(|| sequencer.view(NodeId(n)).lag),
            applied_per_second: rate(self.applied[n].saturating_sub(before.applied[n])),
        };
        Point {
            at_ms: now_unix_ms(),
            reads_per_second: rate(reads),
            writes_per_second: rate(writes),
            read_seconds,
            write_seconds,
            cpu_percent: rounded(load.sample.cpu_percent),
            memory_percent: rounded(load.sample.memory_percent),
            nodes: (0..board.posts.len()).map(node).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::stats::Tally;

    #[test]
    fn quantiles_are_of_the_requests_between_two_moments_and_of_one_class() {
        let stats = Arc::new(Stats::try_new().expect("metrics"));
        let tally = Tally::new(Arc::clone(&stats));
        (0..50).for_each(|_| tally.request("get", "read", 200, Duration::from_secs(10)));
        let before = of_class(&stats, "read");
        (0..90).for_each(|_| tally.request("get", "read", 200, Duration::from_millis(2)));
        (0..10).for_each(|_| tally.request("query", "read", 200, Duration::from_millis(400)));
        tally.request("add", "write", 200, Duration::from_secs(30));
        let (count, seconds) = of_class(&stats, "read").since(&before);
        let [median, high] = seconds.expect("requests");
        assert_eq!(count, 100);
        assert!((0.001..0.0025).contains(&median) && (0.25..0.5).contains(&high), "{median} {high}");
        assert_eq!(of_class(&stats, "write").since(&Requests::default()).0, 1);
        assert_eq!(of_class(&stats, "server").since(&Requests::default()), (0, None));
    }

    #[test]
    fn figures_have_four_digits() {
        assert_eq!(rounded(1234.567), 1235.0);
        assert_eq!(rounded(0.001_234_56), 0.001_235);
        assert_eq!(rounded(0.0), 0.0);
    }
}
