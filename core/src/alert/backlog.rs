//! Is a node so far behind that somebody should know? With hysteresis, and not for a node whose being down
//! was told: one cause, one message. It counts nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::kind::{Kind, Words};
use super::lookout::NodeFacts;
use super::words::{counted, lasting, number};
use super::{Alert, Severity};

/// From where on it is told; zero: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogLimits {
    pub entries: u64,
    /// Age of the oldest entry that a node lacks.
    pub age: Duration,
}

/// What an outage left behind may take so long to drain without a word of its own.
const EXCUSED_MS: u64 = 60_000;

/// Nodes that are told to be behind.
#[derive(Clone, Debug)]
pub struct Backlogs {
    limits: BacklogLimits,
    told: BTreeSet<String>,
    /// Whose backlog is what an outage left that was told: until when, and how long it may be.
    excused: BTreeMap<String, (u64, u64)>,
}

impl Backlogs {
    pub fn new(limits: BacklogLimits) -> Backlogs {
        Backlogs { limits, told: BTreeSet::new(), excused: BTreeMap::new() }
    }

    /// `explained`: whether the reason why the node is behind is told already.
    pub fn look(&mut self, node: &NodeFacts, explained: bool, now_ms: u64) -> Option<Alert> {
        let age_ms = if node.lag == 0 { 0 } else { node.oldest_ms.map_or(0, |at| now_ms.saturating_sub(at)) };
        let drained = !self.reaches(node.lag.saturating_mul(2), age_ms.saturating_mul(2));
        if explained {
            self.excused.insert(node.name.clone(), (now_ms.saturating_add(EXCUSED_MS), node.lag));
        } else if drained {
            self.excused.remove(&node.name);
        }
        let excused = self.excused.get(&node.name);
        let explained = excused.is_some_and(|(until_ms, most)| now_ms < *until_ms && node.lag <= *most);
        if self.told.contains(&node.name) {
            return (drained && self.told.remove(&node.name)).then(|| over(node, now_ms));
        }
        let opens = !explained && self.reaches(node.lag, age_ms) && self.told.insert(node.name.clone());
        opens.then(|| self.opened(node, age_ms, now_ms))
    }

    fn reaches(&self, entries: u64, age_ms: u64) -> bool {
        let age_limit_ms = u64::try_from(self.limits.age.as_millis()).unwrap_or(u64::MAX);
        (self.limits.entries > 0 && entries >= self.limits.entries)
            || (age_limit_ms > 0 && age_ms >= age_limit_ms)
    }

    fn opened(&self, node: &NodeFacts, age_ms: u64, now_ms: u64) -> Alert {
        let entries = counted(node.lag, "entry", "entries");
        let waits = if age_ms == 0 { String::new() } else { format!(", the oldest for {}", lasting(age_ms)) };
        let words = Words::new(
            format!("{} is {entries} behind", node.name),
            format!("{entries} wait for it{waits}. It is {}.", node.state),
            "Reads of what it lacks go to other nodes; with none, they wait. PostgreSQL keeps the entries.",
            "See what it does: /wal/status, or \"A node is behind\" in the operations manual.",
        );
        Kind::Backlog.opened(&node.name, Severity::Warning, now_ms, words)
    }
}

fn over(node: &NodeFacts, now_ms: u64) -> Alert {
    let rest = if node.lag == 0 { "nothing waits".to_owned() } else { format!("{} left", number(node.lag)) };
    let what = format!("Its backlog was applied: {rest}.");
    Kind::Backlog.resolved(
        &node.name,
        now_ms,
        Words::over(format!("{} is no longer behind", node.name), what),
    )
}
