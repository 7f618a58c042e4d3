//! How the lease is given away when the balancer stops: what is under way ends, within bounds; what is
//! lazy is flushed; whoever takes the lease next is told whether anything was left in doubt.
//!
//! What wakes it: 1. the word that the balancer stops; 2. a timer, until the lease is given away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::WalActor;
use super::lease::Lease;
use crate::board::Holder;

/// Give the lease away as soon as what is under way has ended; answered when that is done.
#[derive(Message)]
#[rtype(result = "()")]
pub struct HandOver {
    /// Half of it for the writes that were taken in, half for what is under way on the nodes.
    pub within: Duration,
}

/// Between two looks at whether everything has ended.
const LOOK: Duration = Duration::from_millis(5);

impl WalActor {
    /// Writes that were taken in have their verdicts.
    fn answered(&self) -> bool {
        self.queue.waiting() == 0 && !self.queue.under_way() && self.board.waiting_clients() == 0
    }

    /// Nothing is under way on any node, nor may anything that failed still be executing there.
    fn is_quiet(&self) -> bool {
        let certain = |post: &crate::board::Post| post.state.load().applies();
        self.board.sequencer().is_still() && self.board.posts.iter().all(certain)
    }

    fn leave(&mut self, leaving: Leaving, ctx: &mut Context<Self>) {
        if self.lease != Lease::Leaving {
            return;
        }
        let waited = leaving.begun.elapsed();
        if self.answered() || waited >= leaving.within / 2 {
            self.board.sequencer().rest();
            let still = self.board.sequencer().is_still();
            if still || waited >= leaving.within {
                let released = self.release(still && self.is_quiet());
                self.watched.spawn(async move {
                    released.await;
                    let _ = leaving.done.send(());
                });
                return;
            }
        }
        ctx.run_later(LOOK, move |actor, ctx| actor.leave(leaving, ctx));
    }

    /// Flushes what is lazy and lets go, for good.
    fn release(&mut self, quiet: bool) -> impl Future<Output = ()> + use<> {
        let held = self.lease.holds();
        let due = self.due().filter(|_| held);
        self.lease = Lease::Released;
        self.tend_at = Instant::now();
        self.board.sequencer().set_leading(false);
        if held {
            self.board.hand_over();
        }
        let store = Arc::clone(&self.store);
        async move {
            if let Some((_, changes)) = due
                && let Err(error) = store.record(changes).await
            {
                warn!(%error, "the last flush failed; the entries will be applied again");
            }
            match store.release(quiet).await {
                Ok(()) if held => info!(quiet, "the lease on the log is given back"),
                Ok(()) => {}
                Err(error) => warn!(%error, "the lease on the log could not be given back"),
            }
        }
    }
}

/// Bounds of a departure, and who waits for it.
struct Leaving {
    begun: Instant,
    within: Duration,
    done: oneshot::Sender<()>,
}

impl Handler<HandOver> for WalActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, HandOver { within }: HandOver, ctx: &mut Self::Context) -> Self::Result {
        match self.lease {
            Lease::Held => {
                self.lease = Lease::Leaving;
                self.board.set_holder(Holder::HandingOver);
                let (done, left) = oneshot::channel();
                self.leave(Leaving { begun: Instant::now(), within, done }, ctx);
                Box::pin(async move { drop(left.await) })
            }
            Lease::Seeking | Lease::Taking => Box::pin(self.release(false)),
            Lease::Leaving | Lease::Released => Box::pin(async {}),
        }
    }
}
