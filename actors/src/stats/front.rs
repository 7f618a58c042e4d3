//! What do clients ask, and how long do they wait? Counted where a request enters and where a node is read.

use std::time::Duration;

use prometheus::{Error, HistogramVec, IntCounterVec};

use super::family::{Families, SECONDS};
use crate::gate::{Scarce, Shed};

#[derive(Debug)]
pub struct FrontStats {
    requests: IntCounterVec,
    pub(crate) request_seconds: HistogramVec,
    pub writes: IntCounterVec,
    pub reads: IntCounterVec,
    pub(crate) read_seconds: HistogramVec,
    shed: IntCounterVec,
}

impl FrontStats {
    pub(super) fn try_new(families: &mut Families) -> Result<FrontStats, Error> {
        let front = FrontStats {
            requests: families.counters(
                "chroma_ha_requests_total",
                &["route", "status"],
                "Requests answered, by route and status.",
            )?,
            request_seconds: families.histograms(
                "chroma_ha_request_seconds",
                &SECONDS,
                &["class", "route"],
                "Time from request to answer. Class: read, write, server, v1 or refused.",
            )?,
            writes: families.counters(
                "chroma_ha_writes_total",
                &["op", "outcome"],
                "Logged writes answered. Outcome: applied, acknowledged (by the log alone), rejected, queued, pending or refused.",
            )?,
            reads: families.counters("chroma_ha_reads_total", &["node"], "Reads sent to a node.")?,
            read_seconds: families.histograms(
                "chroma_ha_read_seconds",
                &SECONDS,
                &["class", "node"],
                "Time until a node began to answer a read, or failed. Class: records, catalog or server.",
            )?,
            shed: families.counters(
                "chroma_ha_shed_total",
                &["bound"],
                "Requests refused because a bound was reached; they are in `chroma_ha_requests_total`, too. Bound: requests, bodies or memory (of the machine).",
            )?,
        };
        // Known from the start: the first one would not be seen as a rise otherwise.
        Scarce::ALL.iter().for_each(|scarce| drop(front.shed.with_label_values(&[scarce.name()])));
        Ok(front)
    }

    pub fn request(&self, route: &str, class: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, &status.to_string()]).inc();
        self.request_seconds.with_label_values(&[class, route]).observe(took.as_secs_f64());
    }

    pub fn shed(&self, shed: Shed) {
        self.shed.with_label_values(&[shed.scarce().name()]).inc();
    }

    pub fn read(&self, class: &str, node: &str, took: Duration) {
        self.read_seconds.with_label_values(&[class, node]).observe(took.as_secs_f64());
    }
}
