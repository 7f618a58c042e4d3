//! Which actors are there? Starts each under its guard, and keeps what the operator's page and the
//! supervisor need to know of it. It does not judge what it keeps.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use tracing::error;

use crate::guard::{self, ActorRow, Fell, Ping, Watched};

/// Mailboxes hold facts and wake-ups; the bound on work is the gate's.
const MAILBOX: usize = 1024;

/// One actor, as others see it. That its address is held here keeps it, whoever else knows it: one that
/// nobody could reach would not be restarted.
#[derive(Clone)]
pub struct Member {
    pub watched: Arc<Watched>,
    mailbox: Recipient<Ping>,
}

impl Member {
    pub fn ping(&self, now: Instant) {
        if self.watched.heartbeat.asks(now) {
            self.mailbox.do_send(Ping(Arc::clone(&self.watched)));
        }
    }
}

#[derive(Default)]
pub struct Roster {
    members: Mutex<Vec<Member>>,
    supervisor: OnceLock<Recipient<Fell>>,
}

impl Roster {
    /// Starts an actor under a guard on that arbiter. `make` gets what is known of it.
    pub fn start<A>(
        self: &Arc<Self>,
        arbiter: &ArbiterHandle,
        name: impl Into<String>,
        make: impl FnOnce(Arc<Watched>) -> A + Send + 'static,
    ) -> Addr<A>
    where
        A: Supervised + Actor<Context = Context<A>> + Handler<Ping>,
        A::Context: ToEnvelope<A, Ping>,
    {
        let watched = Watched::new(name, MAILBOX);
        let (own, roster) = (Arc::clone(&watched), Arc::clone(self));
        let addr =
            guard::start(arbiter, Arc::clone(&watched), move |fell| roster.fell(fell), move |_| make(own));
        let member = Member { watched, mailbox: addr.clone().recipient() };
        self.members.lock().unwrap_or_else(PoisonError::into_inner).push(member);
        addr
    }

    /// Who hears of every fall from now on.
    pub fn set_supervisor(&self, supervisor: Recipient<Fell>) {
        let _ = self.supervisor.set(supervisor);
    }

    fn fell(&self, fell: Fell) {
        let Fell { actor, cause, error, restart_in } = &fell;
        error!(actor, ?cause, error, ?restart_in, "an actor fell and is restarted");
        if let Some(supervisor) = self.supervisor.get() {
            let _ = supervisor.try_send(fell);
        }
    }

    /// Those that run or will again.
    pub fn members(&self) -> Vec<Member> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| !member.watched.heartbeat.has_ended());
        members.clone()
    }

    pub fn rows(&self) -> Vec<ActorRow> {
        self.members().iter().map(|member| member.watched.row()).collect()
    }
}
