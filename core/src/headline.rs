//! What is wrong at this moment, in one sentence for somebody who was woken up: what, since when, what
//! users notice, what to do? The worst matter comes first. It looks at nothing itself and remembers nothing.

use serde::Serialize;

use crate::alert::{Alert, Severity};
use crate::health::NodeState;

/// One matter, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Headline {
    pub severity: Severity,
    pub what: String,
    /// More about it, where there is more to say.
    pub detail: Option<String>,
    /// In milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// On users.
    pub effect: String,
    pub action: String,
}

/// Who holds the log, seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Log {
    /// This balancer.
    Here,
    /// Another one, at this address.
    Elsewhere(String),
    /// It is being given away.
    HandingOver,
    /// It was here until PostgreSQL was lost.
    Lost,
    /// PostgreSQL was never reached.
    Unreached,
}

#[derive(Clone, Debug)]
pub struct NodeFacts {
    pub name: String,
    pub state: NodeState,
    pub since_ms: u64,
    /// Entries that it has not applied.
    pub lag: u64,
}

/// What is known.
#[derive(Clone, Debug)]
pub struct Facts {
    pub log: Log,
    pub log_since_ms: u64,
    pub nodes: Vec<NodeFacts>,
    /// The node that judges what comes next.
    pub acting: Option<String>,
    /// What stays open, as it was told to people.
    pub matters: Vec<(Alert, Option<u64>)>,
}

/// Entries by which a node that is up may be behind without a word.
const MOMENT: u64 = 1_000;

/// The worst first; never empty.
pub fn headlines(facts: &Facts) -> Vec<Headline> {
    let mut all: Vec<Headline> = of_log(facts).into_iter().chain(of_nodes(facts)).collect();
    all.extend(facts.matters.iter().map(|(alert, since_ms)| of_matter(alert, *since_ms)));
    all.sort_by_key(|headline| std::cmp::Reverse(headline.severity));
    if all.is_empty() {
        all.push(calm(facts));
    }
    all
}

fn line(severity: Severity, since_ms: Option<u64>, [what, effect, action]: [&str; 3]) -> Headline {
    let [what, effect, action] = [what, effect, action].map(str::to_owned);
    Headline { severity, what, detail: None, since_ms, effect, action }
}

fn calm(facts: &Facts) -> Headline {
    let since = facts.nodes.iter().map(|node| node.since_ms).chain([facts.log_since_ms]).max();
    let what = match facts.nodes.len() {
        1 => "The only node is up".to_owned(),
        count => format!("All {count} nodes are up and follow the log"),
    };
    line(Severity::Info, since, [&what, "Reads and writes are served.", "Nothing to do."])
}

fn of_log(facts: &Facts) -> Option<Headline> {
    let reads = facts.nodes.iter().any(|node| node.state.serves());
    let effect = if reads {
        "Writes are answered 503 with Retry-After; reads go on."
    } else {
        "Reads and writes are answered 503."
    };
    let look = "Look at PostgreSQL; the log is taken again by itself.";
    let (severity, texts) = match &facts.log {
        Log::Here => return None,
        Log::Lost => (Severity::Critical, ["PostgreSQL was lost: the log cannot be written", effect, look]),
        Log::Unreached => {
            (Severity::Critical, ["The log was not read yet: PostgreSQL has not answered", effect, look])
        }
        Log::HandingOver => {
            let what = "This balancer is stopping and gives the log to another one";
            (
                Severity::Info,
                [what, "Users notice nothing: what comes is held for a moment.", "Nothing to do."],
            )
        }
        Log::Elsewhere(address) => {
            let what = format!("This balancer stands by; the log is held at {address}");
            let texts = [
                what.as_str(),
                "Users notice nothing: what needs the log is passed on.",
                "For lag, streams and dead letters look at the dashboard there.",
            ];
            return Some(line(Severity::Info, Some(facts.log_since_ms), texts));
        }
    };
    Some(line(severity, Some(facts.log_since_ms), texts))
}

fn of_nodes(facts: &Facts) -> Vec<Headline> {
    let nodes = &facts.nodes;
    if nodes.iter().all(|node| node.state.is_gone()) {
        let since = nodes.iter().map(|node| node.since_ms).max();
        let what = if nodes.len() == 1 { "The only node is gone" } else { "Every node is gone" };
        let effect = "Reads and changes of collections are answered 503; writes of records are kept (202).";
        let action = "Restart the Chroma servers; the log is applied to them by itself.";
        return vec![line(Severity::Critical, since, [what, effect, action])];
    }
    let mut lines: Vec<Headline> = nodes.iter().filter_map(|node| of_node(node, facts)).collect();
    if !nodes.iter().any(|node| node.state.serves()) {
        let since = nodes.iter().map(|node| node.since_ms).max();
        let effect = "Requests wait for it a few seconds, then they are answered 503.";
        let texts =
            ["No node is fit to be read at this moment", effect, "Wait; the nodes below say for what."];
        lines.insert(0, line(Severity::Warning, since, texts));
    }
    lines
}

/// What users notice of a node that is not used.
fn without(node: &NodeFacts, facts: &Facts) -> String {
    match &facts.acting {
        Some(acting) if *acting != node.name => {
            format!("Users notice nothing: {acting} answers in its place")
        }
        _ if !matches!(facts.log, Log::Here) => "Other nodes are read in its place".to_owned(),
        _ => {
            "Served is what the other nodes are up to date with; the rest waits, then is answered 503 or 504"
                .to_owned()
        }
    }
}

fn of_node(node: &NodeFacts, facts: &Facts) -> Option<Headline> {
    let (name, others) = (&node.name, without(node, facts));
    let held = matches!(facts.log, Log::Here);
    // No figures: who listens to the page would hear the sentence again with each of them.
    let missing = if held { ", and the log keeps what it misses" } else { "" };
    let (severity, what, effect, action) = match node.state {
        NodeState::Down => {
            let action = "Restart that Chroma server; it catches up by itself.";
            (Severity::Warning, format!("{name} is down"), format!("{others}{missing}."), action)
        }
        NodeState::Draining => {
            let what = format!("{name} is being taken out by an operator: what is under way there ends");
            (Severity::Info, what, format!("{others}."), "Wait until it is drained before you stop it.")
        }
        NodeState::Drained => {
            let what = format!("{name} is taken out by an operator");
            (Severity::Info, what, format!("{others}{missing}."), "Put it back when you are done.")
        }
        NodeState::Suspect => {
            let action = "Wait a second; it is probed.";
            (Severity::Warning, format!("{name} is in doubt"), format!("{others}."), action)
        }
        NodeState::Settling { .. } => (
            Severity::Info,
            format!("{name} answers and is left alone for a moment"),
            format!("{others}."),
            "Nothing to do.",
        ),
        NodeState::CatchingUp | NodeState::Rebuilding => {
            let calm = facts.acting.as_ref().is_some_and(|acting| acting != name);
            let effect =
                if calm { format!("{others}.") } else { "It is used where it is up to date.".to_owned() };
            (Severity::Info, format!("{name} is catching up"), effect, "Nothing to do.")
        }
        NodeState::Up if node.lag > MOMENT => {
            let effect = "Fewer nodes share the reads.".to_owned();
            (Severity::Info, format!("{name} is up but behind"), effect, "Watch whether its lag falls.")
        }
        NodeState::Up => return None,
    };
    Some(line(severity, Some(node.since_ms), [&what, &effect, action]))
}

fn of_matter(alert: &Alert, since_ms: Option<u64>) -> Headline {
    let told = line(alert.severity, since_ms, [&alert.title, &alert.effect, &alert.action]);
    Headline { detail: Some(alert.what.clone()), ..told }
}

#[cfg(test)]
mod tests;
