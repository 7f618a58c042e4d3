//! What follows when the acting node refuses, when a node fails, or the log does: a verdict on the entry, or
//! trouble that is tried again? Who is to blame is counted in `suspicion`.

use std::sync::Arc;

use uuid::Uuid;

use super::Attempt;
use super::conclusion::Verdict;
use crate::answer::Answer;
use crate::entry::Entry;
use crate::health::{Failure, Observation};
use crate::ids::{NodeId, Stream};
use crate::port::{Change, NodeFault};
use crate::sequencer::{Blame, Hindrance, Outcome, Role, Shared};

/// Longest text of an answer that is kept.
const REASON_CHARS: usize = 500;

impl Attempt {
    /// What the log refuses for good would block the lane for ever: the entry is rejected instead, with the
    /// reason. On the acting node only: a follower must apply it, and is seen to be behind.
    pub(super) fn give_up(&self, verdict: &mut Verdict, reason: &str) {
        let acting = self.task.role == Role::Acting && !matches!(verdict.outcome, Outcome::Rejected);
        if acting && verdict.refusals >= self.terms.attempts {
            let answer = unkeepable(reason);
            verdict.changes = self.rejections(&answer);
            (verdict.outcome, verdict.answer) = (Outcome::Rejected, Some(answer));
            verdict.changes.extend(self.kept_outcomes(verdict));
        }
    }

    /// The acting node denies a collection that exists elsewhere: it lost it unnoticed, which is no verdict.
    pub(super) fn has_lost(&self, sequencer: &Shared, answer: &Answer) -> bool {
        let stream = self.task.stream;
        let Stream::Collection(id) = stream else { return false };
        let sequencer = sequencer.lock();
        let elsewhere = |node: NodeId| {
            let held = sequencer.node_collection(node, id).is_some();
            node != self.node && held && !sequencer.node(node).is_quarantined(stream)
        };
        answer.status == 404
            && self.task.role == Role::Acting
            && sequencer.catalog.collection(id).is_some()
            && sequencer.node_ids().any(elsewhere)
    }

    pub(super) fn rejected(&self, sequencer: &Shared, answer: Answer) -> Verdict {
        let mut changes = self.rejections(&answer);
        changes.extend(self.set_aside(sequencer));
        Verdict::judged(Outcome::Rejected, changes, answer)
    }

    fn rejections(&self, answer: &Answer) -> Vec<Change> {
        let reason = told(answer);
        let change = |entry: &Arc<Entry>| Change::Rejected { seq: entry.seq, reason: reason.clone() };
        self.task.entries.iter().map(change).collect()
    }

    fn is_doubtful(&self, sequencer: &Shared) -> bool {
        let doubtful = |entry: &Arc<Entry>| sequencer.lock().is_doubtful(self.node, entry);
        self.task.entries.first().is_some_and(doubtful)
    }

    /// A node that was tried before this one may have applied what is rejected now: its collection is
    /// copied anew.
    fn set_aside(&self, sequencer: &Shared) -> Vec<Change> {
        let (Stream::Collection(collection), Some(entry)) = (self.task.stream, self.task.entries.first())
        else {
            return Vec::new();
        };
        let tried = sequencer.lock().also_tried(self.node, entry);
        let begun = sequencer.lock().begun_copies(self.node, entry);
        let anew = |(node, own): (NodeId, Uuid)| Change::Copying {
            node: node.name(),
            collection,
            node_collection: Some(own),
        };
        let reason = format!("it may hold entry {}, which was rejected", entry.seq);
        let aside = |node: NodeId| Change::Quarantined {
            node: node.name(),
            collection,
            reason: Some(reason.clone()),
        };
        tried.into_iter().map(aside).chain(begun.into_iter().map(anew)).collect()
    }

    pub(super) fn failed(
        &self,
        sequencer: &Shared,
        now_ms: u64,
        failure: Failure,
        answer: Option<Answer>,
    ) -> Verdict {
        let blame = match &failure {
            // Told, but not counted: the node is at fault.
            Failure::Status(400..=500) if self.task.is_promised() => Some(Blame::Silent),
            Failure::Status(500) => Some(Blame::Own),
            // Whether another node applied it is not read, so such an entry is never rejected.
            Failure::Fault(NodeFault::Lost(_)) if self.task.stream == Stream::Catalog => Some(Blame::Silent),
            Failure::Fault(NodeFault::Lost(_)) => Some(Blame::Broke),
            Failure::Fault(NodeFault::Timeout(_)) => Some(Blame::Silent),
            _ => None,
        };
        let alone = || sequencer.lock().is_alone(self.ticket());
        let counts = blame == Some(Blame::Own) || blame == Some(Blame::Broke) && alone();
        let last = counts && self.task.failures + 1 >= self.terms.attempts;
        let again = self.troubled(now_ms, failure, answer.as_ref());
        let observation = again.observation.clone();
        let in_doubt = matches!(again.outcome, Outcome::InDoubt);
        let verdict = match (self.task.role, self.task.stream, answer) {
            // Asked often enough: the node's own error is the verdict.
            (Role::Acting, Stream::Catalog, Some(answer)) if last && !self.is_doubtful(sequencer) => {
                self.rejected(sequencer, answer)
            }
            // After broken connections it is read first whether the node has it; if it falls under that,
            // too, it gets the collection anew. Never where no other node could be copied from.
            (Role::Following, ..) if last && (!in_doubt || self.was_read()) && self.is_spare(sequencer) => {
                self.dead_letter(sequencer, now_ms, again)
            }
            _ => again,
        };
        Verdict { observation, blame, ..verdict }
    }

    /// No judgement: nobody is blamed, and it is tried again, at once or once the node has settled.
    pub(super) fn troubled(&self, now_ms: u64, failure: Failure, answer: Option<&Answer>) -> Verdict {
        let in_doubt = matches!(&failure, Failure::Fault(fault) if fault.in_doubt());
        let next = if in_doubt { Verdict::new(Outcome::InDoubt) } else { self.retry(now_ms) };
        let trouble = answer.map_or_else(|| failure.to_string(), told);
        let observation = Some(Observation::ApplyFailed(failure.clone()));
        Verdict { failure: Some(failure), trouble: Some(trouble), observation, ..next }
    }

    /// The collection could be copied to the node, or cannot be copied at all.
    fn is_spare(&self, sequencer: &Shared) -> bool {
        let Stream::Collection(id) = self.task.stream else { return true };
        !matches!(sequencer.lock().rebuildable(self.node, id), Err(Hindrance::NoSource))
    }

    /// It had failed too often to be sent.
    fn was_read(&self) -> bool {
        self.task.failures >= self.terms.attempts
    }

    /// Tried again, there or elsewhere; who rejects it must not trust that this node lacks it.
    pub(super) fn unread(&self, now_ms: u64, answer: &Answer) -> Verdict {
        let troubled = self.troubled(now_ms, Failure::Status(answer.status), Some(answer));
        Verdict { blame: Some(Blame::Silent), ..troubled }
    }
}

/// What an answer says, as far as it is kept.
pub(super) fn told(answer: &Answer) -> String {
    let text: String = String::from_utf8_lossy(&answer.body).chars().take(REASON_CHARS).collect();
    format!("{} {text}", answer.status)
}

/// PostgreSQL refuses to store what would have to be durable first.
pub(super) fn unkeepable(reason: &str) -> Answer {
    let message = format!("the log cannot keep the outcome of this write, so it was rejected: {reason}");
    Answer::json(500, serde_json::json!({ "error": "InternalError", "message": message }).to_string())
}
