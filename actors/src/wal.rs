//! The log's only writer: group commit, sequence, statuses, retention, the lease. It decides nothing
//! about nodes; what it commits it hands to the board.
//!
//! What wakes it: 1. a write to append; 2. a change to record; 3. the end of a commit; 4. the flush
//! timer (cursors and statuses, lazily, in bulk); 5. the lease timer (check, or try to take it);
//! 6. the retention timer.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::commit::{GroupCommit, GroupLimits};
use chroma_ha_core::entry::{Draft, Entry};
use chroma_ha_core::ids::{NodeId, Seq};
use chroma_ha_core::port::{Change, LogStore, Recovered, StoreError, WriteRow};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{error, info, warn};

use crate::board::{Board, Verdict};
use crate::guard::Watched;
use crate::health::NodeChanged;
use crate::stats::Stats;

/// Commit this write to the log.
#[derive(Message)]
#[rtype(result = "Result<Appended, StoreError>")]
pub struct Append {
    pub draft: Draft,
    /// Held until the write is answered: the bound on writes in flight.
    pub permit: Arc<OwnedSemaphorePermit>,
}

/// The write is durable; its verdict comes later.
pub struct Appended {
    pub seq: Seq,
    pub verdict: oneshot::Receiver<Verdict>,
}

/// Commit these changes together.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Record {
    pub changes: Vec<Change>,
}

/// One write by its id.
#[derive(Message)]
#[rtype(result = "Result<Option<WriteRow>, StoreError>")]
pub struct Find {
    pub write_id: String,
}

/// Flush what is lazy and let go of the lease.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Release;

/// The lease was taken or lost.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub enum LeaseChange {
    /// This balancer sequences and applies from now on. Requests sent to the nodes before, by it or by
    /// another balancer, may still be executing.
    Taken { epoch: u64 },
    /// The session is gone: nothing is applied until the lease is taken again.
    Lost { reason: String },
}

#[derive(Message)]
#[rtype(result = "()")]
struct Committed(Result<(), StoreError>);

#[derive(Message)]
#[rtype(result = "()")]
struct LeaseTried(Result<Option<Recovered>, StoreError>);

#[derive(Message)]
#[rtype(result = "()")]
struct LeaseChecked(Result<(), StoreError>);

#[derive(Message)]
#[rtype(result = "()")]
struct Flushed(Result<Flush, StoreError>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lease {
    /// Not held; an attempt is made at every tick.
    Seeking,
    /// An attempt is under way.
    Taking,
    /// Held since its epoch began.
    Held,
    /// Given up on purpose: the balancer is stopping.
    Released,
}

struct Waiting {
    draft: Draft,
    reply: oneshot::Sender<Result<Appended, StoreError>>,
    /// Travels with the write, so that the bound covers the queue too.
    _permit: Arc<OwnedSemaphorePermit>,
}

/// What the last lazy flush wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Flush {
    cursors: Vec<Seq>,
    completed: Seq,
}

#[derive(Clone, Copy, Debug)]
pub struct WalTimes {
    pub flush: Duration,
    pub lease: Duration,
    pub retention: Duration,
    pub retention_days: u32,
}

pub struct WalActor {
    board: Arc<Board>,
    store: Arc<dyn LogStore>,
    queue: GroupCommit<Waiting>,
    lease: Lease,
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
            flushed: Flush::default(),
            flushing: false,
            times,
            listeners,
            watched,
            stats,
        }
    }

    /// Starts the next commit, if none is under way.
    fn commit(&mut self, me: Addr<WalActor>) {
        let Some((group, _)) = self.queue.begin() else { return };
        let (board, store, stats) =
            (Arc::clone(&self.board), Arc::clone(&self.store), Arc::clone(&self.stats));
        actix_rt::spawn(async move {
            let started = std::time::Instant::now();
            let result = commit_group(&board, &*store, group).await;
            stats.commit(started.elapsed(), result.as_ref().copied().unwrap_or(0));
            me.do_send(Committed(result.map(drop)));
        });
    }

    fn tell(&self, change: &LeaseChange) {
        for listener in &self.listeners {
            let _ = listener.try_send(change.clone());
        }
    }

    fn lose(&mut self, error: &StoreError) {
        if self.lease != Lease::Held {
            return;
        }
        self.lease = Lease::Seeking;
        self.board.sequencer().set_leading(false);
        error!(%error, "the lease on the log is lost: no write is accepted until it is back");
        self.tell(&LeaseChange::Lost { reason: error.to_string() });
        for waiting in self.queue.abandon() {
            let _ = waiting.reply.send(Err(error.clone()));
        }
    }

    fn tend_lease(&mut self, ctx: &mut Context<Self>) {
        let (store, me) = (Arc::clone(&self.store), ctx.address());
        match self.lease {
            Lease::Seeking => {
                self.lease = Lease::Taking;
                actix_rt::spawn(async move { me.do_send(LeaseTried(store.acquire().await)) });
            }
            Lease::Held => {
                actix_rt::spawn(async move { me.do_send(LeaseChecked(store.check().await)) });
            }
            Lease::Taking | Lease::Released => {}
        }
    }

    /// Cursors and statuses, if they moved since the last flush.
    fn due(&self) -> Option<(Flush, Vec<Change>)> {
        let sequencer = self.board.sequencer();
        if !sequencer.leading() {
            return None;
        }
        let now = Flush {
            cursors: sequencer.node_ids().map(|node| sequencer.node(node).cursor()).collect(),
            completed: sequencer.completed(),
        };
        let mut changes = Vec::new();
        for (n, seq) in now.cursors.iter().enumerate() {
            if sequencer.node(NodeId(n)).joined && self.flushed.cursors.get(n) != Some(seq) {
                changes.push(Change::Cursor { node: NodeId(n).name(), seq: *seq });
            }
        }
        if now.completed != self.flushed.completed {
            changes.push(Change::Completed { through: now.completed });
        }
        (!changes.is_empty()).then_some((now, changes))
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        if self.flushing {
            return;
        }
        let Some((now, changes)) = self.due() else { return };
        self.flushing = true;
        let (store, me) = (Arc::clone(&self.store), ctx.address());
        actix_rt::spawn(async move {
            me.do_send(Flushed(store.record(changes).await.map(|()| now)));
        });
    }

    fn expire(&self) {
        let through = self.board.sequencer().completed();
        let (store, days, watched) =
            (Arc::clone(&self.store), self.times.retention_days, Arc::clone(&self.watched));
        const BATCH: u32 = 1_000;
        actix_rt::spawn(async move {
            loop {
                match store.expire(days, through, BATCH).await {
                    Ok(gone) if gone >= u64::from(BATCH) => {
                        tokio::time::sleep(Duration::from_millis(100)).await
                    }
                    Ok(_) => return,
                    Err(error) => return watched.error(error),
                }
            }
        });
    }
}

/// Appends a group, hands it to the board and tells the writers. Returns how many entries it had.
async fn commit_group(board: &Board, store: &dyn LogStore, group: Vec<Waiting>) -> Result<usize, StoreError> {
    let head = {
        let sequencer = board.sequencer();
        sequencer.leading().then(|| sequencer.head())
    };
    let Some(mut seq) = head else {
        let error = StoreError::LeaseLost("another balancer may be sequencing".to_owned());
        group.into_iter().for_each(|w| drop(w.reply.send(Err(error.clone()))));
        return Err(error);
    };
    let logged_at_ms = now_unix_ms();
    let mut entries = Vec::with_capacity(group.len());
    let mut replies = Vec::with_capacity(group.len());
    for waiting in group {
        seq = seq.next();
        entries.push(Arc::new(Entry::new(seq, waiting.draft, logged_at_ms)));
        replies.push(waiting.reply);
    }
    if let Err(error) = store.append(entries.clone()).await {
        replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
        return Err(error);
    }
    let count = entries.len();
    let mut admitted = Vec::with_capacity(count);
    for (entry, reply) in entries.into_iter().zip(replies) {
        let (tell, verdict) = oneshot::channel();
        let _ = reply.send(Ok(Appended { seq: entry.seq, verdict }));
        admitted.push((entry, tell));
    }
    board.admit(admitted);
    Ok(count)
}

/// Milliseconds since the Unix epoch by this machine's clock: for people, never for order.
pub fn now_unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Actor for WalActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.times.flush, |actor, ctx| actor.flush(ctx));
        ctx.run_interval(self.times.lease, |actor, ctx| actor.tend_lease(ctx));
        ctx.run_interval(self.times.retention, |actor, _| actor.expire());
        self.tend_lease(ctx);
    }
}

impl Supervised for WalActor {
    /// Writes that were waiting are refused; a commit under way ends on its own.
    fn restarting(&mut self, _: &mut Self::Context) {
        let error = StoreError::Unavailable("the log writer was restarted".to_owned());
        for waiting in self.queue.abandon() {
            let _ = waiting.reply.send(Err(error.clone()));
        }
        self.flushing = false;
        if self.lease == Lease::Taking {
            self.lease = Lease::Seeking;
        }
    }
}

impl Handler<Append> for WalActor {
    type Result = ResponseFuture<Result<Appended, StoreError>>;

    fn handle(&mut self, append: Append, ctx: &mut Self::Context) -> Self::Result {
        self.watched.beat();
        if self.lease != Lease::Held {
            let error =
                StoreError::Unavailable("this balancer does not hold the lease on the log".to_owned());
            return Box::pin(async move { Err(error) });
        }
        let (reply, answer) = oneshot::channel();
        let bytes = append.draft.body.len();
        self.queue.push(Waiting { draft: append.draft, reply, _permit: append.permit }, bytes);
        self.commit(ctx.address());
        Box::pin(async move {
            answer
                .await
                .unwrap_or_else(|_| Err(StoreError::Unavailable("the log writer was restarted".to_owned())))
        })
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

impl Handler<Record> for WalActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, record: Record, _: &mut Self::Context) -> Self::Result {
        self.watched.beat();
        let (store, watched) = (Arc::clone(&self.store), Arc::clone(&self.watched));
        Box::pin(async move {
            let result = store.record(record.changes).await;
            if let Err(error) = &result {
                warn!(%error, "recording in the log failed");
                watched.error(error);
            }
            result
        })
    }
}

impl Handler<Find> for WalActor {
    type Result = ResponseFuture<Result<Option<WriteRow>, StoreError>>;

    fn handle(&mut self, find: Find, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move { store.find(find.write_id).await })
    }
}

/// A node's change of state becomes failover history.
impl Handler<NodeChanged> for WalActor {
    type Result = ();

    fn handle(&mut self, NodeChanged { node, change }: NodeChanged, _: &mut Self::Context) {
        if self.lease != Lease::Held {
            return;
        }
        let (from, to) = (change.from.name().to_owned(), change.to.name().to_owned());
        let change = Change::NodeState { node: node.name(), from, to, reason: change.reason.to_string() };
        let (store, watched) = (Arc::clone(&self.store), Arc::clone(&self.watched));
        actix_rt::spawn(async move {
            if let Err(error) = store.record(vec![change]).await {
                watched.error(error);
            }
        });
    }
}

impl Handler<LeaseTried> for WalActor {
    type Result = ();

    fn handle(&mut self, LeaseTried(result): LeaseTried, _: &mut Self::Context) {
        self.lease = Lease::Seeking;
        match result {
            Ok(Some(recovered)) => {
                let (epoch, head) = (recovered.epoch, recovered.head);
                self.lease = Lease::Held;
                self.flushed = Flush::default();
                self.tell(&LeaseChange::Taken { epoch });
                self.board.recover(recovered);
                info!(epoch, %head, "the lease on the log is held");
            }
            Ok(None) => {
                info!("another balancer holds the lease on the log; standing by");
                self.board.hand_over();
            }
            Err(error) => {
                warn!(%error, "the lease on the log cannot be taken; trying again");
                self.watched.error(error);
            }
        }
    }
}

impl Handler<LeaseChecked> for WalActor {
    type Result = ();

    fn handle(&mut self, LeaseChecked(result): LeaseChecked, _: &mut Self::Context) {
        if let Err(error) = result {
            self.lose(&error);
        }
    }
}

impl Handler<Flushed> for WalActor {
    type Result = ();

    fn handle(&mut self, Flushed(result): Flushed, _: &mut Self::Context) {
        self.flushing = false;
        match result {
            Ok(now) => self.flushed = now,
            Err(error) => self.watched.error(error),
        }
    }
}

impl Handler<Release> for WalActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Release, _: &mut Self::Context) -> Self::Result {
        let due = self.due();
        self.lease = Lease::Released;
        self.board.sequencer().set_leading(false);
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            if let Some((_, changes)) = due
                && let Err(error) = store.record(changes).await
            {
                warn!(%error, "the last flush failed; the entries will be applied again");
            }
            let _ = store.release().await;
        })
    }
}
