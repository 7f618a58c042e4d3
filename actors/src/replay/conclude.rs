//! What becomes of a task once the node has answered, or has not: made durable where it must be, told to
//! the sequencer, to the client and to health.

use std::time::Duration;

use chroma_ha_core::entry::{Entry, Op};
use chroma_ha_core::health::{Failure, Observation};
use chroma_ha_core::ids::{NodeId, Stream};
use chroma_ha_core::port::Change;
use chroma_ha_core::sequencer::{CatalogOutcome, Outcome, Role, Task, Ticket};
use tracing::{debug, warn};

use super::apply::{Delivery, Found, empty_answer};
use super::catalog;
use crate::board::{Answer, Verdict};
use crate::health::Observed;

impl Delivery {
    /// Makes the outcome durable where it must be, tells the sequencer and the client. Returns how
    /// long to wait before the lane is looked at again.
    pub(super) async fn conclude(&self, task: &Task, ticket: Ticket, found: Found) -> Option<Duration> {
        match found {
            Found::Gone => {
                self.observe(Observation::RequestOk);
                let answer = empty_answer(Op::Update);
                self.finish(task, ticket, Outcome::Applied(CatalogOutcome::default()), Some(answer));
                None
            }
            Found::Done { answer, catalog: None } => {
                self.observe(Observation::RequestOk);
                self.finish(task, ticket, Outcome::Applied(CatalogOutcome::default()), Some(answer));
                None
            }
            Found::Done { answer, catalog: Some(found) } => {
                self.observe(Observation::RequestOk);
                let changes = catalog::changes(self.node, task, &found);
                self.commit(task, ticket, changes, Outcome::Applied(found.outcome), answer).await
            }
            Found::Refused(answer) if self.has_lost(task, &answer) => {
                let text = "the node answers that it has no such collection".to_owned();
                warn!(node = %self.node, stream = %task.stream, "{text}: it is copied anew");
                self.finish(task, ticket, Outcome::Quarantine { reason: text }, None);
                None
            }
            Found::Refused(answer) if task.role == Role::Acting => {
                self.observe(Observation::RequestOk);
                let changes = task.entries.iter().map(|e| rejected(e, &answer)).collect();
                self.commit(task, ticket, changes, Outcome::Rejected, answer).await
            }
            Found::Refused(answer) => self.refused_by_follower(task, ticket, &answer),
            Found::Failed(Failure::Fault(fault), _) if fault.in_doubt() => {
                debug!(node = %self.node, stream = %task.stream, %fault, "the outcome is in doubt");
                self.finish(task, ticket, Outcome::InDoubt, None);
                // Never to be missed: the lane waits until the node has settled.
                let observation = Observation::ApplyFailed(Failure::Fault(fault));
                self.health.do_send(Observed { node: self.node, observation });
                None
            }
            Found::Failed(failure, answer) => {
                self.observe(Observation::ApplyFailed(failure.clone()));
                match answer.filter(|_| task.role == Role::Acting && task.attempts + 1 >= self.attempts) {
                    // Asked often enough: the node's own error is the verdict.
                    Some(answer) => {
                        let changes = task.entries.iter().map(|e| rejected(e, &answer)).collect();
                        self.commit(task, ticket, changes, Outcome::Rejected, answer).await
                    }
                    None => {
                        debug!(node = %self.node, stream = %task.stream, %failure, "apply failed");
                        self.retry(task, ticket)
                    }
                }
            }
            Found::LogAway => self.retry(task, ticket),
        }
    }

    /// The acting node denies a collection that exists elsewhere: it lost it unnoticed, which is no verdict.
    fn has_lost(&self, task: &Task, answer: &Answer) -> bool {
        let Stream::Collection(id) = task.stream else { return false };
        let sequencer = self.board.sequencer();
        let elsewhere = |node: NodeId| {
            let held = sequencer.node_collection(node, id).is_some();
            node != self.node && held && !sequencer.node(node).is_quarantined(task.stream)
        };
        answer.status == 404
            && task.role == Role::Acting
            && sequencer.catalog.collection(id).is_some()
            && sequencer.node_ids().any(elsewhere)
    }

    async fn commit(
        &self,
        task: &Task,
        ticket: Ticket,
        changes: Vec<Change>,
        outcome: Outcome,
        answer: Answer,
    ) -> Option<Duration> {
        if !self.board.sequencer().claim(ticket) {
            return None;
        }
        // A failed record may have been committed: nothing else may be decided until that is known.
        for attempt in 0.. {
            if self.record(changes.clone()).await.is_ok() {
                self.finish(task, ticket, outcome, Some(answer));
                return None;
            }
            tokio::time::sleep(self.backoff.delay(attempt, 1.0)).await;
            if !self.board.sequencer().claimed(ticket) {
                return None;
            }
        }
        None
    }

    fn refused_by_follower(&self, task: &Task, ticket: Ticket, answer: &Answer) -> Option<Duration> {
        let seq = task.entries.first().map(|e| e.seq).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
        // The catalog cannot be copied anew: it is tried until it works or an operator steps in.
        if task.attempts + 1 < self.attempts || task.stream == Stream::Catalog {
            return self.retry(task, ticket);
        }
        warn!(node = %self.node, stream = %task.stream, %seq, status = answer.status, %text,
            "the node refuses an accepted write: the collection is quarantined there");
        let reason = format!("entry {seq} was answered {}: {text}", answer.status);
        self.finish(task, ticket, Outcome::Quarantine { reason }, None);
        None
    }

    pub(super) fn retry(&self, task: &Task, ticket: Ticket) -> Option<Duration> {
        let delay = self.backoff.delay(task.attempts, rand_share(ticket.generation, self.board.now_ms()));
        let until_ms = self.board.now_ms() + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.finish(task, ticket, Outcome::Retry { until_ms }, None);
        Some(delay)
    }

    fn finish(&self, task: &Task, ticket: Ticket, outcome: Outcome, answer: Option<Answer>) {
        let took = self.board.sequencer().finish(ticket, &task.entries, outcome);
        if let (true, Role::Acting, Some(answer)) = (took, task.role, answer) {
            for entry in &task.entries {
                self.board.answer(entry.seq, Verdict::Answer(answer.clone()));
            }
        }
    }

    fn observe(&self, observation: Observation) {
        let _ = self.health.try_send(Observed { node: self.node, observation });
    }
}

fn rejected(entry: &Entry, answer: &Answer) -> Change {
    let text: String = String::from_utf8_lossy(&answer.body).chars().take(500).collect();
    Change::Rejected { seq: entry.seq, reason: format!("{} {text}", answer.status) }
}

/// Chance enough to spread retries, without a generator.
fn rand_share(a: u64, b: u64) -> f64 {
    let mixed = (a ^ b).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    f64::from(u16::try_from(mixed).unwrap_or(u16::MAX)) / f64::from(u16::MAX)
}
