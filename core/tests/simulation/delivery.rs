//! Carries one task out, step by step as the replay actor does: ask, make durable, claim, tell the
//! sequencer, answer the client.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chroma_ha_core::answer::{Meaning, meaning, with_id};
use chroma_ha_core::effect::{self, Question, Send as Sending};
use chroma_ha_core::entry::{Decision, Entry};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{Change, NodeFault, NodeRequest, NodeResponse};
use chroma_ha_core::route;
use chroma_ha_core::sequencer::{CatalogOutcome, Outcome, Role, Task, Ticket};

use super::catalog;
use super::world::{Lost, World};

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

pub enum Found {
    Done {
        answer: Answer,
        catalog: Option<catalog::CatalogFound>,
    },
    Refused(Answer),
    /// The collection is gone from the node, and what was logged before with it.
    Gone,
    /// No judgement; whether the request may still execute.
    Failed {
        in_doubt: bool,
    },
    LogAway,
}

/// Refusals of an accepted entry until the node is quarantined.
const ATTEMPTS: u32 = 3;

pub struct Delivery {
    pub world: Rc<World>,
    pub node: NodeId,
    pub task: Task,
}

impl Delivery {
    pub fn start(world: &Rc<World>, node: NodeId, task: Task) {
        let lost: Lost = Rc::new(Cell::new(Some(node)));
        let delivery = Delivery { world: Rc::clone(world), node, task };
        world.spawn(&Rc::clone(&lost), delivery.run(lost));
    }

    async fn run(self, lost: Lost) {
        let (node, stream, generation) = (self.node, self.task.stream, self.task.generation);
        let ticket = Ticket { node, stream, generation };
        let found = self.ask().await;
        lost.set(None);
        let retry_in = self.conclude(ticket, found).await;
        self.world.wake_all();
        if let Some(delay) = retry_in {
            self.world.sleep(delay).await;
            self.world.wake(self.node);
        }
    }

    async fn ask(&self) -> Found {
        let Some(entry) = self.task.entries.first() else { return Found::LogAway };
        if !entry.draft.op.is_record() {
            return catalog::ask(self, entry).await;
        }
        if self.task.role == Role::Acting
            && let Err(found) = self.resolve(entry).await
        {
            return found;
        }
        match effect::send(entry) {
            Sending::Empty => {
                self.world.sent.borrow_mut().insert((self.node, entry.seq));
                Found::Done { answer: Answer { status: 200, body: Bytes::from_static(b"{}") }, catalog: None }
            }
            Sending::Body(body) => {
                let response = self.call(entry, "POST", self.own_path(&entry.draft.path), body).await;
                self.judge(entry, response, false)
            }
        }
    }

    async fn resolve(&self, entry: &Arc<Entry>) -> Result<(), Found> {
        if entry.effect().is_none() {
            let Question::Get(body) = effect::question(entry.draft.op, &entry.draft.body) else {
                return Ok(());
            };
            let path = entry.draft.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let path = self.own_path(&format!("{path}/get"));
            let response = self.request("POST", path, body).await;
            let answer = match self.judge(entry, response, false) {
                Found::Done { answer, .. } => answer,
                other => return Err(other),
            };
            let Some(effect) = effect::resolved(&answer.body) else {
                return Err(Found::Failed { in_doubt: true });
            };
            entry.resolve(effect);
        }
        if let (false, Some(effect)) = (entry.effect_is_durable(), entry.effect()) {
            let change = Change::Effect { seq: entry.seq, effect: effect.clone() };
            if !self.world.record(vec![change]).await {
                return Err(Found::LogAway);
            }
            entry.effect_made_durable();
        }
        Ok(())
    }

    /// A request that may change the node.
    pub async fn call(
        &self,
        entry: &Entry,
        method: &'static str,
        path: String,
        body: Bytes,
    ) -> Result<NodeResponse, NodeFault> {
        self.world.sent.borrow_mut().insert((self.node, entry.seq));
        self.request(method, path, body).await
    }

    pub async fn request(
        &self,
        method: &'static str,
        path: String,
        body: Bytes,
    ) -> Result<NodeResponse, NodeFault> {
        let request = NodeRequest { method, path, headers: Vec::new(), body, timeout: Duration::ZERO };
        self.world.call(self.node, request).await
    }

    pub fn judge(&self, entry: &Entry, response: Result<NodeResponse, NodeFault>, name_taken: bool) -> Found {
        let response = match response {
            Ok(response) => response,
            Err(fault) => return Found::Failed { in_doubt: fault.in_doubt() },
        };
        let status = response.status;
        let answer = self.answer(response);
        let gone = || status == 404 && self.world.sequencer.borrow().taken_along(entry);
        match meaning(entry.draft.op, status, name_taken) {
            Meaning::Accepted => Found::Done { answer, catalog: None },
            Meaning::Refused if gone() => Found::Gone,
            Meaning::Refused => Found::Refused(answer),
            Meaning::Trouble => Found::Failed { in_doubt: false },
        }
    }

    pub fn answer(&self, response: NodeResponse) -> Answer {
        let body = match (self.task.node_collection, self.task.subject) {
            (Some(own), Some(logical)) => with_id(&response.body, own, logical.0),
            _ => response.body,
        };
        Answer { status: response.status, body }
    }

    async fn conclude(&self, ticket: Ticket, found: Found) -> Option<u64> {
        let entry = self.task.entries.first()?;
        match found {
            Found::Gone => {
                let answer = Answer { status: 200, body: Bytes::from_static(b"{}") };
                self.finish(ticket, Outcome::Applied(CatalogOutcome::default()), Some(answer));
                None
            }
            Found::Done { answer, catalog: None } => {
                self.finish(ticket, Outcome::Applied(CatalogOutcome::default()), Some(answer));
                None
            }
            Found::Done { answer, catalog: Some(found) } => {
                let changes = catalog::changes(self.node, &self.task, &found);
                self.commit(ticket, changes, Outcome::Applied(found.outcome), answer).await
            }
            Found::Refused(answer) if self.task.role == Role::Acting => {
                let changes = vec![Change::Rejected { seq: entry.seq, reason: answer.status.to_string() }];
                self.commit(ticket, changes, Outcome::Rejected, answer).await
            }
            Found::Refused(answer) => self.refused_by_follower(ticket, &answer),
            Found::Failed { in_doubt } => {
                if !in_doubt {
                    return self.retry(ticket);
                }
                self.world.servers[self.node.0].suspicion.set(true);
                self.finish(ticket, Outcome::InDoubt, None);
                None
            }
            Found::LogAway => self.retry(ticket),
        }
    }

    async fn commit(
        &self,
        ticket: Ticket,
        changes: Vec<Change>,
        outcome: Outcome,
        answer: Answer,
    ) -> Option<u64> {
        if !self.world.sequencer.borrow_mut().claim(ticket) {
            return None;
        }
        while !self.world.record(changes.clone()).await {
            self.world.sleep(100).await;
            if !self.world.sequencer.borrow().claimed(ticket) {
                return None;
            }
        }
        self.finish(ticket, outcome, Some(answer));
        None
    }

    fn refused_by_follower(&self, ticket: Ticket, answer: &Answer) -> Option<u64> {
        if self.task.attempts + 1 < ATTEMPTS {
            return self.retry(ticket);
        }
        let reason = format!("{ticket:?} was answered {answer:?}");
        self.finish(ticket, Outcome::Quarantine { reason }, None);
        None
    }

    fn retry(&self, ticket: Ticket) -> Option<u64> {
        let delay = 25 + self.world.rng.below(50) as u64;
        self.finish(ticket, Outcome::Retry { until_ms: self.world.now_ms.get() + delay }, None);
        Some(delay)
    }

    fn finish(&self, ticket: Ticket, outcome: Outcome, answer: Option<Answer>) {
        let world = &self.world;
        let decision = decision(&outcome);
        let quarantined = matches!(outcome, Outcome::Quarantine { .. });
        let text = if self.world.trace || quarantined { format!("{outcome:?}") } else { String::new() };
        let took = world.sequencer.borrow_mut().finish(ticket, &self.task.entries, outcome);
        let seq = self.task.entries.first().map(|e| e.seq).unwrap_or_default();
        world.say(|| format!("{} {seq} {:?} took={took} {text}", self.node, self.task.role));
        if took && quarantined {
            world.fail(format!("{}: {text}", self.node));
        }
        if let (true, Role::Acting, Some(answer), Some(decision)) = (took, self.task.role, answer, decision) {
            for entry in &self.task.entries {
                world.decided(entry, decision, false);
                world.answered(entry.seq, &answer);
            }
        }
    }

    pub fn own_path(&self, path: &str) -> String {
        self.task.node_collection.map_or_else(|| path.to_owned(), |own| route::with_collection(path, own))
    }
}

/// What an outcome of the acting node decides.
fn decision(outcome: &Outcome) -> Option<Decision> {
    match outcome {
        Outcome::Applied(_) => Some(Decision::Accepted),
        Outcome::Rejected => Some(Decision::Rejected),
        Outcome::Retry { .. } | Outcome::InDoubt | Outcome::Quarantine { .. } => None,
    }
}
