//! How do many alerts become one? A summary names some and counts the rest, so that it stays small however
//! many there are. It chooses none of them.

use super::kind::{Kind, Words};
use super::words::counted;
use super::{Alert, Phase, Severity};

/// Titles that a summary names before it only counts.
const NAMED: usize = 20;

/// Alerts that are told as one.
#[derive(Clone, Debug)]
pub struct Fold {
    lines: Vec<String>,
    count: u64,
    severity: Severity,
    since_ms: u64,
}

impl Fold {
    pub fn of(first: &Alert) -> Fold {
        let mut fold = Fold { lines: Vec::new(), count: 0, severity: first.severity, since_ms: first.at_ms };
        fold.add(first);
        fold
    }

    pub fn add(&mut self, alert: &Alert) {
        self.count += 1;
        self.severity = self.severity.max(alert.severity);
        if self.lines.len() < NAMED {
            self.lines.push(match alert.phase {
                Phase::Resolved => format!("resolved: {}", alert.title),
                Phase::Opened | Phase::Notice => alert.title.clone(),
            });
        }
    }

    /// Further ones that were not kept.
    pub fn count(&mut self, more: u64) {
        self.count += more;
    }

    pub fn told(self) -> Alert {
        let mut lines = self.lines;
        let unnamed = self.count - lines.len() as u64;
        if unnamed > 0 {
            lines.push(format!("and {unnamed} more"));
        }
        let words = Words::new(
            format!("{} within a short time", counted(self.count, "more alert", "more alerts")),
            lines.join("\n"),
            "Many things changed at once, often for one common cause.",
            "Look at /status or the dashboard for the present state.",
        );
        Kind::Summary.notice("", self.severity, self.since_ms, words)
    }
}
