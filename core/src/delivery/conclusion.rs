//! What becomes of a task once the node has answered, or has not: what must be durable first, what the
//! sequencer, the client and health are told. An outcome that must be durable is claimed, and from then on
//! it is recorded until that is known to have worked or somebody else has the say.

use std::sync::Arc;
use std::time::Duration;

use super::{Attempt, CatalogFound, End, Found, Input, Next, Stage};
use crate::answer::Answer;
use crate::entry::{Entry, Op};
use crate::health::{Failure, Observation};
use crate::port::{Change, StoreError};
use crate::sequencer::{Blame, CatalogOutcome, Outcome, Role, Shared};

/// What was concluded from a finding.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    /// To be made durable before the outcome counts.
    pub(super) changes: Vec<Change>,
    pub(super) answer: Option<Answer>,
    pub(super) failure: Option<Failure>,
    pub(super) trouble: Option<String>,
    pub(super) observation: Option<Observation>,
    pub(super) retry_in: Option<Duration>,
    /// What went wrong under the entry.
    pub(super) blame: Option<Blame>,
    /// How often the log refused the changes for good.
    pub(super) refusals: u32,
}

impl Verdict {
    pub(super) fn new(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            changes: Vec::new(),
            answer: None,
            failure: None,
            trouble: None,
            observation: None,
            retry_in: None,
            blame: None,
            refusals: 0,
        }
    }

    /// The node judged.
    pub(super) fn judged(outcome: Outcome, changes: Vec<Change>, answer: Answer) -> Verdict {
        let observation = Some(Observation::RequestOk);
        Verdict { changes, answer: Some(answer), observation, ..Verdict::new(outcome) }
    }
}

impl Attempt {
    pub(super) fn conclude(&mut self, sequencer: &Shared, now_ms: u64, found: Found) -> Next {
        let mut verdict = self.verdict(sequencer, now_ms, found);
        self.observation = verdict.observation.take();
        if let (Some(blame), Some(entry)) = (verdict.blame, self.task.entries.first()) {
            sequencer.lock().blame(self.ticket(), self.task.role, entry, blame);
        }
        verdict.changes.extend(self.kept_outcomes(&verdict));
        if verdict.changes.is_empty() {
            return self.finish(sequencer, verdict);
        }
        if !sequencer.lock().claim(self.ticket()) {
            return self.late(verdict);
        }
        self.record(Box::new(verdict), 0)
    }

    /// A client with a key is told the same whenever it asks, so its answer is durable before it hears it.
    pub(super) fn kept_outcomes(&self, verdict: &Verdict) -> Vec<Change> {
        let Some(answer) = verdict.answer.as_ref().filter(|_| self.task.role == Role::Acting) else {
            return Vec::new();
        };
        let told = self.task.entries.iter().zip(self.answers(answer));
        let keyed = told.filter(|(entry, _)| entry.is_keyed());
        keyed.map(|(entry, answer)| Change::Outcome { seq: entry.seq, answer }).collect()
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

    fn record(&mut self, verdict: Box<Verdict>, failures: u32) -> Next {
        let changes = verdict.changes.clone();
        self.stage = Stage::Committing { verdict, failures };
        Next::Record(changes)
    }

    /// A delivery that ends without an outcome, by a panic or because it was dropped: what it sent may be
    /// executed at any later time. Health is to be told, or the lane waits for ever.
    pub fn abandon(&mut self, sequencer: &Shared) {
        self.finish(sequencer, Verdict::new(Outcome::InDoubt));
    }

    fn finish(&mut self, sequencer: &Shared, verdict: Verdict) -> Next {
        let counts = sequencer.lock().finish(self.ticket(), &self.task.entries, verdict.outcome.clone());
        Next::Done(Box::new(self.end(verdict, counts)))
    }

    fn late(&self, verdict: Verdict) -> Next {
        Next::Done(Box::new(self.end(verdict, false)))
    }

    fn end(&self, verdict: Verdict, counts: bool) -> End {
        let Verdict { outcome, answer, failure, trouble, retry_in, .. } = verdict;
        let answer = answer.filter(|_| counts && self.task.role == Role::Acting);
        let answers = answer.map_or_else(Vec::new, |answer| self.answers(&answer));
        let run_end = self.task.end;
        End { outcome, counts, answers, run_end, failure, trouble, retry_in, tally: self.counted() }
    }

    fn verdict(&self, sequencer: &Shared, now_ms: u64, found: Found) -> Verdict {
        let applied = || Outcome::Applied(CatalogOutcome::default());
        match found {
            Found::Split => {
                Verdict { observation: Some(Observation::RequestOk), ..Verdict::new(Outcome::Split) }
            }
            // Whose fault it is, is asked once each goes alone.
            Found::Failed(failure, answer) if self.is_run() => {
                self.troubled(now_ms, failure, answer.as_ref())
            }
            Found::Gone => Verdict::judged(applied(), Vec::new(), Answer::accepted(Op::Update, 0)),
            Found::Done { answer, catalog: None } => {
                let mut changes = self.letter_closed(sequencer);
                changes.extend(self.hard_won(sequencer));
                Verdict::judged(applied(), changes, answer)
            }
            Found::Done { answer, catalog: Some(found) } => {
                let mut changes = self.catalog_changes(&found);
                changes.extend(self.letter_closed(sequencer));
                let CatalogFound { effect, moves, mapped } = *found;
                let outcome = CatalogOutcome { effect: Some(effect), moves, mapped };
                Verdict::judged(Outcome::Applied(outcome), changes, answer)
            }
            Found::Refused(answer) if self.has_lost(sequencer, &answer) => {
                let reason = "the node answers that it has no such collection".to_owned();
                Verdict::new(Outcome::Quarantine { reason })
            }
            Found::Refused(answer) if self.task.role == Role::Acting => self.rejected(sequencer, answer),
            Found::Refused(answer) => self.refused_by_follower(sequencer, now_ms, &answer),
            Found::Failed(failure, answer) => self.failed(sequencer, now_ms, failure, answer),
            Found::Unread(answer) => self.unread(now_ms, &answer),
            Found::LogAway => self.retry(now_ms),
        }
    }

    /// Accepted after nodes had failed under it.
    fn hard_won(&self, sequencer: &Shared) -> Vec<Change> {
        let sequencer = sequencer.lock();
        let won = |entry: &&Arc<Entry>| sequencer.is_under_suspicion(self.node, entry);
        let entries = self.task.entries.iter().filter(|_| self.task.role == Role::Acting);
        entries.filter(won).map(|entry| Change::Accepted { seq: entry.seq }).collect()
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

    pub(super) fn retry(&self, now_ms: u64) -> Verdict {
        let (delay, until_ms) = self.again(now_ms);
        Verdict { retry_in: Some(delay), ..Verdict::new(Outcome::Retry { until_ms }) }
    }

    /// How long to wait for the next attempt, and until when.
    pub(super) fn again(&self, now_ms: u64) -> (Duration, u64) {
        let delay = self.terms.backoff.delay(self.task.attempts, share(self.task.generation, now_ms));
        (delay, now_ms + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Chance enough to spread retries, without a generator.
fn share(a: u64, b: u64) -> f64 {
    let mixed = (a ^ b).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    f64::from(u16::try_from(mixed).unwrap_or(u16::MAX)) / f64::from(u16::MAX)
}
