//! Carries one task out: asks the node, makes durable what must be, tells health and the client. Which
//! request comes next and what an answer means is decided in `core` (`delivery`). Up to the claim it can
//! be dropped at any await; after it, it runs to its end.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::backoff::Backoff;
use chroma_ha_core::delivery::{Attempt, End, Input, Next, Terms};
use chroma_ha_core::health::{Failure, Observation};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{Change, LogStore, Node, NodeFault, StoreError};
use chroma_ha_core::sequencer::{Outcome, Role, Task};
use tokio::time::Instant;

use super::copy::Conflict;
use super::peer::{Peer, PeerError, Trusted};
use super::trail::Trail;
use crate::board::{Board, Verdict};
use crate::health::Observed;
use crate::slack::Raise;
use crate::stats::Stats;
use crate::wal::{Record, WalActor};

/// Everything that delivering to one node needs.
#[derive(Clone)]
pub struct Delivery {
    pub node: NodeId,
    /// Every node, by place: copies read from the others.
    pub ports: Arc<[Arc<dyn Node>]>,
    /// Read only: what is recorded goes through `wal`.
    pub log: Arc<dyn LogStore>,
    pub board: Arc<Board>,
    /// Of the lease under which the task was handed out.
    pub epoch: u64,
    pub wal: Addr<WalActor>,
    pub health: Recipient<Observed>,
    pub stats: Arc<Stats>,
    pub backoff: Backoff,
    /// How long the node may take for one request.
    pub timeout: Duration,
    /// Refusals of an accepted entry, or server errors from every candidate, until we give up.
    pub attempts: u32,
    pub conflict: Conflict,
    /// The metadata that names a record's document; `None`: deletions are not converted.
    pub deletion_key: Option<Arc<str>>,
    pub alerts: Recipient<Raise>,
}

impl Delivery {
    pub fn peer(&self, node: NodeId) -> Peer<'_> {
        Peer { port: &*self.ports[node.0], timeout: self.timeout, trusted: None }
    }

    /// Asked only as long as it keeps the standing that it has lost so often before.
    pub fn source(&self, node: NodeId, losses: u64) -> Peer<'_> {
        Peer { trusted: Some(Trusted { board: &self.board, node, losses }), ..self.peer(node) }
    }

    fn terms(&self) -> Terms {
        Terms {
            timeout: self.timeout,
            attempts: self.attempts,
            backoff: self.backoff,
            deletion_key: self.deletion_key.clone(),
        }
    }

    /// `losses`: how often the node had lost its standing when the task was handed out.
    pub async fn run(self, task: Task, losses: u64) {
        let trail = Trail::begin(self.node, &task);
        let attempt = Attempt::new(self.node, task, self.terms());
        let mut open = Open { delivery: &self, attempt, trail, closed: false };
        let end = open.drive(losses).await;
        open.closed = true;
        drop(open);
        let Some(end) = end else { return };
        self.board.wake_all();
        if let Some(delay) = end.retry_in {
            tokio::time::sleep(delay).await;
            self.board.wake(self.node);
        }
    }

    /// Does what comes next.
    async fn perform(&self, next: Next, trail: &Trail) -> ControlFlow<End, Input> {
        ControlFlow::Continue(match next {
            Next::Ask(request) => Input::Answer(self.ports[self.node.0].call(trail.marked(request)).await),
            Next::Record(changes) => Input::Recorded(self.record(changes).await),
            Next::Wait(delay) => {
                tokio::time::sleep(delay).await;
                Input::Waited
            }
            Next::Done(end) => return ControlFlow::Break(*end),
        })
    }

    pub async fn record(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let stopped = |error: MailboxError| Err(StoreError::Unavailable(error.to_string()));
        self.wal.send(Record { epoch: self.epoch, changes }).await.unwrap_or_else(stopped)
    }

    /// Health hears of a change without an answer: nothing else is sent there before the node has settled.
    pub fn leave_in_doubt(&self, error: &PeerError) -> bool {
        let PeerError::InDoubt { fault, .. } = error else { return false };
        self.observe(Observation::ApplyFailed(Failure::Fault(fault.clone())));
        true
    }

    /// Nobody waits any more for the answer to what was sent.
    pub fn broke_off(&self) {
        let fault = NodeFault::Lost("a request was broken off here".to_owned());
        self.observe(Observation::ApplyFailed(Failure::Fault(fault)));
    }

    fn observe(&self, observation: Observation) {
        let in_doubt =
            matches!(&observation, Observation::ApplyFailed(Failure::Fault(fault)) if fault.in_doubt());
        let observed = Observed { node: self.node, observation };
        if in_doubt {
            // Never to be missed: the lane waits until the node has settled.
            self.health.do_send(observed);
        } else {
            let _ = self.health.try_send(observed);
        }
    }

    /// Tells the client and the figures how the task ended.
    fn tell(&self, task: &Task, end: &End, took: Duration) {
        for (entry, answer) in task.entries.iter().zip(&end.answers) {
            self.board.answer(entry.seq, Verdict::Answer(answer.clone()));
        }
        if let Outcome::Applied(_) = &end.outcome {
            self.stats.nodes.apply(&self.node.name(), role(task), took, task.entries.len(), end.run_end);
        }
        if end.counts {
            self.tell_conversion(task, end.tally);
            self.tell_if_refused(task, &end.outcome);
        }
        if let (Some(trouble), Some(entry)) = (&end.trouble, task.entries.first()) {
            self.board.attempts.note(entry.seq, task.attempts + 1, trouble);
        }
    }
}

/// As figures and lines name it.
pub(super) fn role(task: &Task) -> &'static str {
    if task.role == Role::Acting { "acting" } else { "following" }
}

/// A task that ends without an outcome, by a panic or a dropped future, must not block its lane.
struct Open<'a> {
    delivery: &'a Delivery,
    attempt: Attempt,
    trail: Trail,
    closed: bool,
}

impl Open<'_> {
    /// Step by step to the end. `None`: the node lost its standing, and the lane knows.
    async fn drive(&mut self, losses: u64) -> Option<End> {
        let delivery = self.delivery;
        let mut lost = pin!(delivery.board.lost(delivery.node, losses));
        let started = Instant::now();
        let mut answered_after = Duration::ZERO;
        let mut input = Input::Begin;
        loop {
            if let Input::Answer(answer) = &input {
                answered_after = started.elapsed();
                self.trail.answered(answer);
            }
            let next = self.attempt.next(delivery.board.shared(), delivery.board.now_ms(), input);
            if let Some(observation) = self.attempt.take_observation() {
                delivery.observe(observation);
            }
            let committing = self.attempt.is_committing();
            let done = tokio::select! {
                biased;
                () = &mut lost, if !committing && !matches!(next, Next::Done(_)) => {
                    self.trail.tell(self.attempt.task(), None);
                    return None;
                }
                done = delivery.perform(next, &self.trail) => done,
            };
            input = match done {
                ControlFlow::Continue(input) => input,
                ControlFlow::Break(end) => {
                    delivery.tell(self.attempt.task(), &end, answered_after);
                    self.trail.tell(self.attempt.task(), Some(&end));
                    return Some(end);
                }
            };
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.closed {
            let board = &self.delivery.board;
            self.attempt.abandon(board.shared());
            self.delivery.broke_off();
            board.wake(self.delivery.node);
        }
    }
}
