//! Which message repeats another? One message opens a matter, one resolves it; flapping, repeats and bursts
//! are held back. It sends nothing and reads no clock.

use std::collections::BTreeMap;

use super::fold::Fold;
use super::words::{counted, lasting};
use super::{Alert, Phase};

/// How much is sent at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeskLimits {
    /// A matter that opens again so soon after it was resolved is told only if it then lasts.
    pub cool_down_ms: u64,
    /// Messages in one window, beyond which they are summed up.
    pub burst: usize,
    pub window_ms: u64,
    /// Matters kept in mind; what opens beyond them is counted in a summary.
    pub matters: usize,
}

impl Default for DeskLimits {
    fn default() -> DeskLimits {
        DeskLimits { cool_down_ms: 5 * 60_000, burst: 10, window_ms: 60_000, matters: 1_000 }
    }
}

/// Alerts kept for a summary; further ones are counted.
const HELD: usize = 100;

/// What is known of one matter.
#[derive(Clone, Debug)]
enum Matter {
    /// Open since then (Unix time), and told.
    Told { at_ms: u64 },
    /// Open again within its cool-down: told when that ends.
    Waiting { alert: Alert, until_ms: u64 },
    /// Over since then.
    Quiet { since_ms: u64 },
    /// Said once; repeats wait for the end of the cool-down.
    Said { title: String, since_ms: u64, repeated: Option<(Alert, u64)> },
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
    /// Not even held.
    uncounted: u64,
    suppressed: u64,
}

impl Desk {
    pub fn new(limits: DeskLimits) -> Desk {
        Desk {
            limits,
            matters: BTreeMap::new(),
            window_from_ms: 0,
            sent: 0,
            held: Vec::new(),
            uncounted: 0,
            suppressed: 0,
        }
    }

    /// Alerts that were not sent because they repeat another one.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Takes an alert in; returns what is to be sent now, in order.
    pub fn accept(&mut self, alert: Alert, now_ms: u64) -> Vec<Alert> {
        let mut out = self.tick(now_ms);
        let new = alert.phase != Phase::Resolved && !self.matters.contains_key(&alert.key);
        if new && self.matters.len() >= self.limits.matters {
            self.hold(alert);
            return out;
        }
        let passed = match alert.phase {
            Phase::Opened => self.open(alert, now_ms),
            Phase::Resolved => self.resolve(alert, now_ms),
            Phase::Notice => self.say(alert, now_ms),
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
            out.extend(self.summary());
        }
        for alert in self.take_due(now_ms) {
            out.extend(self.within_burst(alert));
        }
        let cool_down_ms = self.limits.cool_down_ms;
        self.matters.retain(|_, matter| match matter {
            Matter::Quiet { since_ms } | Matter::Said { since_ms, .. } => {
                now_ms.saturating_sub(*since_ms) < cool_down_ms
            }
            _ => true,
        });
        out
    }

    fn open(&mut self, alert: Alert, now_ms: u64) -> Option<Alert> {
        match self.matters.get(&alert.key) {
            Some(Matter::Told { .. } | Matter::Waiting { .. }) => None,
            Some(Matter::Quiet { since_ms }) if now_ms < since_ms + self.limits.cool_down_ms => {
                let until_ms = since_ms + self.limits.cool_down_ms;
                self.matters.insert(alert.key.clone(), Matter::Waiting { alert, until_ms });
                None
            }
            _ => {
                self.matters.insert(alert.key.clone(), Matter::Told { at_ms: alert.at_ms });
                Some(alert)
            }
        }
    }

    fn resolve(&mut self, mut alert: Alert, now_ms: u64) -> Option<Alert> {
        match self.matters.get(&alert.key)? {
            Matter::Told { at_ms } => {
                let lasted = lasting(alert.at_ms.saturating_sub(*at_ms));
                alert.what = format!("It lasted {lasted}. {}", alert.what).trim_end().to_owned();
                self.matters.insert(alert.key.clone(), Matter::Quiet { since_ms: now_ms });
                Some(alert)
            }
            // Opened and over again without a word: the cool-down starts anew.
            Matter::Waiting { .. } => {
                self.matters.insert(alert.key, Matter::Quiet { since_ms: now_ms });
                None
            }
            Matter::Quiet { .. } | Matter::Said { .. } => None,
        }
    }

    /// The same again within the cool-down is counted, and told when that ends.
    fn say(&mut self, alert: Alert, now_ms: u64) -> Option<Alert> {
        if let Some(Matter::Said { title, repeated, .. }) = self.matters.get_mut(&alert.key)
            && *title == alert.title
        {
            let times = repeated.take().map_or(0, |(_, times)| times) + 1;
            *repeated = Some((alert, times));
            return None;
        }
        let said = Matter::Said { title: alert.title.clone(), since_ms: now_ms, repeated: None };
        self.matters.insert(alert.key.clone(), said);
        Some(alert)
    }

    /// Matters whose cool-down ended while they are open, or were said again.
    fn take_due(&mut self, now_ms: u64) -> Vec<Alert> {
        let mut due = Vec::new();
        for matter in self.matters.values_mut() {
            match matter {
                Matter::Waiting { alert, until_ms } if *until_ms <= now_ms => {
                    due.push(alert.clone());
                    *matter = Matter::Told { at_ms: alert.at_ms };
                }
                Matter::Said { since_ms, repeated, .. }
                    if since_ms.saturating_add(self.limits.cool_down_ms) <= now_ms =>
                {
                    let Some((mut alert, times)) = repeated.take() else { continue };
                    *since_ms = now_ms;
                    alert.what = format!(
                        "{} ({} since the last message.)",
                        alert.what,
                        counted(times, "time", "times")
                    );
                    due.push(alert);
                }
                _ => {}
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
            _ if self.held.len() < HELD => self.held.push(alert),
            _ => self.uncounted += 1,
        }
    }

    fn summary(&mut self) -> Option<Alert> {
        let held = std::mem::take(&mut self.held);
        let mut fold = Fold::of(held.first()?);
        held.iter().skip(1).for_each(|alert| fold.add(alert));
        fold.count(std::mem::take(&mut self.uncounted));
        self.sent += 1;
        Some(fold.told())
    }
}

#[cfg(test)]
mod tests;
