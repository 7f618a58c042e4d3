//! What operators do and what waits for them, as the log keeps it: the audit's rows and dead letters.
//! Words only: who may act is the front's to say, what an act changes the sequencer's.

use serde::{Serialize, Serializer};

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
    pub fn state(self) -> LetterState {
        match self {
            Closing::Rebuilt | Closing::Applied => LetterState::Resolved,
            Closing::Discarded | Closing::DifferenceAccepted => LetterState::Discarded,
        }
    }
}

/// Whether a dead letter still waits for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterState {
    /// The node still refuses the entry.
    Open,
    /// The node holds what the entry made.
    Resolved,
    /// An operator ended it.
    Discarded,
}

impl LetterState {
    const ALL: [LetterState; 3] = [LetterState::Open, LetterState::Resolved, LetterState::Discarded];

    pub fn name(self) -> &'static str {
        match self {
            LetterState::Open => "open",
            LetterState::Resolved => "resolved",
            LetterState::Discarded => "discarded",
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
    pub state: Option<LetterState>,
    /// Only letters that come after this one in that order.
    pub before: Option<(String, Seq)>,
    /// Only this one.
    pub only: Option<(String, Seq)>,
    pub limit: u32,
}

impl LetterPage {
    /// The state of a word that operators use; whatever the state, for `all`.
    pub fn state(word: &str) -> Option<Option<LetterState>> {
        let named = || LetterState::ALL.into_iter().find(|state| state.name() == word);
        if word == "all" { Some(None) } else { named().map(Some) }
    }
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
    /// Size of what the client sent.
    pub body_bytes: u64,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// RFC 3339, UTC.
    pub updated_at: String,
    #[serde(serialize_with = "in_words")]
    pub stream: Stream,
    /// What the row itself says was decided; a pending record write may be accepted all the same.
    #[serde(skip)]
    pub decision: Option<Decision>,
}

fn in_words<S: Serializer>(stream: &Stream, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(stream)
}

/// Which writes to read: the latest first.
#[derive(Clone, Debug)]
pub struct WritePage {
    pub states: Vec<&'static str>,
    /// None: of every stream.
    pub stream: Option<Stream>,
    /// Only earlier ones; `None`: from the latest on.
    pub before: Option<Seq>,
    pub limit: u32,
}

impl WritePage {
    /// The states of a word that operators use.
    pub fn states(word: &str) -> Option<Vec<&'static str>> {
        const ALL: [&str; 4] = ["pending", "failed", "rejected", "completed"];
        match word {
            "unfinished" => Some(ALL[..3].to_vec()),
            "all" => Some(ALL.to_vec()),
            _ => ALL.into_iter().find(|state| *state == word).map(|state| vec![state]),
        }
    }
}

/// How far a node was when that was written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flushed {
    pub node: String,
    /// Every record entry up to here is applied.
    pub applied: Seq,
    /// Every catalog entry up to here is applied.
    pub catalog: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_states_are_those_of_the_table() {
        assert_eq!(WritePage::states("failed"), Some(vec!["failed"]));
        assert_eq!(WritePage::states("unfinished").map(|states| states.len()), Some(3));
        assert_eq!(WritePage::states("all").map(|states| states.len()), Some(4));
        assert_eq!(WritePage::states("lost"), None);
        assert_eq!(LetterPage::state("resolved"), Some(Some(LetterState::Resolved)));
        assert_eq!(LetterPage::state("all"), Some(None));
        assert_eq!(LetterPage::state("failed"), None);
    }

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
