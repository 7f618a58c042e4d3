//! The log's only writer: group commit, sequence, statuses, retention, the lease. It decides nothing
//! about nodes; what it commits it hands to the board.
//!
//! What wakes it: 1. a write to append; 2. a change to record; 3. the end of a commit; 4. the flush
//! timer (cursors and statuses, lazily, in bulk); 5. the lease timer (check, or try to take it);
//! 6. the retention timer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chroma_ha_core::commit::{GroupCommit, GroupLimits};
use chroma_ha_core::entry::Draft;
use chroma_ha_core::idempotency::Claim;
use chroma_ha_core::ids::Seq;
use chroma_ha_core::port::{LogStore, StoreError};
use tokio::sync::oneshot;

use crate::board::{Board, Verdict};
use crate::gate::Ticket;
use crate::guard::{Ping, Watched};
use crate::stats::Stats;

/// Commit this write to the log.
#[derive(Message)]
#[rtype(result = "Result<Appended, StoreError>")]
pub struct Append {
    pub draft: Draft,
    /// Under which the client may ask for the outcome; nothing is under it yet.
    pub claim: Option<Claim>,
    /// Held until the write is answered: the bound on writes in flight and on their bytes.
    pub ticket: Arc<Ticket>,
    /// Chroma will surely take it, if its collection is there; its client waits for the log only.
    pub sound: bool,
}

/// The write is durable; its verdict comes later.
pub struct Appended {
    pub seq: Seq,
    /// That is certain, and nobody is told of it.
    pub acknowledged: bool,
    pub verdict: oneshot::Receiver<Verdict>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Committed(Result<(), StoreError>);

#[derive(Clone, Copy, Debug)]
pub struct WalTimes {
    pub flush: Duration,
    /// For how long the lease is good without a check.
    pub lease: Duration,
    pub retention: Duration,
    pub retention_days: u32,
}

impl WalTimes {
    /// Between two checks of the lease.
    fn check(&self) -> Duration {
        self.lease / 10
    }
}

/// How often the lease is looked after: a standby takes it so soon after it was given back.
const TICK: Duration = Duration::from_millis(100);

mod company;
mod flush;
mod group;
mod handover;
mod lease;
mod queries;
mod record;

pub use group::now_unix_ms;
pub use handover::HandOver;
pub use lease::LeaseChange;
pub use queries::{Audit, Body, DeadLetters, Find, Holder, Recall, Writes};
pub use record::Record;

use flush::Flush;
use group::{Waiting, commit_group};
use lease::Lease;

pub struct WalActor {
    board: Arc<Board>,
    store: Arc<dyn LogStore>,
    queue: GroupCommit<Waiting>,
    lease: Lease,
    /// Of the lease held last.
    epoch: u64,
    /// When the lease is to be looked after again.
    tend_at: Instant,
    /// That is under way.
    tending: bool,
    /// Said once that another balancer holds the lease.
    standing_by: bool,
    flushed: Flush,
    flushing: bool,
    times: WalTimes,
    listeners: Vec<Recipient<LeaseChange>>,
    watched: Arc<Watched>,
    stats: Arc<Stats>,
}

impl WalActor {
    pub fn new(
        board: Arc<Board>,
        store: Arc<dyn LogStore>,
        limits: GroupLimits,
        times: WalTimes,
        listeners: Vec<Recipient<LeaseChange>>,
        watched: Arc<Watched>,
        stats: Arc<Stats>,
    ) -> WalActor {
        WalActor {
            board,
            store,
            queue: GroupCommit::new(limits),
            lease: Lease::Seeking,
            epoch: 0,
            tend_at: Instant::now(),
            tending: false,
            standing_by: false,
            flushed: Flush::default(),
            flushing: false,
            times,
            listeners,
            watched,
            stats,
        }
    }

    /// What waits to be appended is not, and hears why.
    fn refuse_waiting(&mut self, error: &StoreError) {
        for waiting in self.queue.abandon() {
            let _ = waiting.reply.send(Err(error.clone()));
        }
        self.board.appends_waiting.store(0, Ordering::Relaxed);
    }

    /// Starts the next commit, if none is under way.
    fn commit(&mut self, me: Addr<WalActor>) {
        let pressure = self.board.sequencer().pressure();
        let begun = self.queue.begin(pressure);
        self.board.appends_waiting.store(self.queue.waiting(), Ordering::Relaxed);
        let Some((group, _)) = begun else { return };
        let (board, store, stats) =
            (Arc::clone(&self.board), Arc::clone(&self.store), Arc::clone(&self.stats));
        let started = Instant::now();
        let committed = self.watched.caught(async move { commit_group(&board, &*store, group).await });
        actix_rt::spawn(async move {
            let result = committed.await.unwrap_or_else(broken);
            stats.log.commit(started.elapsed(), result.as_ref().ok().copied());
            me.do_send(Committed(result.map(drop)));
        });
    }
}

/// A task of the log's writer panicked: what it was about is not known, as when the connection breaks.
fn broken<T>(panic: String) -> Result<T, StoreError> {
    Err(StoreError::Unavailable(format!("a task of the log writer panicked: {panic}")))
}

impl Actor for WalActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.times.flush, |actor, ctx| actor.flush(ctx));
        ctx.run_interval(TICK, |actor, ctx| actor.tend_lease(ctx));
        ctx.run_interval(self.times.retention, |actor, _| actor.expire());
        self.tend_lease(ctx);
    }
}

impl Supervised for WalActor {
    /// Writes that were waiting are refused; what is under way ends on its own, and says so.
    fn restarting(&mut self, _: &mut Self::Context) {
        let error = StoreError::Unavailable("the log writer was restarted".to_owned());
        self.refuse_waiting(&error);
        // It fell while it took the lease: nobody would ever take it again.
        if self.lease.holds() && !self.board.sequencer().leading() {
            self.lose(&error);
        }
    }
}

impl Handler<Ping> for WalActor {
    type Result = ();

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) {
        ping.answer();
    }
}

impl Handler<Append> for WalActor {
    type Result = ResponseFuture<Result<Appended, StoreError>>;

    fn handle(&mut self, append: Append, ctx: &mut Self::Context) -> Self::Result {
        self.watched.beat();
        if self.lease != Lease::Held {
            let error = StoreError::LeaseLost("this balancer does not hold it".to_owned());
            return Box::pin(async move { Err(error) });
        }
        let (reply, answer) = oneshot::channel();
        let bytes = append.draft.body.len();
        let Append { draft, claim, ticket, sound } = append;
        self.queue.push(Waiting { draft, claim, reply, ticket, sound }, bytes);
        self.commit(ctx.address());
        Box::pin(self.watched.answering(async move {
            answer
                .await
                .unwrap_or_else(|_| Err(StoreError::Unavailable("the log writer was restarted".to_owned())))
        }))
    }
}

impl Handler<Committed> for WalActor {
    type Result = ();

    fn handle(&mut self, Committed(result): Committed, ctx: &mut Self::Context) {
        self.queue.end();
        match result {
            Ok(()) => self.commit(ctx.address()),
            Err(error) => {
                self.watched.error(&error);
                self.lose(&error);
            }
        }
    }
}
