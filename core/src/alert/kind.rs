//! Which kinds of messages are there, by what key are they known, when are they told, and under which
//! heading of the operations manual does one read what to do? Every alert is made here. It decides nothing.

use std::fmt::Write;

use super::{Alert, Phase, Severity};

mod rows;

use rows::ROWS;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub title: String,
    pub what: String,
    pub effect: String,
    pub action: String,
}

impl Words {
    /// The title, what happened, what it means for users, what to do.
    pub fn new(
        title: impl Into<String>,
        what: impl Into<String>,
        effect: impl Into<String>,
        action: impl Into<String>,
    ) -> Words {
        Words { title: title.into(), what: what.into(), effect: effect.into(), action: action.into() }
    }

    /// Of what is over: nothing is left to do.
    pub fn over(title: impl Into<String>, what: impl Into<String>) -> Words {
        Words::new(title, what, "None.", "Nothing.")
    }
}

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    NodeDown,
    NodeBack,
    Failover,
    Backlog,
    Postgres,
    LogUnheld,
    Lease,
    DeadLetter,
    Quarantine,
    Amnesia,
    Lost,
    Divergence,
    Poison,
    RefusedLate,
    Unmatched,
    Pressure,
    Actor,
    ActorHangs,
    Escalated,
    File,
    BalancerGone,
    Summary,
    Test,
}

/// What the manual says of a kind.
struct Row {
    kind: Kind,
    name: &'static str,
    /// What follows the name in the key, if anything.
    of: &'static str,
    severity: &'static str,
    opens: &'static str,
    resolved: &'static str,
    heading: &'static str,
}

impl Kind {
    pub fn all() -> impl Iterator<Item = Kind> {
        ROWS.iter().map(|row| row.kind)
    }

    /// The first word of the key.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The heading of the operations manual that says what to do.
    pub fn heading(self) -> &'static str {
        self.row().heading
    }

    /// Of the kind's alert about this node, place or actor.
    pub fn key(self, of: &str) -> String {
        if of.is_empty() { self.name().to_owned() } else { format!("{}:{of}", self.name()) }
    }

    /// The kind of the alert with this key.
    pub fn of_key(key: &str) -> Option<Kind> {
        let name = key.split(':').next().unwrap_or_default();
        Kind::all().find(|kind| kind.name() == name)
    }

    pub fn opened(self, of: &str, severity: Severity, at_ms: u64, words: Words) -> Alert {
        self.alert(of, severity, Phase::Opened, at_ms, words)
    }

    pub fn resolved(self, of: &str, at_ms: u64, words: Words) -> Alert {
        self.alert(of, Severity::Info, Phase::Resolved, at_ms, words)
    }

    pub fn notice(self, of: &str, severity: Severity, at_ms: u64, words: Words) -> Alert {
        self.alert(of, severity, Phase::Notice, at_ms, words)
    }

    fn alert(self, of: &str, severity: Severity, phase: Phase, at_ms: u64, words: Words) -> Alert {
        let Words { title, what, effect, action } = words;
        Alert { key: self.key(of), severity, phase, title, what, effect, action, at_ms }
    }

    fn row(self) -> &'static Row {
        // The test below holds that each kind has its row.
        ROWS.iter().find(|row| row.kind == self).unwrap_or(&ROWS[0])
    }
}

/// What a link to a heading is called, as on the common hosts.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The table of the operations manual.
pub fn markdown_table() -> String {
    let mut table = "| key | severity | opens | resolved | what to do |\n|---|---|---|---|---|\n".to_owned();
    for Row { kind, of, severity, opens, resolved, heading, .. } in &ROWS {
        let (key, link) = (kind.key(of), anchor(heading));
        // Writing to a string does not fail.
        let _ = writeln!(table, "| `{key}` | {severity} | {opens} | {resolved} | [{heading}](#{link}) |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_row_and_is_known_by_its_key() {
        for kind in Kind::all() {
            assert_eq!(kind.row().kind, kind);
            assert_eq!(Kind::of_key(&kind.key("primary:7")), Some(kind));
            assert_eq!(Kind::of_key(&kind.key("")), Some(kind));
        }
        assert_eq!(Kind::of_key("nonsense"), None);
        // The last of the list of kinds is the last of the rows: none is left out.
        assert_eq!(ROWS.len(), Kind::Test as usize + 1);
    }
}
