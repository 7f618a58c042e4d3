//! Carries one task out: asks the node, makes durable what must be, tells the sequencer, answers the
//! client. Up to the node's answer it can be dropped at any await; after the claim it runs to its end.
//! What a task means is decided in `core`; catalog entries have their own steps in `catalog`.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use chroma_ha_core::answer::{Meaning, meaning, with_id};
use chroma_ha_core::backoff::Backoff;
use chroma_ha_core::effect::{self, Effect, Question, Send as Sending};
use chroma_ha_core::entry::{Entry, Op};
use chroma_ha_core::health::Failure;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{Change, Node, NodeFault, NodeRequest, NodeResponse};
use chroma_ha_core::route;
use chroma_ha_core::sequencer::{CatalogOutcome, Role, Task, Ticket};

use super::catalog;
use super::copy::Conflict;
use super::peer::Peer;
use crate::board::{Answer, Board};
use crate::health::Observed;
use crate::stats::Stats;
use crate::wal::{Record, WalActor};

/// Everything that delivering to one node needs.
#[derive(Clone)]
pub struct Delivery {
    pub node: NodeId,
    /// Every node, by place: copies read from the others.
    pub ports: Arc<[Arc<dyn Node>]>,
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
}

/// What the node made of the task.
pub enum Found {
    /// Applied, or nothing had to be.
    Done { answer: Answer, catalog: Option<CatalogFound> },
    /// The collection is gone from the node, and what was logged before with it.
    Gone,
    /// A judgement about the request.
    Refused(Answer),
    /// No judgement.
    Failed(Failure, Option<Answer>),
    /// The log cannot be reached.
    LogAway,
}

/// What a catalog entry turned out to be.
pub struct CatalogFound {
    pub effect: Effect,
    pub outcome: CatalogOutcome,
}

impl Delivery {
    pub fn peer(&self, node: NodeId) -> Peer<'_> {
        Peer { port: &*self.ports[node.0], timeout: self.timeout }
    }

    /// `losses`: how often the node had lost its standing when the task was handed out.
    pub async fn run(self, task: Task, losses: u64) {
        let ticket = Ticket { node: self.node, stream: task.stream, generation: task.generation };
        let mut open = Open { delivery: &self, task: &task, ticket, closed: false };
        let lost = self.board.lost(self.node, losses);
        let started = tokio::time::Instant::now();
        let found = tokio::select! {
            biased;
            () = lost => { open.closed = true; return }
            found = self.ask(&task) => found,
        };
        if matches!(found, Found::Done { .. }) {
            let role = if task.role == Role::Acting { "acting" } else { "following" };
            self.stats.apply(&self.node.name(), role, started.elapsed(), task.entries.len());
        }
        let retry_in = self.conclude(&task, ticket, found).await;
        open.closed = true;
        drop(open);
        self.board.wake_all();
        if let Some(delay) = retry_in {
            tokio::time::sleep(delay).await;
            self.board.wake(self.node);
        }
    }

    async fn ask(&self, task: &Task) -> Found {
        let Some(entry) = task.entries.first() else { return Found::LogAway };
        if !entry.draft.op.is_record() {
            return catalog::ask(self, task, entry).await;
        }
        if task.role == Role::Acting {
            match self.resolve(task, entry).await {
                Ok(()) => {}
                Err(found) => return found,
            }
        }
        match self.sending(task, entry).await {
            Err(fault) => Found::Failed(Failure::Fault(fault), None),
            Ok(Sending::Empty) => Found::Done { answer: empty_answer(entry.draft.op), catalog: None },
            Ok(Sending::Body(body)) => {
                let path = own_path(task, &entry.draft.path);
                self.judge(task, entry, self.call(entry, "POST", path, body).await, false)
            }
        }
    }

    /// Fixes the entry's effect and makes it durable, where it depends on what is there.
    async fn resolve(&self, task: &Task, entry: &Arc<Entry>) -> Result<(), Found> {
        if entry.effect().is_none() {
            let Question::Get(body) = effect::question(entry.draft.op, &entry.draft.body) else {
                return Ok(());
            };
            let path = own_path(task, &get_path(&entry.draft.path));
            let response = self.call(entry, "POST", path, body).await;
            let answer = match self.judge(task, entry, response, false) {
                Found::Done { answer, .. } => answer,
                other => return Err(other),
            };
            let Some(effect) = effect::resolved(&answer.body) else {
                let lost = NodeFault::Lost("the answer to a get has no ids".to_owned());
                return Err(Found::Failed(Failure::Fault(lost), None));
            };
            entry.resolve(effect);
        }
        if let (false, Some(effect)) = (entry.effect_is_durable(), entry.effect()) {
            self.record(vec![Change::Effect { seq: entry.seq, effect: effect.clone() }]).await?;
            entry.effect_made_durable();
        }
        Ok(())
    }

    pub async fn call(
        &self,
        entry: &Entry,
        method: &'static str,
        path: String,
        body: Bytes,
    ) -> Result<NodeResponse, NodeFault> {
        let headers = entry.draft.headers.clone();
        self.ports[self.node.0].call(NodeRequest { method, path, headers, body, timeout: self.timeout }).await
    }

    /// Sorts an answer; ids in it become the client's.
    pub fn judge(
        &self,
        task: &Task,
        entry: &Entry,
        response: Result<NodeResponse, NodeFault>,
        name_taken: bool,
    ) -> Found {
        let response = match response {
            Ok(response) => response,
            Err(fault) => return Found::Failed(Failure::Fault(fault), None),
        };
        let status = response.status;
        let answer = self.answer(task, response);
        let gone = || status == 404 && self.board.sequencer().taken_along(entry);
        match meaning(entry.draft.op, status, name_taken) {
            Meaning::Accepted => Found::Done { answer, catalog: None },
            Meaning::Refused if gone() => Found::Gone,
            Meaning::Refused => Found::Refused(answer),
            Meaning::Trouble => Found::Failed(Failure::Status(status), Some(answer)),
        }
    }

    pub fn answer(&self, task: &Task, response: NodeResponse) -> Answer {
        let NodeResponse { status, headers, body } = response;
        let body = match (task.node_collection, task.subject) {
            (Some(own), Some(logical)) => with_id(&body, own, logical.0),
            _ => body,
        };
        Answer { status, headers, body }
    }

    pub async fn record(&self, changes: Vec<Change>) -> Result<(), Found> {
        match self.wal.send(Record { epoch: self.epoch, changes }).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Found::LogAway),
        }
    }
}

/// A task that ends without an outcome, by a panic or a dropped future, must not block its lane.
struct Open<'a> {
    delivery: &'a Delivery,
    task: &'a Task,
    ticket: Ticket,
    closed: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.closed {
            self.delivery.retry(self.task, self.ticket);
            self.delivery.board.wake(self.delivery.node);
        }
    }
}

/// What Chroma answers to a write that changes nothing.
pub(super) fn empty_answer(op: Op) -> Answer {
    match op {
        Op::Delete => Answer::json(200, r#"{"deleted":0}"#),
        _ => Answer::json(200, "{}"),
    }
}

fn own_path(task: &Task, path: &str) -> String {
    task.node_collection.map_or_else(|| path.to_owned(), |own| route::with_collection(path, own))
}

/// The `get` beside an `update` or `delete` of the same collection.
fn get_path(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parent = path.rsplit_once('/').map_or(path, |(parent, _)| parent);
    format!("{parent}/get")
}
