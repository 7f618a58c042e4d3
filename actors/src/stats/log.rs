//! How fast does the log take writes, and how many at a time? Counted where a transaction ends.

use std::time::Duration;

use chroma_ha_core::validation::Doubt;
use prometheus::{Error, Histogram, IntCounter, IntCounterVec};

use super::family::{ENTRIES, Families, SECONDS};

#[derive(Debug)]
pub struct LogStats {
    appended: IntCounter,
    commits: IntCounter,
    commit_failures: IntCounter,
    commit_seconds: Histogram,
    commit_entries: Histogram,
    append_seconds: Histogram,
    acknowledgements: IntCounterVec,
    refused_late: IntCounter,
}

impl LogStats {
    pub(super) fn try_new(families: &mut Families) -> Result<LogStats, Error> {
        let mut histogram =
            |name: &'static str, buckets: &[f64], help: &'static str| -> Result<Histogram, Error> {
                let vec = families.histograms(name, buckets, &[], help)?;
                vec.get_metric_with_label_values::<&str>(&[])
            };
        let commit_seconds = histogram(
            "chroma_ha_wal_commit_seconds",
            &SECONDS,
            "Time of one log transaction, any number of writes.",
        )?;
        let commit_entries = histogram(
            "chroma_ha_wal_commit_entries",
            &ENTRIES,
            "Writes in one log transaction: sum by count is how many share a commit.",
        )?;
        let append_seconds = histogram(
            "chroma_ha_wal_append_seconds",
            &SECONDS,
            "Time of one write from the proxy until it is in the log, the wait for its turn included.",
        )?;
        let acknowledgements = families.counters(
            "chroma_ha_log_acknowledgements_total",
            &["outcome"],
            "Writes logged with `WRITE_ACK=log`. Outcome: log (answered by it), else why they waited for the verdict: catalog, collection, spelling, size, form, rows, embeddings, dimension or deletion.",
        )?;
        for outcome in Doubt::ALL.map(Doubt::name).into_iter().chain(["log"]) {
            acknowledgements.with_label_values(&[outcome]);
        }
        Ok(LogStats {
            acknowledgements,
            refused_late: families.counter(
                "chroma_ha_refused_late_total",
                "Writes that the log acknowledged and Chroma refused afterwards; each is alerted.",
            )?,
            appended: families.counter("chroma_ha_wal_appended_total", "Writes committed to the log.")?,
            commits: families
                .counter("chroma_ha_wal_commits_total", "Log transactions that appended writes.")?,
            commit_failures: families.counter(
                "chroma_ha_wal_commit_failures_total",
                "Log transactions that appended nothing, because PostgreSQL or the lease was lost.",
            )?,
            commit_seconds,
            commit_entries,
            append_seconds,
        })
    }

    /// `entries`: how many were appended, if it succeeded.
    pub fn commit(&self, took: Duration, entries: Option<usize>) {
        self.commit_seconds.observe(took.as_secs_f64());
        match entries {
            Some(entries) => {
                self.commits.inc();
                self.appended.inc_by(entries as u64);
                self.commit_entries.observe(entries as f64);
            }
            None => self.commit_failures.inc(),
        }
    }

    /// By whom a write was answered whose client wanted the log to, or why not by it.
    pub fn acknowledgement(&self, outcome: &str) {
        self.acknowledgements.with_label_values(&[outcome]).inc();
    }

    pub fn refused_late(&self) {
        self.refused_late.inc();
    }

    pub fn append(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }
}
