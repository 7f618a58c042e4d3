//! Who sequences: the lease is taken, checked and lost here. What it means for the nodes is told to
//! whoever listens.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use chroma_ha_core::idempotency::Fate;
use chroma_ha_core::port::{Recovered, StoreError};
use tracing::{error, info, warn};

use super::flush::Flush;
use super::{WalActor, broken};
use crate::board::{Holder, Verdict};

/// The lease was taken or lost.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub enum LeaseChange {
    /// This balancer sequences and applies from now on. `quiet`: nothing that was sent to a node before, by
    /// it or by another balancer, may still be executing. `from`: the balancer that held it before, if another.
    Taken { epoch: u64, quiet: bool, from: Option<String> },
    /// The session is gone: nothing is applied until the lease is taken again.
    Lost { reason: String },
}

#[derive(Message)]
#[rtype(result = "()")]
struct LeaseTried {
    begun: Instant,
    result: Result<Option<Recovered>, StoreError>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct LeaseChecked {
    begun: Instant,
    result: Result<(), StoreError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lease {
    /// Not held; an attempt is made at every tick, or less often while the log cannot be reached.
    Seeking,
    /// An attempt is under way.
    Taking,
    /// Held since its epoch began.
    Held,
    /// Held, but about to be given away: nothing more is appended.
    Leaving,
    /// Given up on purpose: the balancer is stopping.
    Released,
}

impl Lease {
    /// Whether the log may be written to under it.
    pub(super) fn holds(self) -> bool {
        matches!(self, Lease::Held | Lease::Leaving)
    }
}

impl WalActor {
    fn tell(&self, change: &LeaseChange) {
        for listener in &self.listeners {
            // Rare and never to be missed: without it no node would settle and apply again.
            listener.do_send(change.clone());
        }
    }

    pub(super) fn lose(&mut self, error: &StoreError) {
        if !self.lease.holds() {
            return;
        }
        self.lease = Lease::Seeking;
        self.tend_at = Instant::now();
        self.board.sequencer().set_leading(false);
        self.board.lease.set_log_answers(false);
        self.board.set_holder(Holder::Lost);
        error!(%error, "the lease on the log is lost: no write is accepted until it is back");
        self.tell(&LeaseChange::Lost { reason: error.to_string() });
        // None of them was sent.
        self.refuse_waiting(&StoreError::LeaseLost(error.to_string()));
    }

    /// Clients that waited while the lease was away: an outcome that became durable meanwhile is not told
    /// by any lane. What is undecided will be.
    fn tell_what_was_decided(&self) {
        let attended = self.board.attended();
        if attended.is_empty() {
            return;
        }
        let (store, board) = (Arc::clone(&self.store), Arc::clone(&self.board));
        self.watched.spawn(async move {
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
        let begun = Instant::now();
        if self.tending || begun < self.tend_at {
            return;
        }
        self.tending = true;
        let (me, looked) = (ctx.address(), self.looked());
        let store = Arc::clone(&self.store);
        match self.lease {
            Lease::Seeking => {
                self.lease = Lease::Taking;
                let tried = self.watched.caught(async move { store.acquire().await });
                actix_rt::spawn(async move {
                    let result = tried.await.unwrap_or_else(broken);
                    // Who takes it must know at once what the other balancers pass on.
                    let looks = result.is_ok();
                    me.do_send(LeaseTried { begun, result });
                    if looks {
                        me.do_send(looked.await);
                    }
                });
            }
            Lease::Held | Lease::Leaving => {
                self.tend_at = begun + self.times.check();
                let checked = self.watched.caught(async move { store.check().await });
                actix_rt::spawn(async move {
                    me.do_send(LeaseChecked { begun, result: checked.await.unwrap_or_else(broken) });
                    me.do_send(looked.await);
                });
            }
            Lease::Released => {
                actix_rt::spawn(async move { me.do_send(looked.await) });
            }
            Lease::Taking => self.tending = false,
        }
    }

    fn taken(&mut self, begun: Instant, mut recovered: Recovered) {
        let (epoch, head, quiet) = (recovered.epoch, recovered.head, recovered.quiet);
        self.lease = Lease::Held;
        self.epoch = epoch;
        self.standing_by = false;
        self.flushed = Flush::default();
        self.board.history.remember(std::mem::take(&mut recovered.turns));
        // Before anybody hears of the lease: a node that is drained must not be used for a moment.
        self.board.sequencer().heard.set(recovered.orders.clone());
        let change = LeaseChange::Taken { epoch, quiet, from: self.board.lease.holder().elsewhere() };
        self.board.lease.check(begun);
        if quiet {
            // First what the log remembers, then the word that the nodes may go on at once.
            self.board.recover(recovered);
            self.tell(&change);
        } else {
            // First the word that the nodes settle: no lane may move on what the log remembers.
            self.tell(&change);
            self.board.recover(recovered);
        }
        self.board.set_holder(Holder::Here);
        self.tell_what_was_decided();
        info!(epoch, %head, quiet, "the lease on the log is held");
    }
}

impl Handler<LeaseTried> for WalActor {
    type Result = ();

    fn handle(&mut self, LeaseTried { begun, result }: LeaseTried, _: &mut Self::Context) {
        if self.lease != Lease::Taking {
            // Stopped meanwhile: nothing was done under it.
            if let (Lease::Released, Ok(Some(recovered))) = (self.lease, result) {
                let store = Arc::clone(&self.store);
                self.watched.spawn(async move { drop(store.release(recovered.quiet).await) });
            }
            return;
        }
        self.lease = Lease::Seeking;
        self.tending = false;
        self.tend_at = begun;
        self.board.lease.set_log_answers(result.is_ok());
        match result {
            Ok(Some(recovered)) => self.taken(begun, recovered),
            Ok(None) => {
                if !std::mem::replace(&mut self.standing_by, true) {
                    info!("another balancer holds the lease on the log; standing by");
                }
                self.board.hand_over();
            }
            Err(error) => {
                self.tend_at = begun + self.times.check();
                warn!(%error, "the lease on the log cannot be taken; trying again");
                self.watched.error(error);
            }
        }
    }
}

impl Handler<LeaseChecked> for WalActor {
    type Result = ();

    fn handle(&mut self, LeaseChecked { begun, result }: LeaseChecked, _: &mut Self::Context) {
        self.tending = false;
        match result {
            Ok(()) if self.lease.holds() => {
                let lapsed = !self.board.lease.certain();
                self.board.lease.check(begun);
                if lapsed {
                    self.board.wake_all();
                }
            }
            Ok(()) => {}
            Err(error) => self.lose(&error),
        }
    }
}
