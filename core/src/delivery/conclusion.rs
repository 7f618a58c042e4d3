//! What becomes of a task once the node has answered, or has not: what must be durable first, what the
//! sequencer, the client and health are told. An outcome that must be durable is claimed, and from then on
//! it is recorded until that is known to have worked or somebody else has the say.

use std::sync::Arc;
use std::time::Duration;

use super::record::empty_answer;
use super::{Attempt, CatalogFound, End, Found, Input, Next, Stage};
use crate::answer::Answer;
use crate::entry::{Entry, Op};
use crate::health::{Failure, Observation};
use crate::ids::{NodeId, Stream};
use crate::port::{Change, StoreError};
use crate::sequencer::{CatalogOutcome, Outcome, Role, Shared};

/// What was concluded from a finding.
#[derive(Debug)]
pub(super) struct Verdict {
    outcome: Outcome,
    /// To be made durable before the outcome counts.
    changes: Vec<Change>,
    answer: Option<Answer>,
    failure: Option<Failure>,
    observation: Option<Observation>,
    retry_in: Option<Duration>,
    /// The entry may be to blame for a failure; true: it is.
    blame: Option<bool>,
    /// How often the log refused the changes for good.
    refusals: u32,
}

impl Verdict {
    fn new(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            changes: Vec::new(),
            answer: None,
            failure: None,
            observation: None,
            retry_in: None,
            blame: None,
            refusals: 0,
        }
    }

    /// The node judged.
    fn judged(outcome: Outcome, changes: Vec<Change>, answer: Answer) -> Verdict {
        let observation = Some(Observation::RequestOk);
        Verdict { changes, answer: Some(answer), observation, ..Verdict::new(outcome) }
    }
}

impl Attempt {
    pub(super) fn conclude(&mut self, sequencer: &Shared, now_ms: u64, found: Found) -> Next {
        let mut verdict = self.verdict(sequencer, now_ms, found);
        self.observation = verdict.observation.take();
        if let (Some(own), Some(entry)) = (verdict.blame, self.task.entries.first()) {
            sequencer.lock().blame(self.ticket(), self.task.role, entry, own);
        }
        if verdict.changes.is_empty() {
            return self.finish(sequencer, verdict);
        }
        if !sequencer.lock().claim(self.ticket()) {
            return self.late(verdict);
        }
        self.record(Box::new(verdict), 0)
    }

    /// A failed record may have been committed: nothing else may be decided until that is known.
    pub(super) fn committing(
        &mut self,
        sequencer: &Shared,
        mut verdict: Box<Verdict>,
        failures: u32,
        input: &Input,
    ) -> Next {
        match input {
            Input::Recorded(Ok(())) => self.finish(sequencer, *verdict),
            Input::Recorded(Err(error)) => {
                if let StoreError::Refused(reason) = error {
                    verdict.refusals += 1;
                    self.give_up(&mut verdict, reason);
                }
                self.stage = Stage::Committing { verdict, failures: failures + 1 };
                Next::Wait(self.terms.backoff.delay(failures, 1.0))
            }
            _ if sequencer.lock().claimed(self.ticket()) => self.record(verdict, failures),
            _ => self.late(*verdict),
        }
    }

    /// What the log refuses for good would block the lane for ever: the entry is rejected instead, with the
    /// reason. On the acting node only: a follower must apply it, and is seen to be behind.
    fn give_up(&self, verdict: &mut Verdict, reason: &str) {
        let acting = self.task.role == Role::Acting && !matches!(verdict.outcome, Outcome::Rejected);
        if acting && verdict.refusals >= self.terms.attempts {
            let answer = unkeepable(reason);
            verdict.changes = self.rejections(&answer);
            (verdict.outcome, verdict.answer) = (Outcome::Rejected, Some(answer));
        }
    }

    fn record(&mut self, verdict: Box<Verdict>, failures: u32) -> Next {
        let changes = verdict.changes.clone();
        self.stage = Stage::Committing { verdict, failures };
        Next::Record(changes)
    }

    /// A delivery that ends without an outcome, by a panic or because it was dropped, must not block its
    /// lane.
    pub fn abandon(&mut self, sequencer: &Shared, now_ms: u64) {
        let verdict = self.retry(now_ms);
        self.finish(sequencer, verdict);
    }

    fn finish(&mut self, sequencer: &Shared, verdict: Verdict) -> Next {
        let counts = sequencer.lock().finish(self.ticket(), &self.task.entries, verdict.outcome.clone());
        Next::Done(self.end(verdict, counts))
    }

    fn late(&self, verdict: Verdict) -> Next {
        Next::Done(self.end(verdict, false))
    }

    fn end(&self, verdict: Verdict, counts: bool) -> End {
        let Verdict { outcome, answer, failure, retry_in, .. } = verdict;
        let answer = answer.filter(|_| counts && self.task.role == Role::Acting);
        End { outcome, counts, answer, failure, retry_in }
    }

    fn verdict(&self, sequencer: &Shared, now_ms: u64, found: Found) -> Verdict {
        let applied = || Outcome::Applied(CatalogOutcome::default());
        match found {
            Found::Gone => Verdict::judged(applied(), Vec::new(), empty_answer(Op::Update)),
            Found::Done { answer, catalog: None } => Verdict::judged(applied(), Vec::new(), answer),
            Found::Done { answer, catalog: Some(found) } => {
                let changes = self.catalog_changes(&found);
                let CatalogFound { effect, moves, mapped } = *found;
                let outcome = CatalogOutcome { effect: Some(effect), moves, mapped };
                Verdict::judged(Outcome::Applied(outcome), changes, answer)
            }
            Found::Refused(answer) if self.has_lost(sequencer, &answer) => {
                let reason = "the node answers that it has no such collection".to_owned();
                Verdict::new(Outcome::Quarantine { reason })
            }
            Found::Refused(answer) if self.task.role == Role::Acting => self.rejected(sequencer, answer),
            Found::Refused(answer) => self.refused_by_follower(now_ms, &answer),
            Found::Failed(failure, answer) => self.failed(sequencer, now_ms, failure, answer),
            Found::LogAway => self.retry(now_ms),
        }
    }

    /// What becomes durable with a catalog entry on this node.
    fn catalog_changes(&self, found: &CatalogFound) -> Vec<Change> {
        let node = || self.node.name();
        let mut changes = Vec::new();
        for Entry { seq, .. } in self.task.entries.iter().map(Arc::as_ref) {
            if self.task.role == Role::Acting {
                let (effect, moves) = (found.effect.clone(), found.moves.clone());
                changes.push(Change::CatalogAccepted { seq: *seq, effect, moves });
            }
            changes.push(Change::CatalogCursor { node: node(), seq: *seq });
        }
        if let Some((collection, node_collection)) = found.mapped {
            changes.push(Change::Mapped { node: node(), collection, node_collection });
            if node_collection.is_none() {
                // What a copy left went with it.
                changes.push(Change::Copying { node: node(), collection, node_collection });
            }
        }
        changes
    }

    /// The acting node denies a collection that exists elsewhere: it lost it unnoticed, which is no verdict.
    fn has_lost(&self, sequencer: &Shared, answer: &Answer) -> bool {
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

    fn rejected(&self, sequencer: &Shared, answer: Answer) -> Verdict {
        let mut changes = self.rejections(&answer);
        changes.extend(self.set_aside(sequencer));
        Verdict::judged(Outcome::Rejected, changes, answer)
    }

    fn rejections(&self, answer: &Answer) -> Vec<Change> {
        let text: String = String::from_utf8_lossy(&answer.body).chars().take(500).collect();
        let reason = format!("{} {text}", answer.status);
        let change = |entry: &Arc<Entry>| Change::Rejected { seq: entry.seq, reason: reason.clone() };
        self.task.entries.iter().map(change).collect()
    }

    /// A node that was tried before this one may have applied what is rejected now: its collection is
    /// copied anew.
    fn set_aside(&self, sequencer: &Shared) -> Vec<Change> {
        let (Stream::Collection(collection), Some(entry)) = (self.task.stream, self.task.entries.first())
        else {
            return Vec::new();
        };
        let tried = sequencer.lock().also_tried(self.node, entry);
        let reason = format!("it may hold entry {}, which was rejected", entry.seq);
        let aside = |node: NodeId| Change::Quarantined {
            node: node.name(),
            collection,
            reason: Some(reason.clone()),
        };
        tried.into_iter().map(aside).collect()
    }

    fn failed(&self, sequencer: &Shared, now_ms: u64, failure: Failure, answer: Option<Answer>) -> Verdict {
        let own = failure == Failure::Status(500);
        let in_doubt = matches!(&failure, Failure::Fault(fault) if fault.in_doubt());
        let counts = own || in_doubt && sequencer.lock().is_alone(self.ticket());
        let last = counts && self.task.failures + 1 >= self.terms.attempts;
        let observation = Some(Observation::ApplyFailed(failure.clone()));
        let verdict = match (self.task.role, self.task.stream, answer) {
            // Asked often enough: the node's own error is the verdict.
            (Role::Acting, Stream::Catalog, Some(answer)) if last => self.rejected(sequencer, answer),
            (Role::Following, Stream::Collection(_), _) if last => {
                let seq = self.task.entries.first().map(|e| e.seq).unwrap_or_default();
                Verdict::new(Outcome::Quarantine { reason: format!("entry {seq}: {failure}") })
            }
            _ => Verdict { failure: Some(failure), ..self.retry(now_ms) },
        };
        Verdict { observation, blame: (own || in_doubt).then_some(own), ..verdict }
    }

    fn refused_by_follower(&self, now_ms: u64, answer: &Answer) -> Verdict {
        // The catalog cannot be copied anew: it is tried until it works or an operator steps in.
        if self.task.failures + 1 < self.terms.attempts || self.task.stream == Stream::Catalog {
            return Verdict { blame: Some(true), ..self.retry(now_ms) };
        }
        let seq = self.task.entries.first().map(|e| e.seq).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
        let reason = format!("entry {seq} was answered {}: {text}", answer.status);
        Verdict::new(Outcome::Quarantine { reason })
    }

    fn retry(&self, now_ms: u64) -> Verdict {
        let delay = self.terms.backoff.delay(self.task.attempts, share(self.task.generation, now_ms));
        let until_ms = now_ms + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Verdict { retry_in: Some(delay), ..Verdict::new(Outcome::Retry { until_ms }) }
    }
}

/// PostgreSQL refuses to store what would have to be durable first.
pub(super) fn unkeepable(reason: &str) -> Answer {
    let message = format!("the log cannot keep the outcome of this write, so it was rejected: {reason}");
    Answer::json(500, serde_json::json!({ "error": "InternalError", "message": message }).to_string())
}

/// Chance enough to spread retries, without a generator.
fn share(a: u64, b: u64) -> f64 {
    let mixed = (a ^ b).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    f64::from(u16::try_from(mixed).unwrap_or(u16::MAX)) / f64::from(u16::MAX)
}
