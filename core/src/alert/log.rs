//! Can the log be written, and who holds it? PostgreSQL that is away is told apart from a lease that nobody
//! takes, and from one that another balancer took, which alarms nobody. It asks no database.

use std::time::Duration;

use super::kind::{Kind, Words};
use super::lookout::{Facts, Predecessor};
use super::node::sentence;
use super::{Alert, Severity};
use crate::headline::Log;

/// PostgreSQL may be silent for so long.
const SILENT_MS: u64 = 5_000;
/// The same for a standby: the holder tells sooner, if there is one.
const STANDBY_MS: u64 = 60_000;

/// What is told of the log.
#[derive(Clone, Debug)]
pub struct LogWatch {
    lease_ms: u64,
    /// Since when the log is not known to be held.
    missing_ms: Option<u64>,
    open: Option<Kind>,
    /// Of the lease that was told to be taken from another balancer.
    epoch: u64,
}

impl LogWatch {
    pub fn new(lease: Duration) -> LogWatch {
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        LogWatch { lease_ms, missing_ms: None, open: None, epoch: 0 }
    }

    pub fn look(&mut self, facts: &Facts, now_ms: u64) -> Vec<Alert> {
        let mut told = Vec::new();
        told.extend(self.taken_over(facts, now_ms));
        if let Some(patience_ms) = self.patience_ms(facts) {
            let since_ms = *self.missing_ms.get_or_insert(now_ms);
            if self.open.is_none() && now_ms.saturating_sub(since_ms) >= patience_ms {
                told.push(self.missing(facts, since_ms));
            }
        } else {
            self.missing_ms = None;
            told.extend(self.open.take().map(|kind| found(kind, facts, now_ms)));
        }
        told
    }

    /// How long what is seen now may last without a word; `None`: all is well.
    fn patience_ms(&self, facts: &Facts) -> Option<u64> {
        match (&facts.log, facts.log_answers) {
            (Log::Here | Log::HandingOver, _) | (Log::Elsewhere(_), true) => None,
            (Log::Elsewhere(_), false) => Some(STANDBY_MS),
            (Log::Lost | Log::Unreached, false) => Some(SILENT_MS),
            (Log::Lost | Log::Unreached, true) => Some(self.lease_ms.saturating_mul(2).max(SILENT_MS)),
        }
    }

    /// Told by the balancer that took it, and by no other.
    fn taken_over(&mut self, facts: &Facts, now_ms: u64) -> Option<Alert> {
        let before = facts.predecessor.as_ref().filter(|before| before.epoch != self.epoch)?;
        self.epoch = before.epoch;
        Some(took_over(before, now_ms))
    }

    fn missing(&mut self, facts: &Facts, since_ms: u64) -> Alert {
        let reads = facts.nodes.iter().any(|node| node.state.serves());
        let effect = if reads {
            "Writes are answered 503 with Retry-After; reads go on."
        } else {
            "Reads and writes are answered 503."
        };
        let what = facts.log_fault.as_deref().map_or_else(String::new, sentence);
        let (kind, words) = if facts.log_answers {
            let what = if what.is_empty() {
                "PostgreSQL answers, and the lease is not to be had.".to_owned()
            } else {
                what
            };
            let action = "Look for \"the lease on the log cannot be taken\" in the balancer's log.";
            (Kind::LogUnheld, Words::new("No balancer holds the log", what, effect, action))
        } else {
            let what = if what.is_empty() { "It has not answered.".to_owned() } else { what };
            let action = "Look at PostgreSQL. Writes resume by themselves, nothing acknowledged is lost.";
            (
                Kind::Postgres,
                Words::new("PostgreSQL is away: the log cannot be written", what, effect, action),
            )
        };
        self.open = Some(kind);
        kind.opened("", Severity::Critical, since_ms, words)
    }
}

fn found(kind: Kind, facts: &Facts, now_ms: u64) -> Alert {
    let what = match &facts.log {
        Log::Elsewhere(address) => format!("It is held by the balancer at {address}."),
        _ => "This balancer holds it; writes are taken again.".to_owned(),
    };
    let title = match kind {
        Kind::Postgres => "PostgreSQL is back: the log can be written",
        _ => "The log is held again",
    };
    kind.resolved("", now_ms, Words::over(title, what))
}

fn took_over(before: &Predecessor, now_ms: u64) -> Alert {
    let (severity, how, action) = if before.gave_away {
        (Severity::Info, "gave it away, as at each deploy", "Nothing.")
    } else {
        (Severity::Warning, "fell silent", "See whether that one is meant to be gone.")
    };
    let words = Words::new(
        "Another balancer took the log over",
        format!("The balancer at {} {how}; this one holds the log now.", before.address),
        "None: what came meanwhile was held for a moment.",
        action,
    );
    Kind::Lease.notice("", severity, now_ms, words)
}
