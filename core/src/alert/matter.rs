//! In which words is a person told that something is out of order on a node, or in order again?

use super::{Alert, Phase, Severity};
use crate::operator::DeadLetter;
use crate::sequencer::Matter;

/// `key` names the matter, `node` is where it is.
pub fn opened(key: &str, node: &str, matter: &Matter, at_ms: u64) -> Alert {
    let (severity, title, what, effect, action) = match matter {
        Matter::DeadLetter { seq, place, .. } => {
            let id = DeadLetter::id(node, *seq);
            (
                Severity::Critical,
                format!("{node} refuses an accepted write"),
                format!("Entry {seq} of {place} is a dead letter: {id}."),
                "The collection is not read from this node; entries of the catalog hold up its later ones.",
                "The collection is copied anew by itself. If that does not happen: `chroma-ha dead-letters`.",
            )
        }
        Matter::Quarantine { collections, first, reason } => (
            Severity::Warning,
            format!(
                "{} {} quarantined on {node}",
                counted(*collections),
                if *collections == 1 { "is" } else { "are" }
            ),
            format!("{first}: {reason}"),
            "They are read from other nodes; this one is not up until they are copied to it.",
            "Mostly nothing. /wal/status shows what waits and why.",
        ),
        Matter::Amnesia { collections } => (
            Severity::Critical,
            format!("{node} lost {}", counted(*collections)),
            "It came back without data that it had.".to_owned(),
            "They are read from other nodes until they are copied to this one.",
            "Find out why its disk is empty. The copies are made by themselves.",
        ),
        Matter::Lost { place } => (
            Severity::Critical,
            "Every Chroma server lost a collection".to_owned(),
            place.clone(),
            "Its reads and writes are answered 503; everything else is served.",
            "Delete it through the balancer and fill it anew. Nothing can be copied.",
        ),
        Matter::Divergence { place, what } => (
            Severity::Critical,
            format!("{node} holds something else than the others"),
            format!("{place}: {what}"),
            "The collection is not read from this node.",
            "See \"A collection is quarantined\" in the operations manual.",
        ),
        Matter::Poison { seq, place } => (
            Severity::Critical,
            "Chroma servers fail under one write".to_owned(),
            format!("Entry {seq} of {place} failed each time that it was tried."),
            "It is judged by what the servers hold: taken, or rejected. Until then only what comes after it there waits.",
            "See \"Nodes fall under one write\" in the operations manual.",
        ),
    };
    Alert {
        key: key.to_owned(),
        severity,
        phase: Phase::Opened,
        title,
        what,
        effect: effect.to_owned(),
        action: action.to_owned(),
        at_ms,
    }
}

fn counted(collections: usize) -> String {
    if collections == 1 { "1 collection".to_owned() } else { format!("{collections} collections") }
}

/// The same matter is over.
pub fn resolved(key: &str, node: &str, matter: &Matter, at_ms: u64) -> Alert {
    let title = match matter {
        Matter::DeadLetter { seq, .. } => format!("The dead letter {} is closed", DeadLetter::id(node, *seq)),
        Matter::Quarantine { .. } => format!("Every collection is served from {node} again"),
        Matter::Amnesia { .. } => format!("{node} has its collections again"),
        Matter::Lost { place } => format!("{place} is no longer lost"),
        Matter::Divergence { .. } => format!("{node} holds the same as the others again"),
        Matter::Poison { place, .. } => format!("Writes of {place} are decided again"),
    };
    Alert {
        key: key.to_owned(),
        severity: Severity::Info,
        phase: Phase::Resolved,
        title,
        what: "It was rebuilt, applied, deleted, or an operator decided; /admin/audit and /admin/dead-letters tell."
            .to_owned(),
        effect: "None.".to_owned(),
        action: "Nothing.".to_owned(),
        at_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_collection_is_not_some_collections() {
        let title = |collections| {
            let (first, reason) = ("docs".to_owned(), "lost".to_owned());
            let quarantine = Matter::Quarantine { collections, first, reason };
            let amnesia = Matter::Amnesia { collections };
            [quarantine, amnesia].map(|matter| opened("key", "replica-1", &matter, 0).title)
        };
        assert_eq!(title(1), ["1 collection is quarantined on replica-1", "replica-1 lost 1 collection"]);
        assert_eq!(title(2), ["2 collections are quarantined on replica-1", "replica-1 lost 2 collections"]);
    }
}
