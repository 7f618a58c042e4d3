//! Carries one task out, as the replay actor does: the steps are the same, what they await is an event.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chroma_ha_core::backoff::Backoff;
use chroma_ha_core::delivery::{Attempt, End, Input, Next, Terms};
use chroma_ha_core::effect::{self, Send};
use chroma_ha_core::entry::{Decision, Entry};
use chroma_ha_core::health::{Failure, Observation};
use chroma_ha_core::ids::{NodeId, Seq};
use chroma_ha_core::port::{NodeFault, NodeRequest, NodeResponse, StoreError};
use chroma_ha_core::sequencer::{Outcome, Role, Task};
use serde_json::Value;

use super::peer::is_change;
use super::world::{Lost, World};

/// Failures of an entry until it is judged by what the node holds.
pub const ATTEMPTS: u32 = 3;

pub struct Delivery {
    world: Rc<World>,
    node: NodeId,
    attempt: Attempt,
}

impl Delivery {
    pub fn start(world: &Rc<World>, node: NodeId, task: Task) {
        let lost: Lost = Rc::new(Cell::new(Some(node)));
        let terms = Terms {
            timeout: Duration::ZERO,
            attempts: ATTEMPTS,
            backoff: Backoff::default(),
            deletion_key: None,
        };
        let delivery = Delivery { world: Rc::clone(world), node, attempt: Attempt::new(node, task, terms) };
        world.spawn(&Rc::clone(&lost), delivery.run(lost));
    }

    async fn run(mut self, lost: Lost) {
        let mut input = Input::Begin;
        let end = loop {
            let next = self.attempt.next(&self.world.sequencer, self.world.now_ms.get(), input);
            if self.attempt.is_committing() {
                lost.set(None);
            }
            if let Some(Observation::ApplyFailed(Failure::Fault(fault))) = self.attempt.take_observation()
                && fault.in_doubt()
            {
                self.world.servers[self.node.0].suspicion.set(true);
            }
            input = match next {
                Next::Ask(request) => {
                    self.note(&request);
                    let response = self.world.call(self.node, request).await;
                    self.note_failure(&response);
                    Input::Answer(response)
                }
                Next::Record(changes) => {
                    let away = || StoreError::Unavailable("away".to_owned());
                    Input::Recorded(self.world.record(changes).await.then_some(()).ok_or_else(away))
                }
                Next::Wait(delay) => {
                    self.sleep(delay).await;
                    Input::Waited
                }
                Next::Done(end) => break end,
            };
        };
        lost.set(None);
        self.tell(&end);
        self.world.wake_all();
        if let Some(delay) = end.retry_in {
            self.sleep(delay).await;
            self.world.wake(self.node);
        }
    }

    async fn sleep(&self, delay: Duration) {
        self.world.sleep(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)).await;
    }

    /// A request that may change the node.
    fn note(&self, request: &NodeRequest) {
        if is_change(request) {
            self.assert_bounded(request);
            let seqs = self.attempt.task().entries.iter().map(|entry| (self.node, entry.seq));
            self.world.sent.borrow_mut().extend(seqs);
        }
    }

    /// What was made of several entries has no more records than the node takes.
    fn assert_bounded(&self, request: &NodeRequest) {
        let sent = |entry: &&Arc<Entry>| effect::send(entry) != Send::Empty;
        let entries = self.attempt.task().entries.iter().filter(sent).count();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let records = body["ids"].as_array().map_or(0, Vec::len);
        if entries > 1 && self.world.plan.batch_limit.is_some_and(|limit| records > limit) {
            self.world.fail(format!("{}: {records} records of {entries} writes", self.node));
        }
    }

    fn note_failure(&self, response: &Result<NodeResponse, NodeFault>) {
        let failed = match response {
            Ok(response) => response.status == 500,
            Err(fault) => matches!(fault, NodeFault::Lost(_)),
        };
        let task = self.attempt.task();
        if failed && task.role == Role::Acting {
            let mut broke = self.world.broke.borrow_mut();
            task.entries.iter().for_each(|entry| *broke.entry(entry.seq).or_default() += 1);
            let mut fell = self.world.fell.borrow_mut();
            let fallen = task.entries.iter().filter(|_| response.is_err());
            fallen.for_each(|entry| *fell.entry(entry.seq).or_default() += 1);
        }
    }

    fn tell(&self, end: &End) {
        let (world, task) = (&self.world, self.attempt.task());
        let seq = task.entries.first().map(|e| e.seq).unwrap_or_default();
        world.say(|| format!("{} {seq} {:?} counts={} {:?}", self.node, task.role, end.counts, end.outcome));
        let unexpected = match &end.outcome {
            Outcome::Quarantine { reason } => Some(reason),
            // A node may fail under an entry; none refuses what another one took.
            Outcome::DeadLetter { reason, .. } => Some(reason).filter(|reason| reason.contains("answered 4")),
            _ => None,
        };
        let forgot = world.plan.forgetful == Some(self.node);
        if let Some(reason) = unexpected.filter(|_| end.counts && !forgot) {
            world.fail(format!("{} {seq} {:?}: {reason}", self.node, task.role));
        }
        if let (true, Role::Acting, Some(decision)) = (end.counts, task.role, decision(&end.outcome)) {
            for entry in &task.entries {
                world.decided(entry, decision, false);
            }
        }
        for (entry, answer) in task.entries.iter().zip(&end.answers) {
            world.answered(entry.seq, answer);
        }
    }
}

impl World {
    /// Whether an entry failed so often that a valid one may be rejected.
    pub fn failed_often(&self, seq: Seq) -> bool {
        self.broke.borrow().get(&seq).is_some_and(|failures| *failures >= ATTEMPTS)
    }
}

/// What an outcome of the acting node decides.
fn decision(outcome: &Outcome) -> Option<Decision> {
    match outcome {
        Outcome::Applied(_) => Some(Decision::Accepted),
        Outcome::Rejected => Some(Decision::Rejected),
        Outcome::Split
        | Outcome::Retry { .. }
        | Outcome::InDoubt
        | Outcome::Quarantine { .. }
        | Outcome::DeadLetter { .. } => None,
    }
}
