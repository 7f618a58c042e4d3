//! What if a follower refuses what was accepted? It is asked a few times; then the entry is a dead letter
//! on that node, until the node has taken it after all or the collection was copied to it.

use super::Attempt;
use super::conclusion::Verdict;
use crate::answer::Answer;
use crate::entry::Entry;
use crate::ids::Stream;
use crate::operator::{Closing, DeadLetter, Letters};
use crate::port::Change;
use crate::sequencer::{Outcome, Shared};

/// Longest text of a refusal that is kept.
const REASON_CHARS: usize = 500;

impl Attempt {
    pub(super) fn refused_by_follower(&self, sequencer: &Shared, now_ms: u64, answer: &Answer) -> Verdict {
        let text: String = String::from_utf8_lossy(&answer.body).chars().take(REASON_CHARS).collect();
        let refusal = format!("{} {text}", answer.status);
        let again = Verdict { trouble: Some(refusal.clone()), ..self.retry(now_ms) };
        let last = self.task.attempts + 1 >= self.terms.attempts;
        let (Some(entry), Outcome::Retry { until_ms }) =
            (self.task.entries.first().filter(|_| last), &again.outcome)
        else {
            return again;
        };
        let (stream, until_ms) = (self.task.stream, *until_ms);
        // The catalog cannot be copied anew: it is told once, and tried until it works.
        let told = sequencer.lock().node(self.node).letter(stream) == Some(entry.seq);
        if stream == Stream::Catalog && told {
            return again;
        }
        let reason = format!("entry {} was answered {refusal}", entry.seq);
        let changes = self.letter_opened(entry, refusal, &reason);
        Verdict { changes, outcome: Outcome::DeadLetter { reason, until_ms }, ..again }
    }

    /// What becomes durable when the node has refused an accepted entry often enough.
    fn letter_opened(&self, entry: &Entry, refusal: String, reason: &str) -> Vec<Change> {
        let letter = DeadLetter {
            node: self.node.name(),
            seq: entry.seq,
            write_id: entry.draft.write_id.clone(),
            collection: entry.collection(),
            op: entry.draft.op,
            reason: refusal,
            attempts: self.task.attempts + 1,
        };
        let aside = |collection| Change::Quarantined {
            node: self.node.name(),
            collection,
            reason: Some(reason.to_owned()),
        };
        let aside = entry.collection().map(aside);
        std::iter::once(Change::DeadLetter { letter }).chain(aside).collect()
    }

    /// The node took an entry that it had refused.
    pub(super) fn letter_closed(&self, sequencer: &Shared) -> Vec<Change> {
        let Some(entry) = self.task.entries.first() else { return Vec::new() };
        if sequencer.lock().node(self.node).letter(self.task.stream) != Some(entry.seq) {
            return Vec::new();
        }
        let node = self.node.name();
        let letters = Letters::Entry(entry.seq);
        let closed = Change::LettersClosed { node: node.clone(), letters, how: Closing::Applied };
        let lifted = |collection| Change::Quarantined { node, collection, reason: None };
        std::iter::once(closed).chain(entry.collection().map(lifted)).collect()
    }
}
