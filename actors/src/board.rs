//! What the actors share: the sequencer under one short lock, the clients that wait for a verdict,
//! and per node what readers need without a lock. No lock is held across an await. It decides
//! nothing: the sequencer does.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix::prelude::*;

use chroma_ha_core::entry::Entry;
use chroma_ha_core::health::NodeState;
use chroma_ha_core::ids::{NodeId, Seq, Stream};
use chroma_ha_core::orders::Drain;
use chroma_ha_core::port::Recovered;
use chroma_ha_core::sequencer::{Limits, Sequencer, Shared, Standing};
use chroma_ha_core::validation::Dimensions;

use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::history::History;

mod attempts;
mod deletes;
mod holder;
mod post;
mod readable;
mod turns;
mod waiters;

pub use chroma_ha_core::answer::Answer;
pub use deletes::DeleteWatch;
pub use holder::{Holder, LeaseView};
pub use post::{CopyProgress, Post, Wake};
pub use readable::Readable;
pub use turns::Turn;
pub use waiters::Verdict;

use attempts::Attempts;
use turns::Turns;
use waiters::{Waiter, Waiters};

pub struct Board {
    sequencer: Shared,
    waiters: Waiters,
    pub attempts: Attempts,
    /// Requests with a key, on their way into the log.
    pub turns: Turns,
    pub posts: Vec<Post>,
    dimensions: Mutex<Dimensions>,
    pub lease: LeaseView,
    /// Writes that wait for the next transaction of the log.
    pub appends_waiting: AtomicUsize,
    pub history: History,
    /// Operators order about nodes one at a time: two of them must not take out the last two.
    pub ordering: tokio::sync::Mutex<()>,
    /// Rises whenever a read that found no node may find one now.
    changed: watch::Sender<u64>,
    started: Instant,
}

impl Board {
    pub fn new(limits: Limits, nodes: usize, initial: NodeState, lease: Duration) -> Arc<Board> {
        let post = |_| Post::new(initial);
        let started = Instant::now();
        Arc::new(Board {
            sequencer: Shared::new(Sequencer::new(limits, nodes)),
            waiters: Waiters::default(),
            attempts: Attempts::default(),
            turns: Turns::default(),
            posts: (0..nodes).map(post).collect(),
            dimensions: Mutex::default(),
            lease: LeaseView::new(started, lease),
            appends_waiting: AtomicUsize::new(0),
            history: History::default(),
            ordering: tokio::sync::Mutex::default(),
            changed: watch::channel(0).0,
            started,
        })
    }

    /// Milliseconds since the balancer started; never jumps.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn sequencer(&self) -> MutexGuard<'_, Sequencer> {
        self.sequencer.lock()
    }

    /// What accepted writes have shown of their collections.
    pub fn dimensions(&self) -> MutexGuard<'_, Dimensions> {
        self.dimensions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For what borrows it step by step.
    pub fn shared(&self) -> &Shared {
        &self.sequencer
    }

    /// The lease was taken: what the log remembers replaces what was known.
    pub fn recover(&self, recovered: Recovered) {
        self.sequencer().recover(recovered);
        self.wake_all();
    }

    /// Committed entries with the clients that wait for them.
    pub fn admit(&self, entries: Vec<(Arc<Entry>, oneshot::Sender<Verdict>)>) {
        let log: Vec<_> = entries.iter().map(|(entry, _)| Arc::clone(entry)).collect();
        let waiter =
            |(entry, verdict): (Arc<Entry>, _)| (entry.seq, Waiter { stream: entry.stream(), verdict });
        // Nobody waits for the verdict on what the log acknowledges, and there may be many of them.
        let waits = |(entry, _): &(Arc<Entry>, _)| !entry.is_acknowledged();
        self.waiters.add(entries.into_iter().filter(waits).map(waiter));
        let gone = {
            let mut sequencer = self.sequencer();
            sequencer.admit(&log);
            sequencer.all_gone()
        };
        if gone {
            self.release_waiters();
        }
        self.wake_all();
    }

    /// A node's health changed.
    pub fn set_state(&self, node: NodeId, state: NodeState) {
        let standing = Standing {
            applies: state.applies(),
            serves: state.serves(),
            gone: state.is_gone(),
            suspect: state == NodeState::Suspect,
            leaving: state == NodeState::Draining,
        };
        self.posts[node.0].state.store(Arc::new(state));
        let (lost, gone) = {
            let mut sequencer = self.sequencer();
            let before = sequencer.node(node).standing;
            sequencer.set_standing(node, standing);
            (before.is_lost_in(standing), sequencer.all_gone())
        };
        if lost {
            self.posts[node.0].lost.send_modify(|n| *n += 1);
        }
        if gone {
            self.release_waiters();
        }
        self.wake_all();
    }

    pub fn set_waker(&self, node: NodeId, wake: Recipient<Wake>) {
        let _ = self.posts[node.0].wake.set(wake);
    }

    /// A full mailbox already holds a wake-up, so nothing is lost by not queueing another.
    pub fn wake(&self, node: NodeId) {
        if let Some(wake) = self.posts[node.0].wake.get() {
            let _ = wake.try_send(Wake);
        }
    }

    pub fn wake_all(&self) {
        (0..self.posts.len()).for_each(|n| self.wake(NodeId(n)));
        self.changed.send_modify(|n| *n += 1);
    }

    /// How often the node has lost its standing. To be read before deciding to use the node.
    pub fn losses(&self, node: NodeId) -> u64 {
        *self.posts[node.0].lost.borrow()
    }

    /// Resolves when the node has lost its standing more often than that.
    pub fn lost(&self, node: NodeId, losses: u64) -> impl Future<Output = ()> + use<> {
        let mut lost = self.posts[node.0].lost.subscribe();
        async move {
            let _ = lost.wait_for(|now| *now > losses).await;
        }
    }

    /// Resolves when every node that can apply has applied this entry.
    pub async fn on_all(&self, stream: Stream, seq: Seq) {
        let mut changed = self.changed.subscribe();
        while self.may_read() && !self.sequencer().applied_everywhere(stream, seq) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    pub fn set_copy(&self, node: NodeId, progress: Option<CopyProgress>) {
        self.posts[node.0].copy.store(progress.map(Arc::new));
    }

    pub fn copy(&self, node: NodeId) -> Option<CopyProgress> {
        self.posts[node.0].copy.load_full().map(|progress| *progress)
    }

    pub fn outstanding(&self, node: NodeId) -> u32 {
        self.posts[node.0].outstanding.load(Ordering::Relaxed)
    }

    /// Whether nothing of this balancer is under way at a node that is being drained. A read counts itself
    /// before it looks whether the node is left alone, so none is missed here.
    pub fn is_emptied(&self, node: NodeId) -> bool {
        fence(Ordering::SeqCst);
        self.outstanding(node) == 0 && self.sequencer().is_emptied(node)
    }

    /// A read that was counted must not be sent any more: an operator takes the node out.
    pub fn is_taken_out(&self, node: NodeId) -> bool {
        fence(Ordering::SeqCst);
        self.posts[node.0].state.load().is_taken_out()
    }

    /// Drains that this balancer has carried out.
    pub fn carried_out(&self) -> Vec<Uuid> {
        let sequencer = self.sequencer();
        let done = |drain: &&Drain| {
            let post = self.posts.get(drain.node.0);
            post.is_some_and(|post| **post.state.load() == NodeState::Drained)
        };
        sequencer.orders().drains.iter().filter(done).map(|drain| drain.order).collect()
    }
}
