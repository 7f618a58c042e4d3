//! What if a follower refuses what was accepted? It is asked a few times; then the entry is a dead letter
//! on that node, until the node has taken it after all or the collection was copied to it.

use super::Attempt;
use super::conclusion::Verdict;
use super::failure::told;
use crate::answer::Answer;
use crate::entry::Entry;
use crate::ids::Stream;
use crate::operator::{Closing, DeadLetter, Letters};
use crate::port::Change;
use crate::sequencer::{Blame, Outcome, Shared};

impl Attempt {
    pub(super) fn refused_by_follower(&self, sequencer: &Shared, now_ms: u64, answer: &Answer) -> Verdict {
        let refusal = told(answer);
        let again = Verdict { trouble: Some(refusal), blame: Some(Blame::Own), ..self.retry(now_ms) };
        let last = self.task.failures + 1 >= self.terms.attempts;
        if last { self.dead_letter(sequencer, now_ms, again) } else { again }
    }

    /// The node has refused the entry, or failed under it, often enough.
    pub(super) fn dead_letter(&self, sequencer: &Shared, now_ms: u64, again: Verdict) -> Verdict {
        let Some(entry) = self.task.entries.first() else { return again };
        let (stream, (delay, until_ms)) = (self.task.stream, self.again(now_ms));
        // The catalog cannot be copied anew: it is told once, and tried until it works.
        let told = sequencer.lock().node(self.node).letter(stream) == Some(entry.seq);
        if stream == Stream::Catalog && told {
            return again;
        }
        let refusal = again.trouble.clone().unwrap_or_default();
        let reason = format!("entry {} was answered {refusal}", entry.seq);
        let changes = self.letter_opened(entry, refusal, &reason);
        let outcome = Outcome::DeadLetter { reason, until_ms };
        Verdict { changes, outcome, retry_in: Some(delay), ..again }
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
        let letter = sequencer.lock().node(self.node).letter(self.task.stream);
        let Some(entry) = self.task.entries.iter().find(|entry| letter == Some(entry.seq)) else {
            return Vec::new();
        };
        let node = self.node.name();
        let letters = Letters::Entry(entry.seq);
        let closed = Change::LettersClosed { node: node.clone(), letters, how: Closing::Applied };
        let lifted = |collection| Change::Quarantined { node, collection, reason: None };
        std::iter::once(closed).chain(entry.collection().map(lifted)).collect()
    }
}
