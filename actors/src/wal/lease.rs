//! Who sequences: the lease is taken, checked and lost here. What it means for the nodes is told to
//! whoever listens.

use std::sync::Arc;

use actix::prelude::*;
use chroma_ha_core::idempotency::Fate;
use chroma_ha_core::port::{Recovered, StoreError};
use tracing::{error, info, warn};

use super::WalActor;
use super::flush::Flush;
use crate::board::Verdict;

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
struct LeaseTried(Result<Option<Recovered>, StoreError>);

#[derive(Message)]
#[rtype(result = "()")]
struct LeaseChecked(Result<(), StoreError>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lease {
    /// Not held; an attempt is made at every tick.
    Seeking,
    /// An attempt is under way.
    Taking,
    /// Held since its epoch began.
    Held,
    /// Given up on purpose: the balancer is stopping.
    Released,
}

impl WalActor {
    fn tell(&self, change: &LeaseChange) {
        for listener in &self.listeners {
            // Rare and never to be missed: without it no node would settle and apply again.
            listener.do_send(change.clone());
        }
    }

    pub(super) fn lose(&mut self, error: &StoreError) {
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

    /// Clients that waited while the lease was away: an outcome that became durable meanwhile is not told
    /// by any lane. What is undecided will be.
    fn tell_what_was_decided(&self) {
        let attended = self.board.attended();
        if attended.is_empty() {
            return;
        }
        let (store, board) = (Arc::clone(&self.store), Arc::clone(&self.board));
        actix_rt::spawn(async move {
            let seqs = attended.iter().map(|(seq, _)| *seq).collect();
            let fates = match store.fates(seqs).await {
                Ok(fates) => fates,
                Err(error) => return warn!(%error, "clients wait for what may be decided already"),
            };
            for (seq, fate) in fates {
                match fate {
                    // The answer itself is not known any more.
                    Fate::Accepted => board.answer(seq, Verdict::Unknown),
                    fate => fate.answer().into_iter().for_each(|a| board.answer(seq, Verdict::Answer(a))),
                }
            }
        });
    }

    pub(super) fn tend_lease(&mut self, ctx: &mut Context<Self>) {
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
}

impl Handler<LeaseTried> for WalActor {
    type Result = ();

    fn handle(&mut self, LeaseTried(result): LeaseTried, _: &mut Self::Context) {
        self.lease = Lease::Seeking;
        match result {
            Ok(Some(recovered)) => {
                let (epoch, head) = (recovered.epoch, recovered.head);
                self.lease = Lease::Held;
                self.standing_by = false;
                self.flushed = Flush::default();
                self.tell(&LeaseChange::Taken { epoch });
                self.board.recover(recovered);
                self.tell_what_was_decided();
                info!(epoch, %head, "the lease on the log is held");
            }
            Ok(None) => {
                if !std::mem::replace(&mut self.standing_by, true) {
                    info!("another balancer holds the lease on the log; standing by");
                }
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
