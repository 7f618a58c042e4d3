//! What the mechanism counts about itself, in Prometheus terms, and (`stats::reading`) what is read off it
//! when somebody asks. One set of counters per balancer; every name is fixed in this room and nowhere else.

use chroma_ha_core::ids::NodeId;
use prometheus::proto::MetricFamily;
use prometheus::{Error, IntCounterVec};

pub mod family;
mod front;
mod log;
mod nodes;
pub mod reading;
mod tally;

pub use front::FrontStats;
pub use log::LogStats;
pub use nodes::NodeStats;
pub use tally::Tally;

use family::{Described, Families};
use reading::Reading;

#[derive(Debug)]
pub struct Stats {
    families: Families,
    pub front: FrontStats,
    pub log: LogStats,
    pub nodes: NodeStats,
    alerts: IntCounterVec,
}

impl Stats {
    pub fn try_new() -> Result<Stats, Error> {
        let mut families = Families::default();
        let (front, log, nodes) = (
            FrontStats::try_new(&mut families)?,
            LogStats::try_new(&mut families)?,
            NodeStats::try_new(&mut families)?,
        );
        let alerts = families.counters(
            "chroma_ha_alerts_total",
            &["outcome"],
            "Alerts told. Outcome: sent, failed, or logged (no webhook).",
        )?;
        for outcome in [AlertOutcome::Sent, AlertOutcome::Failed, AlertOutcome::Logged] {
            drop(alerts.with_label_values(&[outcome.name()]));
        }
        Ok(Stats { families, front, log, nodes, alerts })
    }

    /// There are so many nodes.
    pub fn expect_nodes(&self, nodes: usize) {
        for node in (0..nodes).map(NodeId) {
            self.nodes.expect(node);
            drop(self.front.reads.with_label_values(&[&node.name()]));
        }
    }

    pub fn told(&self, outcome: AlertOutcome) {
        self.alerts.with_label_values(&[outcome.name()]).inc();
    }

    /// The counters and histograms, without what is read off the mechanism.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.families.gather()
    }
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertOutcome {
    Sent,
    Failed,
    /// Nobody is to get it.
    Logged,
}

impl AlertOutcome {
    fn name(self) -> &'static str {
        match self {
            AlertOutcome::Sent => "sent",
            AlertOutcome::Failed => "failed",
            AlertOutcome::Logged => "logged",
        }
    }
}

/// Every family of `/metrics`.
pub fn described() -> Result<Vec<Described>, Error> {
    let (counted, read) = (Stats::try_new()?, Reading::default().families()?);
    Ok(counted.families.described().iter().chain(read.described()).cloned().collect())
}
