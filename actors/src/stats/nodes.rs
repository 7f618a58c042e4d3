//! What is done to each node, and what is found there? Counted by the lanes, the health actor and the
//! verification.

use std::time::Duration;

use chroma_ha_core::coalesce::RunEnd;
use chroma_ha_core::conversion::Tally;
use chroma_ha_core::ids::NodeId;
use prometheus::{Error, HistogramVec, IntCounterVec};

use super::family::{ENTRIES, Families, SECONDS};

#[derive(Debug)]
pub struct NodeStats {
    pub(crate) apply_seconds: HistogramVec,
    apply_entries: HistogramVec,
    applied: IntCounterVec,
    apply_requests: IntCounterVec,
    run_ends: IntCounterVec,
    pub state_changes: IntCounterVec,
    conversions: IntCounterVec,
    pub differences: IntCounterVec,
    pub doubt_replays: IntCounterVec,
}

impl NodeStats {
    pub(super) fn try_new(families: &mut Families) -> Result<NodeStats, Error> {
        let (apply_seconds, apply_entries) = apply_histograms(families)?;
        Ok(NodeStats {
            apply_seconds,
            apply_entries,
            applied: families.counters(
                "chroma_ha_applied_total",
                &["node", "role"],
                "Entries applied. Role: acting (its answer is the verdict) or following.",
            )?,
            apply_requests: families.counters(
                "chroma_ha_apply_requests_total",
                &["node"],
                "Tasks that applied entries.",
            )?,
            run_ends: families.counters(
                "chroma_ha_apply_run_ends_total",
                &["reason"],
                "Tasks that applied entries, by why no more entries went along. Reason: drained, writes, records, bytes, operation, encoding, shape or held.",
            )?,
            state_changes: families.counters(
                "chroma_ha_node_state_changes_total",
                &["node", "to"],
                "Changes of a node's state.",
            )?,
            conversions: families.counters(
                "chroma_ha_deletion_conversions_total",
                &["node", "outcome"],
                "Records of deletions on nodes with other record ids. Outcome: attempted, converted, by_document or unmatched.",
            )?,
            differences: families.counters(
                "chroma_ha_differences_total",
                &["node"],
                "Collections that were found to differ from another node's.",
            )?,
            doubt_replays: families.counters(
                "chroma_ha_doubt_replays_total",
                &["node"],
                "Times the log was applied again because of a request that was executed late.",
            )?,
        })
    }

    /// Shows the nodes' counters from the start: the first event would not be seen as a rise otherwise.
    pub(super) fn expect(&self, node: NodeId) {
        let node = node.name();
        for counters in [&self.apply_requests, &self.differences, &self.doubt_replays] {
            drop(counters.with_label_values(&[&node]));
        }
    }

    pub fn apply(&self, node: &str, role: &str, took: Duration, entries: usize, end: RunEnd) {
        self.run_ends.with_label_values(&[end.name()]).inc();
        self.apply_seconds.with_label_values(&[node, role]).observe(took.as_secs_f64());
        self.apply_entries.with_label_values(&[node]).observe(entries as f64);
        self.applied.with_label_values(&[node, role]).inc_by(entries as u64);
        self.apply_requests.with_label_values(&[node]).inc();
    }

    /// Entries applied there, in whatever role.
    pub(crate) fn applied(&self, node: &str) -> u64 {
        ["acting", "following"].iter().map(|role| self.applied.with_label_values(&[node, role]).get()).sum()
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
}

fn apply_histograms(families: &mut Families) -> Result<(HistogramVec, HistogramVec), Error> {
    let seconds = families.histograms(
        "chroma_ha_apply_seconds",
        &SECONDS,
        &["node", "role"],
        "Time a node took for one task. Role: acting or following.",
    )?;
    let entries = families.histograms(
        "chroma_ha_apply_entries",
        &ENTRIES,
        &["node"],
        "Entries in one task: sum by count is how many are merged into one request.",
    )?;
    Ok((seconds, entries))
}
