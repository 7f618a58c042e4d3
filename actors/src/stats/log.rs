//! How fast does the log take writes, and how many at a time? Counted where a transaction ends.

use std::time::Duration;

use prometheus::{Error, Histogram, IntCounter};

use super::family::{ENTRIES, Families, SECONDS};

#[derive(Debug)]
pub struct LogStats {
    appended: IntCounter,
    commits: IntCounter,
    commit_failures: IntCounter,
    commit_seconds: Histogram,
    commit_entries: Histogram,
    append_seconds: Histogram,
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
        Ok(LogStats {
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

    pub fn append(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }
}
