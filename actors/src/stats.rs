//! What the mechanism counts about itself, in Prometheus terms. One registry per balancer; the names
//! are fixed here and nowhere else.

use std::time::Duration;

use chroma_ha_core::conversion::Tally;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

/// From half a millisecond to a minute.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

pub struct Stats {
    pub registry: Registry,
    pub requests: IntCounterVec,
    pub request_seconds: HistogramVec,
    pub writes: IntCounterVec,
    pub appended: IntCounter,
    pub commits: IntCounter,
    pub commit_seconds: Histogram,
    pub apply_seconds: HistogramVec,
    pub applied: IntCounterVec,
    pub apply_requests: IntCounterVec,
    pub state_changes: IntCounterVec,
    pub reads: IntCounterVec,
    pub shed: IntCounterVec,
    pub conversions: IntCounterVec,
    pub differences: IntCounterVec,
    pub doubt_replays: IntCounterVec,
}

impl Stats {
    pub fn try_new() -> Result<Stats, prometheus::Error> {
        let registry = Registry::new();
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(vec.clone()))?;
                Ok(vec)
            };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| -> Result<HistogramVec, prometheus::Error> {
            let vec = HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let commit_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "chroma_ha_wal_commit_seconds",
                "Time of one log transaction, any number of writes.",
            )
            .buckets(SECONDS.to_vec()),
        )?;
        registry.register(Box::new(commit_seconds.clone()))?;
        Ok(Stats {
            requests: counters(
                "chroma_ha_requests_total",
                "Requests answered, by route and status.",
                &["route", "status"],
            )?,
            request_seconds: seconds(
                "chroma_ha_request_seconds",
                "Time from request to answer, by class and route.",
                &["class", "route"],
            )?,
            writes: counters(
                "chroma_ha_writes_total",
                "Logged writes answered, by operation and outcome.",
                &["op", "outcome"],
            )?,
            appended: counter("chroma_ha_wal_appended_total", "Writes committed to the log.")?,
            commits: counter("chroma_ha_wal_commits_total", "Log transactions that appended writes.")?,
            commit_seconds,
            apply_seconds: seconds(
                "chroma_ha_apply_seconds",
                "Time a node took for one task, by node and role.",
                &["node", "role"],
            )?,
            applied: counters(
                "chroma_ha_applied_total",
                "Entries applied, by node and role.",
                &["node", "role"],
            )?,
            apply_requests: counters(
                "chroma_ha_apply_requests_total",
                "Tasks that applied entries, by node.",
                &["node"],
            )?,
            state_changes: counters(
                "chroma_ha_node_state_changes_total",
                "Changes of a node's state.",
                &["node", "to"],
            )?,
            reads: counters("chroma_ha_reads_total", "Reads sent to a node.", &["node"])?,
            shed: counters(
                "chroma_ha_shed_total",
                "Requests refused because a bound was reached.",
                &["bound"],
            )?,
            conversions: counters(
                "chroma_ha_deletion_conversions_total",
                "Records of deletions on nodes with other record ids, by node and what came of them.",
                &["node", "outcome"],
            )?,
            differences: counters(
                "chroma_ha_differences_total",
                "Collections that were found to differ from another node's, by node.",
                &["node"],
            )?,
            doubt_replays: counters(
                "chroma_ha_doubt_replays_total",
                "Times the log was applied again because of a request that was executed late, by node.",
                &["node"],
            )?,
            registry,
        })
    }

    pub fn commit(&self, took: Duration, entries: usize) {
        self.commits.inc();
        self.appended.inc_by(entries as u64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    pub fn apply(&self, node: &str, role: &str, took: Duration, entries: usize) {
        self.apply_seconds.with_label_values(&[node, role]).observe(took.as_secs_f64());
        self.applied.with_label_values(&[node, role]).inc_by(entries as u64);
        self.apply_requests.with_label_values(&[node]).inc();
    }

    pub fn converted(&self, node: &str, tally: Tally) {
        let figures = [
            ("attempted", tally.attempted),
            ("converted", tally.converted),
            ("by_document", tally.by_document),
            ("unmatched", tally.unmatched),
        ];
        for (outcome, count) in figures {
            self.conversions.with_label_values(&[node, outcome]).inc_by(u64::from(count));
        }
    }

    pub fn request(&self, route: &str, class: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, &status.to_string()]).inc();
        self.request_seconds.with_label_values(&[class, route]).observe(took.as_secs_f64());
    }
}
