//! Which facts deserve a person, and which message repeats another? One message opens a matter, one
//! resolves it; flapping and bursts are held back. It sends nothing and reads no clock.

use std::collections::BTreeMap;

use serde::Serialize;

pub mod matter;
pub mod strain;

/// How soon a person should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Nothing fails yet, but less is left than should be.
    Warning,
    /// Clients are affected, or data needs a decision.
    Critical,
}

/// What a message does to its matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It begins; repeats of an open matter are not sent.
    Opened,
    /// It is over; not sent for a matter nobody heard of.
    Resolved,
    /// Said once, nothing stays open: a summary of many.
    Notice,
}

/// One message for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Names the matter: `node-down:replica-1`. Opened and resolved carry the same key.
    pub key: String,
    pub severity: Severity,
    pub phase: Phase,
    pub title: String,
    /// What happened.
    pub what: String,
    /// What it means for users.
    pub effect: String,
    /// What to do.
    pub action: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// How much is sent at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeskLimits {
    /// A matter that opens again so soon after it was resolved is told only if it then lasts.
    pub cool_down_ms: u64,
    /// Messages in one window, beyond which they are summed up.
    pub burst: usize,
    pub window_ms: u64,
}

impl Default for DeskLimits {
    fn default() -> DeskLimits {
        DeskLimits { cool_down_ms: 5 * 60_000, burst: 10, window_ms: 60_000 }
    }
}

/// What is known of one matter.
#[derive(Clone, Debug)]
enum Matter {
    /// Open, and told.
    Told,
    /// Open again within its cool-down: told when that ends.
    Waiting { alert: Alert, until_ms: u64 },
    /// Over since then.
    Quiet { since_ms: u64 },
}

/// Decides which alerts are sent.
#[derive(Debug)]
pub struct Desk {
    limits: DeskLimits,
    matters: BTreeMap<String, Matter>,
    window_from_ms: u64,
    sent: usize,
    /// Beyond the burst limit, for the summary.
    held: Vec<Alert>,
    suppressed: u64,
}

impl Desk {
    pub fn new(limits: DeskLimits) -> Desk {
        Desk { limits, matters: BTreeMap::new(), window_from_ms: 0, sent: 0, held: Vec::new(), suppressed: 0 }
    }

    /// Alerts that were not sent because they repeat another one.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Takes an alert in; returns what is to be sent now, in order.
    pub fn accept(&mut self, alert: Alert, now_ms: u64) -> Vec<Alert> {
        let mut out = self.tick(now_ms);
        let passed = match alert.phase {
            Phase::Opened => self.open(alert, now_ms),
            Phase::Resolved => self.resolve(alert, now_ms),
            Phase::Notice => Some(alert),
        };
        match passed {
            Some(alert) => out.extend(self.within_burst(alert)),
            None => self.suppressed += 1,
        }
        out
    }

    /// What is due because time passed. To be called every few seconds while `accept` is not.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Alert> {
        let mut out = Vec::new();
        if now_ms.saturating_sub(self.window_from_ms) >= self.limits.window_ms {
            self.window_from_ms = now_ms;
            self.sent = 0;
            out.extend(self.summary(now_ms));
        }
        for alert in self.take_due(now_ms) {
            out.extend(self.within_burst(alert));
        }
        let cool_down_ms = self.limits.cool_down_ms;
        self.matters.retain(|_, matter| match matter {
            Matter::Quiet { since_ms } => now_ms.saturating_sub(*since_ms) < cool_down_ms,
            _ => true,
        });
        out
    }

    fn open(&mut self, alert: Alert, now_ms: u64) -> Option<Alert> {
        match self.matters.get(&alert.key) {
            Some(Matter::Told | Matter::Waiting { .. }) => None,
            Some(Matter::Quiet { since_ms }) if now_ms < since_ms + self.limits.cool_down_ms => {
                let until_ms = since_ms + self.limits.cool_down_ms;
                self.matters.insert(alert.key.clone(), Matter::Waiting { alert, until_ms });
                None
            }
            _ => {
                self.matters.insert(alert.key.clone(), Matter::Told);
                Some(alert)
            }
        }
    }

    fn resolve(&mut self, alert: Alert, now_ms: u64) -> Option<Alert> {
        match self.matters.get(&alert.key)? {
            Matter::Told => {
                self.matters.insert(alert.key.clone(), Matter::Quiet { since_ms: now_ms });
                Some(alert)
            }
            // Opened and over again without a word: the cool-down starts anew.
            Matter::Waiting { .. } => {
                self.matters.insert(alert.key, Matter::Quiet { since_ms: now_ms });
                None
            }
            Matter::Quiet { .. } => None,
        }
    }

    /// Matters whose cool-down ended while they are open.
    fn take_due(&mut self, now_ms: u64) -> Vec<Alert> {
        let mut due = Vec::new();
        for matter in self.matters.values_mut() {
            if let Matter::Waiting { alert, until_ms } = matter
                && *until_ms <= now_ms
            {
                due.push(alert.clone());
                *matter = Matter::Told;
            }
        }
        due
    }

    fn within_burst(&mut self, alert: Alert) -> Option<Alert> {
        if self.sent < self.limits.burst {
            self.sent += 1;
            return Some(alert);
        }
        self.hold(alert);
        None
    }

    /// Keeps one held alert a key; one that opened and resolved while held needs no word.
    fn hold(&mut self, alert: Alert) {
        let opened = self.held.iter().position(|held| held.key == alert.key && held.phase == Phase::Opened);
        match (opened, alert.phase) {
            (Some(place), Phase::Resolved) => {
                self.held.remove(place);
            }
            _ => self.held.push(alert),
        }
    }

    fn summary(&mut self, now_ms: u64) -> Option<Alert> {
        let held = std::mem::take(&mut self.held);
        let severity = held.iter().map(|alert| alert.severity).max()?;
        self.sent += 1;
        Some(summarise(&held, severity, now_ms))
    }
}

/// Titles that a summary names before it only counts.
const NAMED: usize = 20;

fn summarise(held: &[Alert], severity: Severity, now_ms: u64) -> Alert {
    let line = |alert: &Alert| match alert.phase {
        Phase::Resolved => format!("resolved: {}", alert.title),
        Phase::Opened | Phase::Notice => alert.title.clone(),
    };
    let mut lines: Vec<String> = held.iter().take(NAMED).map(line).collect();
    if held.len() > NAMED {
        lines.push(format!("and {} more", held.len() - NAMED));
    }
    Alert {
        key: "summary".to_owned(),
        severity,
        phase: Phase::Notice,
        title: format!("{} more alerts within a short time", held.len()),
        what: lines.join("\n"),
        effect: "Many things changed at once, often for one common cause.".to_owned(),
        action: "Look at /status or the dashboard for the present state.".to_owned(),
        at_ms: held.first().map_or(now_ms, |alert| alert.at_ms),
    }
}

#[cfg(test)]
mod tests;
