//! One per web worker: names a node to a read that found none at once, and takes a write through log and
//! verdict. Bodies of reads never pass through here; the front streams them itself.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::entry::Draft;
use chroma_ha_core::idempotency::Claim;
use chroma_ha_core::ids::{CollectionId, NodeId, Seq, Stream};
use chroma_ha_core::port::StoreError;
use chroma_ha_core::routing::Strategy;
use chroma_ha_core::sequencer::Gate;

use crate::board::{Answer, Board, Readable};
use crate::gate::Ticket;
use crate::guard::{Ping, Watched};
use crate::stats::Stats;
use crate::wal::WalActor;

mod ahead;
mod choice;
mod repeat;
mod write;

pub use choice::Choice;
use write::write;

/// Where may this read go? For whoever found no node at once: see `Choice`.
#[derive(Message)]
#[rtype(result = "Result<Readable, Refusal>")]
pub struct Choose {
    pub gate: Gate,
    /// Nodes that have failed this read already.
    pub avoid: Vec<NodeId>,
}

/// Take this write through the log to its verdict.
#[derive(Message)]
#[rtype(result = "Result<Written, Refusal>")]
pub struct Submit {
    pub draft: Draft,
    pub ticket: Arc<Ticket>,
    pub ack: Ack,
    /// Under which the client may ask for the outcome again.
    pub claim: Option<Claim>,
}

/// When the client hears of an accepted write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// Once the acting node has applied it.
    #[default]
    Applied,
    /// Once every node that is up has applied it.
    All,
    /// Once it is in the log, if Chroma will surely take it; else as `Applied`.
    Log,
}

#[derive(Clone, Debug)]
pub struct Written {
    pub write_id: String,
    pub seq: Seq,
    pub outcome: WriteOutcome,
    /// The write was in the log already.
    pub replayed: bool,
}

#[derive(Clone, Debug)]
pub enum WriteOutcome {
    Answered(Answer),
    /// Durable, and surely accepted.
    Acknowledged(Answer),
    /// Durable; no node is up, the verdict comes later.
    Queued,
    /// Durable; the outcome is not known in time.
    Pending,
}

/// Why a request is not served now, or not at all.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("collection [{0}] does not exist")]
    NoSuchCollection(CollectionId),
    #[error("as many writes of collection {0} are acknowledged ahead of their verdicts as may be")]
    FarAhead(CollectionId),
    #[error("every node lost collection {0}")]
    Lost(CollectionId),
    #[error("no node can answer this read yet")]
    NoReadableNode,
    /// At the start, and while another balancer holds the lease.
    #[error("the log has not been read yet")]
    LogUnread,
    #[error("no node is up to judge this write")]
    NoNodeForCatalog,
    #[error("another balancer may have acknowledged what is not known here")]
    NotHere,
    #[error("the key was given to another request")]
    OtherRequest,
    #[error("{0}")]
    Log(#[from] StoreError),
    #[error("the balancer is restarting a part of itself")]
    Restarting,
}

#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig {
    pub strategy: Strategy,
    pub replica_ratio: f64,
    /// How long a read waits for a node that has everything acknowledged.
    pub read_wait: Duration,
    /// How long a write waits for its verdict.
    pub verdict_wait: Duration,
    /// Writes of one collection that the log may acknowledge ahead of their verdicts.
    pub most_ahead: usize,
}

pub struct ProxyActor {
    board: Arc<Board>,
    wal: Addr<WalActor>,
    config: ProxyConfig,
    choice: Arc<Choice>,
    watched: Arc<Watched>,
    stats: Arc<Stats>,
}

impl ProxyActor {
    pub fn new(
        board: Arc<Board>,
        wal: Addr<WalActor>,
        config: ProxyConfig,
        choice: Arc<Choice>,
        watched: Arc<Watched>,
        stats: Arc<Stats>,
    ) -> ProxyActor {
        ProxyActor { board, wal, config, choice, watched, stats }
    }
}

impl Actor for ProxyActor {
    type Context = Context<Self>;
}

impl Supervised for ProxyActor {}

impl Handler<Ping> for ProxyActor {
    type Result = ();

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) {
        ping.answer();
    }
}

impl Handler<Choose> for ProxyActor {
    type Result = ResponseFuture<Result<Readable, Refusal>>;

    fn handle(&mut self, choose: Choose, _: &mut Self::Context) -> Self::Result {
        self.watched.beat();
        // Of now, also if it waits: what is acknowledged meanwhile is not due.
        let due = self.board.sequencer().due(choose.gate);
        if choose.gate != Gate::Server && !self.board.may_read() {
            return Box::pin(async { Err(Refusal::NotHere) });
        }
        if let Some(chosen) = self.choice.now(choose.gate, &choose.avoid) {
            return Box::pin(async move { Ok(chosen) });
        }
        let (board, choice) = (Arc::clone(&self.board), Arc::clone(&self.choice));
        let wait = self.config.read_wait;
        if let Gate::Stream(Stream::Collection(id)) = choose.gate
            && board.sequencer().is_lost(id)
        {
            return Box::pin(async move { Err(Refusal::Lost(id)) });
        }
        Box::pin(self.watched.answering(async move {
            let nodes = board.wait_readable(choose.gate, due, &choose.avoid, wait).await;
            let nobody = if board.may_read() { Refusal::NoReadableNode } else { Refusal::NotHere };
            choice.among(&nodes).ok_or(nobody)
        }))
    }
}

impl Handler<Submit> for ProxyActor {
    type Result = ResponseFuture<Result<Written, Refusal>>;

    fn handle(&mut self, submit: Submit, _: &mut Self::Context) -> Self::Result {
        self.watched.beat();
        let (board, wal, stats) = (Arc::clone(&self.board), self.wal.clone(), Arc::clone(&self.stats));
        let config = self.config;
        Box::pin(self.watched.answering(async move {
            let op = submit.draft.op.name();
            let written = write(&board, &wal, &stats, submit, config).await;
            let outcome = match &written {
                Ok(Written { outcome: WriteOutcome::Answered(answer), .. }) if answer.status < 300 => {
                    "applied"
                }
                Ok(Written { outcome: WriteOutcome::Answered(_), .. }) => "rejected",
                Ok(Written { outcome: WriteOutcome::Acknowledged(_), .. }) => "acknowledged",
                Ok(Written { outcome: WriteOutcome::Queued, .. }) => "queued",
                Ok(Written { outcome: WriteOutcome::Pending, .. }) => "pending",
                Err(_) => "refused",
            };
            stats.front.writes.with_label_values(&[op, outcome]).inc();
            written
        }))
    }
}
