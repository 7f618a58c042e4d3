//! In which words is a person told that something is out of order on a node, or in order again?

use super::kind::{Kind, Words};
use super::words::counted;
use super::{Alert, Severity};
use crate::operator::DeadLetter;
use crate::sequencer::Matter;

/// `key` names the matter, `node` is where it is.
pub fn opened(key: &str, node: &str, matter: &Matter, at_ms: u64) -> Alert {
    let (severity, words) = match matter {
        Matter::DeadLetter { seq, place, .. } => (Severity::Critical, dead_letter(node, seq.0, place)),
        Matter::Quarantine { collections, first, reason } => {
            (Severity::Warning, quarantine(node, *collections, first, reason))
        }
        Matter::Amnesia { collections } => (
            Severity::Critical,
            Words::new(
                format!("{node} lost {}", collections_of(*collections)),
                "It came back without data that it had.",
                "They are read from other nodes until they are copied to this one.",
                "Find out why its disk is empty. The copies are made by themselves.",
            ),
        ),
        Matter::Lost { place } => (
            Severity::Critical,
            Words::new(
                "Every Chroma server lost a collection",
                format!("{}.", named(place)),
                "Its reads and writes are answered 503; everything else is served.",
                "Delete it through the balancer and fill it anew. Nothing can be copied.",
            ),
        ),
        Matter::Divergence { place, what } => (
            Severity::Critical,
            Words::new(
                format!("{node} holds something else than the others"),
                format!("{}: {what}", named(place)),
                "The collection is not read from this node.",
                "See \"A collection is quarantined\" in the operations manual.",
            ),
        ),
        Matter::Poison { seq, place } => (
            Severity::Critical,
            Words::new(
                "Chroma servers fail under one write",
                format!("Entry {seq} of {} failed each time that it was tried.", named(place)),
                "It is judged by what the servers hold: taken, or rejected; one that the log acknowledged is rejected only if every server falls under it. Until then what comes after it there waits.",
                "See \"Nodes fall under one write\" in the operations manual.",
            ),
        ),
    };
    kind(matter).opened(of(key), severity, at_ms, words)
}

fn dead_letter(node: &str, seq: u64, place: &str) -> Words {
    let id = DeadLetter::id(node, crate::ids::Seq(seq));
    Words::new(
        format!("{node} refuses an accepted write"),
        format!("Entry {seq} of {} is a dead letter: {id}.", named(place)),
        "The collection is not read from this node; entries of the catalog hold up its later ones.",
        "The collection is copied anew by itself. If that does not happen: `chroma-ha wal list`, then `wal retry` or `wal discard`.",
    )
}

fn quarantine(node: &str, collections: usize, first: &str, reason: &str) -> Words {
    let are = if collections == 1 { "is" } else { "are" };
    Words::new(
        format!("{} {are} quarantined on {node}", collections_of(collections)),
        format!("{}: {reason}", named(first)),
        "They are read from other nodes; this one is not up until they are copied to it.",
        "Mostly nothing. /wal/status shows what waits and why.",
    )
}

fn kind(matter: &Matter) -> Kind {
    match matter {
        Matter::DeadLetter { .. } => Kind::DeadLetter,
        Matter::Quarantine { .. } => Kind::Quarantine,
        Matter::Amnesia { .. } => Kind::Amnesia,
        Matter::Lost { .. } => Kind::Lost,
        Matter::Divergence { .. } => Kind::Divergence,
        Matter::Poison { .. } => Kind::Poison,
    }
}

/// What follows the kind's name in a key.
fn of(key: &str) -> &str {
    key.split_once(':').map_or("", |(_, of)| of)
}

fn collections_of(collections: usize) -> String {
    counted(u64::try_from(collections).unwrap_or(u64::MAX), "collection", "collections")
}

/// A place by its name alone: the id behind it is 36 characters that nobody reads on a phone.
fn named(place: &str) -> &str {
    place.split_once(" (").map_or(place, |(name, _)| name)
}

/// The same matter is over.
pub fn resolved(key: &str, node: &str, matter: &Matter, at_ms: u64) -> Alert {
    let title = match matter {
        Matter::DeadLetter { seq, .. } => format!("The dead letter {} is closed", DeadLetter::id(node, *seq)),
        Matter::Quarantine { .. } => format!("Every collection is served from {node} again"),
        Matter::Amnesia { .. } => format!("{node} has its collections again"),
        Matter::Lost { .. } => "A collection is no longer lost".to_owned(),
        Matter::Divergence { .. } => format!("{node} holds the same as the others again"),
        Matter::Poison { .. } => "Writes that waited for a verdict are decided again".to_owned(),
    };
    let what = "It was rebuilt, applied, deleted, or an operator decided; /admin/audit and /admin/dead-letters tell.";
    let what = match matter {
        Matter::Lost { place } | Matter::Poison { place, .. } => format!("{}. {what}", named(place)),
        _ => what.to_owned(),
    };
    kind(matter).resolved(of(key), at_ms, Words::over(title, what))
}

/// A deletion found records on a node under other ids, and of some no record of the same content.
pub fn unmatched(node: &str, stream: &str, write_id: &str, records: u32, at_ms: u64) -> Alert {
    let records = counted(u64::from(records), "record", "records");
    let words = Words::new(
        format!("{node} kept records of a deletion"),
        format!("{records} of write {write_id}: no record of the same document has the same content there."),
        "None: clients read other nodes. The records are still on this one.",
        format!("Delete them there, or have it copied anew: `chroma-ha rebuild {node} {stream}`."),
    );
    Kind::Unmatched.notice(&format!("{node}:{stream}"), Severity::Warning, at_ms, words)
}

/// Its client believes that the write was done.
pub fn refused_late(stream: &str, write_id: &str, at_ms: u64) -> Alert {
    let words = Words::new(
        "A write that was acknowledged was refused",
        format!("Write {write_id}: the log acknowledged it, and Chroma refused it afterwards."),
        "Its client believes that it was done; no server holds it. The log keeps it for WAL_RETENTION_DAYS.",
        format!("See why in /wal/writes/{write_id} and send it again, or tell its client."),
    );
    Kind::RefusedLate.notice(stream, Severity::Critical, at_ms, words)
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
