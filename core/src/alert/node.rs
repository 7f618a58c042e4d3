//! Since when is a node away, and what of that is told? Down opens, up resolves; what lies between is told
//! only if it lasts. It probes nobody.

use std::collections::BTreeMap;

use super::kind::{Kind, Words};
use super::lookout::NodeFacts;
use super::words::{counted, lasting, listed};
use super::{Alert, Severity};
use crate::health::NodeState;

/// A node that answers again and catches up for longer than this is told to do so.
const LONG_MS: u64 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    since_ms: u64,
    /// It answers since then.
    back_ms: Option<u64>,
    /// Its long way up was told.
    told_back: bool,
}

/// Nodes that are, or were not long ago, away.
#[derive(Clone, Debug, Default)]
pub struct Outages(BTreeMap<String, Outage>);

impl Outages {
    /// Whether people know that the node is down, or not quite back.
    pub fn tells(&self, node: &str) -> bool {
        self.0.contains_key(node)
    }

    pub fn look(&mut self, nodes: &[NodeFacts], now_ms: u64) -> Vec<Alert> {
        nodes.iter().filter_map(|node| self.judge(node, nodes, now_ms)).collect()
    }

    fn judge(&mut self, node: &NodeFacts, all: &[NodeFacts], now_ms: u64) -> Option<Alert> {
        let outage = self.0.get_mut(&node.name);
        match (node.state, outage) {
            (NodeState::Down, None) => {
                let outage = Outage { since_ms: node.since_ms, back_ms: None, told_back: false };
                self.0.insert(node.name.clone(), outage);
                Some(down(node, all))
            }
            (NodeState::Draining | NodeState::Drained, Some(_)) => {
                self.0.remove(&node.name);
                Some(taken_out(node, now_ms))
            }
            (NodeState::Down, Some(outage)) => {
                outage.back_ms = None;
                None
            }
            (NodeState::Up, Some(outage)) => {
                let outage = *outage;
                self.0.remove(&node.name);
                Some(up(node, outage, now_ms))
            }
            (NodeState::Settling { .. } | NodeState::CatchingUp | NodeState::Rebuilding, Some(outage)) => {
                let back_ms = *outage.back_ms.get_or_insert(node.since_ms);
                let long = now_ms.saturating_sub(back_ms) > LONG_MS;
                (long && !std::mem::replace(&mut outage.told_back, true)).then(|| back(node, *outage, now_ms))
            }
            _ => None,
        }
    }
}

fn down(node: &NodeFacts, all: &[NodeFacts]) -> Alert {
    let name = &node.name;
    let others = all.iter().filter(|other| other.name != *name && other.state.serves());
    let others: Vec<&str> = others.map(|other| other.name.as_str()).collect();
    let (severity, title, effect) = if others.is_empty() {
        let effect = "Reads and changes of collections are answered 503; writes of records are kept (202).";
        (Severity::Critical, format!("{name} is down, and no other node is up"), effect.to_owned())
    } else {
        let does = if others.len() == 1 { "answers" } else { "answer" };
        let effect = format!(
            "None: {} {does} reads and writes, and the log keeps what {name} misses.",
            listed(&others)
        );
        (Severity::Warning, format!("{name} is down"), effect)
    };
    let action = "Restart that Chroma server. It catches up by itself.";
    let what = sentence(&node.reason);
    Kind::NodeDown.opened(name, severity, node.since_ms, Words::new(title, what, effect, action))
}

/// From here on its being away is meant.
fn taken_out(node: &NodeFacts, now_ms: u64) -> Alert {
    let title = format!("{} was taken out by an operator", node.name);
    let what = "It is not used until it is put back; the log keeps what it misses.";
    Kind::NodeDown.resolved(&node.name, now_ms, Words::over(title, what))
}

fn up(node: &NodeFacts, outage: Outage, now_ms: u64) -> Alert {
    let back_ms = outage.back_ms.unwrap_or(now_ms);
    let what = format!(
        "It was down for {}, then took {} to settle and catch up.",
        lasting(back_ms.saturating_sub(outage.since_ms)),
        lasting(now_ms.saturating_sub(back_ms)),
    );
    let title = format!("{} is up and has caught up", node.name);
    Kind::NodeDown.resolved(&node.name, now_ms, Words::over(title, what))
}

fn back(node: &NodeFacts, outage: Outage, now_ms: u64) -> Alert {
    let back_ms = outage.back_ms.unwrap_or(now_ms);
    let away = lasting(back_ms.saturating_sub(outage.since_ms));
    let words = Words::new(
        format!("{} answers again and catches up", node.name),
        format!("It was down for {away}; it lacks {}.", counted(node.lag, "entry", "entries")),
        "None: it is read where it is up to date, the rest goes to other nodes.",
        "Nothing. You are told when it has caught up; /status shows its lag.",
    );
    Kind::NodeBack.notice(&node.name, Severity::Info, back_ms, words)
}

/// A reason as the sentence of a message.
pub(super) fn sentence(reason: &str) -> String {
    let mut letters = reason.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| {
        let first: String = first.to_uppercase().collect();
        format!("{first}{}.", letters.as_str())
    })
}
