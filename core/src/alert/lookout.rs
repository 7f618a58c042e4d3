//! What of the cluster, as this balancer sees it now, is news to a person? It is shown the facts again and
//! again and compares. Of nodes only the holder of the log tells, so that two balancers do not tell twice.

use std::time::Duration;

use super::Alert;
use super::acting::ActingWatch;
use super::backlog::{BacklogLimits, Backlogs};
use super::log::LogWatch;
use super::node::Outages;
use crate::headline::Log;
use crate::health::NodeState;

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    pub name: String,
    pub state: NodeState,
    /// Since when it is in that state, and why.
    pub since_ms: u64,
    pub reason: String,
    /// Entries that it has not applied, and when the oldest of them was logged.
    pub lag: u64,
    pub oldest_ms: Option<u64>,
}

/// Who held the log before this balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    pub address: String,
    /// Of the lease that this balancer took then.
    pub epoch: u64,
    /// It gave the log away with nothing in doubt; else it fell silent, or left something in doubt.
    pub gave_away: bool,
}

/// What is known at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub log: Log,
    /// Whether PostgreSQL answered when it was asked last.
    pub log_answers: bool,
    /// Why the log was lost last, if it was.
    pub log_fault: Option<String>,
    /// Another balancer, from which the log was taken last.
    pub predecessor: Option<Predecessor>,
    /// The node that judges what comes next.
    pub acting: Option<String>,
    /// The node that judges whenever it is up to date: the primary, unless an operator wants another.
    pub first_choice: String,
    /// In order of preference, the primary first.
    pub nodes: Vec<NodeFacts>,
}

/// Compares what is so with what was told.
#[derive(Clone, Debug)]
pub struct Lookout {
    log: LogWatch,
    outages: Outages,
    acting: ActingWatch,
    backlogs: Backlogs,
}

impl Lookout {
    pub fn new(backlog: BacklogLimits, lease: Duration) -> Lookout {
        Lookout {
            log: LogWatch::new(lease),
            outages: Outages::default(),
            acting: ActingWatch::default(),
            backlogs: Backlogs::new(backlog),
        }
    }

    /// What is to be told, given what is so. `now_ms` since the Unix epoch.
    pub fn look(&mut self, facts: &Facts, now_ms: u64) -> Vec<Alert> {
        let mut told = self.log.look(facts, now_ms);
        match facts.log {
            Log::Lost => told.extend(self.outages.look(&facts.nodes, now_ms)),
            Log::Here => {
                told.extend(self.outages.look(&facts.nodes, now_ms));
                let first = facts.nodes.iter().find(|node| node.name == facts.first_choice);
                told.extend(self.acting.look(facts.acting.as_deref(), first, now_ms));
                for node in &facts.nodes {
                    let explained = self.outages.tells(&node.name) || node.state.is_taken_out();
                    told.extend(self.backlogs.look(node, explained, now_ms));
                }
            }
            // The holder tells. What was told here is ended here, once the log is held here again.
            Log::Elsewhere(_) | Log::HandingOver | Log::Unreached => {}
        }
        told
    }
}

#[cfg(test)]
mod tests;
