//! What do clients ask, and how long do they wait? Counted where a request enters and where a node is read.

use chroma_ha_core::ids::NodeId;
use prometheus::{Error, Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::family::{Families, SECONDS};
use crate::gate::{Scarce, Shed};

#[derive(Debug)]
pub struct FrontStats {
    requests: IntCounterVec,
    pub(crate) request_seconds: HistogramVec,
    pub writes: IntCounterVec,
    pub(super) reads: IntCounterVec,
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

    pub(super) fn of_requests(&self, route: &str, class: &str, status: u16) -> (IntCounter, Histogram) {
        let answered = self.requests.with_label_values(&[route, &status.to_string()]);
        (answered, self.request_seconds.with_label_values(&[class, route]))
    }

    pub fn shed(&self, shed: Shed) {
        self.shed.with_label_values(&[shed.scarce().name()]).inc();
    }

    pub(super) fn of_reads(&self, class: &str, node: NodeId) -> (IntCounter, Histogram) {
        let node = node.name();
        let sent = self.reads.with_label_values(&[&node]);
        (sent, self.read_seconds.with_label_values(&[class, &node]))
    }
}
