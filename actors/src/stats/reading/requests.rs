//! How full is each bound? Read off the gate; how many clients wait for a node's verdict, off the board.

use chroma_ha_core::route::Share;
use prometheus::Error;

use crate::gate::Fill;
use crate::stats::family::Families;

#[derive(Debug, Default)]
pub(super) struct RequestReading {
    pub(super) fill: Fill,
    pub(super) waiting_for_verdict: usize,
    pub(super) appends_waiting: usize,
}

impl RequestReading {
    pub(super) fn fill(&self, families: &mut Families) -> Result<(), Error> {
        self.permits(families)?;
        let fill = &self.fill;
        families.gauge(
            "chroma_ha_requests_queued",
            "Requests that wait for a permit, or for room for their body.",
            fill.queued as f64,
        )?;
        families.gauge(
            "chroma_ha_requests_queue_limit",
            "Places to wait in (`REQUEST_QUEUE_SIZE`).",
            fill.queue_limit as f64,
        )?;
        families.gauge(
            "chroma_ha_request_body_bytes",
            "Memory that request bodies have taken, those still being received included.",
            fill.body_bytes as f64,
        )?;
        families.gauge(
            "chroma_ha_request_body_limit_bytes",
            "Memory that there is for request bodies (`MAX_BODY_MEMORY`).",
            fill.body_limit_bytes as f64,
        )?;
        families.gauge(
            "chroma_ha_writes_waiting",
            "Clients whose write is in the log and not yet judged by a node.",
            self.waiting_for_verdict as f64,
        )?;
        families.gauge(
            "chroma_ha_appends_waiting",
            "Writes that wait for the next log transaction.",
            self.appends_waiting as f64,
        )
    }

    fn permits(&self, families: &mut Families) -> Result<(), Error> {
        let fill = &self.fill;
        families.gauge(
            "chroma_ha_requests_in_flight",
            "Requests that hold a permit.",
            fill.in_flight as f64,
        )?;
        families.gauge(
            "chroma_ha_requests_limit",
            "Permits that there are (`MAX_CONCURRENT_REQUESTS`).",
            fill.limit as f64,
        )?;
        let shares = || Share::ALL.map(|share| [share.name()]);
        families.gauges(
            "chroma_ha_share_in_flight",
            ["share"],
            "Requests that hold a permit, by share. Share: reads or writes.",
            shares().into_iter().zip(fill.in_flight_by_share.map(|count| count as f64)),
        )?;
        families.gauges(
            "chroma_ha_share_limit",
            ["share"],
            "Permits that a share may take at most; the rest is kept for the other one.",
            shares().map(|share| (share, fill.share_limit as f64)),
        )
    }
}
