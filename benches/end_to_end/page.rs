//! The balancer's own figures at one moment, and how far its nodes are. It reads `/metrics` as a scraper does.

use std::time::{Duration, Instant};

use super::wire::{Wire, request};

/// A queue of ten thousand on a busy machine takes minutes, not more.
const PATIENCE: Duration = Duration::from_secs(900);

/// Often enough for figures of seconds, and seldom enough to cost the balancer nothing.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Page(String);

impl Page {
    pub(crate) async fn of(port: u16) -> Self {
        let mut wire = Wire::to(port);
        let status = wire.send(&request("GET", "/metrics", "", b"")).await.expect("the balancer's figures");
        assert_eq!(status, 200);
        Self(String::from_utf8_lossy(wire.body()).into_owned())
    }

    /// All samples of this name with this label (any, if it is empty), added.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        let ours = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
        };
        let value = |line: &str| line.rsplit(' ').next().and_then(|word| word.parse::<f64>().ok());
        self.0.lines().filter(ours).filter_map(value).sum()
    }

    /// Mean of what a histogram took since the earlier page; 0 without anything.
    pub(crate) fn mean(&self, before: &Page, name: &str, label: &str) -> f64 {
        let (sum, count) = (format!("{name}_sum"), format!("{name}_count"));
        let since = |name: &str| self.sum(name, label) - before.sum(name, label);
        let count = since(&count);
        if count > 0.0 { since(&sum) / count } else { 0.0 }
    }

    /// Entries that some node has not applied.
    pub(crate) fn lag(&self) -> f64 {
        self.sum("chroma_ha_wal_head", "") - self.sum("chroma_ha_wal_completed", "")
    }
}

/// Until every node has applied the whole log.
pub(crate) async fn until_applied(port: u16) {
    let begun = Instant::now();
    while Page::of(port).await.lag() > 0.0 {
        assert!(begun.elapsed() < PATIENCE, "the nodes do not come to the end of the log");
        tokio::time::sleep(LOOK).await;
    }
}
