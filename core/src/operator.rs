//! What operators do and what waits for them, as the log keeps it: the audit's rows and dead letters.
//! Words only: who may act is the front's to say, what an act changes the sequencer's.

use serde::Serialize;

use crate::entry::{Decision, Op};
use crate::ids::{CollectionId, Seq, Stream};

/// One act of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// Who: how the caller was let in, and from where.
    pub actor: String,
    /// What: `rebuild`, `dead-letter.retry`, …
    pub action: String,
    /// On what.
    pub target: String,
    /// What came of it.
    pub outcome: String,
    /// What else a reader should know; may be empty.
    pub detail: String,
}

/// A deed as the audit shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRow {
    pub id: i64,
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(flatten)]
    pub deed: Deed,
}

/// Which part of the audit to read: the newest rows first.
#[derive(Clone, Copy, Debug)]
pub struct AuditPage {
    /// Only rows with a smaller id; `None`: from the newest on.
    pub before: Option<i64>,
    /// At most so many rows.
    pub limit: u32,
}

/// An accepted entry that a node refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    pub node: String,
    pub seq: Seq,
    pub write_id: String,
    /// None: an entry of the catalog.
    pub collection: Option<CollectionId>,
    pub op: Op,
    /// The node's answer, with the clients' ids.
    pub reason: String,
    /// Deliveries that the node refused.
    pub attempts: u32,
}

impl DeadLetter {
    /// Names a letter for operators: `replica-1:42`.
    pub fn id(node: &str, seq: Seq) -> String {
        format!("{node}:{seq}")
    }

    /// Node and position of such a name.
    pub fn parse_id(id: &str) -> Option<(String, Seq)> {
        let (node, seq) = id.rsplit_once(':')?;
        Some((node.to_owned(), Seq(seq.parse().ok()?)))
    }
}

/// Which open letters of a node are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters {
    Entry(Seq),
    Collection(CollectionId),
}

/// What ended a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The collection was copied to the node anew.
    Rebuilt,
    /// The node took the entry after all.
    Applied,
    /// An operator dropped the letter; the collection waits to be copied.
    Discarded,
    /// An operator lets the node do without the entry.
    DifferenceAccepted,
}

impl Closing {
    pub fn name(self) -> &'static str {
        match self {
            Closing::Rebuilt => "rebuilt",
            Closing::Applied => "applied",
            Closing::Discarded => "discarded",
            Closing::DifferenceAccepted => "difference-accepted",
        }
    }

    /// The letter's state from then on.
    pub fn state(self) -> &'static str {
        match self {
            Closing::Rebuilt | Closing::Applied => "resolved",
            Closing::Discarded | Closing::DifferenceAccepted => "discarded",
        }
    }
}

/// A dead letter as the log shows it.
#[derive(Clone, Debug, Serialize)]
pub struct LetterRow {
    pub id: String,
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// `open`, `resolved` or `discarded`.
    pub state: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// RFC 3339, UTC.
    pub resolved_at: Option<String>,
    /// What ended it.
    pub how: Option<String>,
    /// Whether the entry is still in the log: retention and operators remove entries.
    pub logged: bool,
}

/// Which dead letters to read: the latest entries first.
#[derive(Clone, Debug)]
pub struct LetterPage {
    /// None: whatever the state.
    pub state: Option<&'static str>,
    /// Only letters that come after this one in that order.
    pub before: Option<(String, Seq)>,
    /// Only this one.
    pub only: Option<(String, Seq)>,
    pub limit: u32,
}

/// One write as the log shows it to an operator.
#[derive(Clone, Debug, Serialize)]
pub struct WriteRow {
    pub write_id: String,
    pub seq: Seq,
    pub op: Op,
    pub method: String,
    pub path: String,
    pub status: String,
    /// Its client was told of success when it was in the log.
    pub acknowledged: bool,
    pub retry_count: i32,
    pub error_message: Option<String>,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// RFC 3339, UTC.
    pub updated_at: String,
    #[serde(skip)]
    pub stream: Stream,
    /// What the row itself says was decided; a pending record write may be accepted all the same.
    #[serde(skip)]
    pub decision: Option<Decision>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_found_by_its_name() {
        let id = DeadLetter::id("replica-1", Seq(42));
        assert_eq!(id, "replica-1:42");
        assert_eq!(DeadLetter::parse_id(&id), Some(("replica-1".to_owned(), Seq(42))));
        for wrong in ["", "replica-1", "replica-1:", "replica-1:x", ":"] {
            assert_eq!(DeadLetter::parse_id(wrong), None, "{wrong}");
        }
    }
}
