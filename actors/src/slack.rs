//! Tells people. What is worth telling, what repeats another message and which one leaves next, is
//! `core::alert`'s to say; how a message travels is the sender's. One message is under way at a time, so a
//! matter's end never overtakes its beginning, and nobody waits for Slack.
//!
//! What wakes it: 1. an alert; 2. a node's change of state; 3. a change of the lease; 4. the end of an attempt
//! to send; 5. its timer, to look at the cluster and for what was held back.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::alert::lookout::Lookout;
use chroma_ha_core::alert::outbox::{Next, Outbox, Undelivered};
use chroma_ha_core::alert::{Alert, Desk, DeskLimits};
use chroma_ha_core::backoff::Backoff;
use chroma_ha_core::port::BoxFuture;
use tracing::{info, warn};

use crate::board::Board;
use crate::guard::{Ping, Watched};
use crate::health::NodeChanged;
use crate::stats::{AlertOutcome, Stats};
use crate::wal::{LeaseChange, now_unix_ms};

mod facts;
#[cfg(test)]
mod tests;

use facts::LeaseFacts;

/// This deserves a person.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Raise {
    pub alert: Alert,
}

/// Makes one attempt to send an alert.
pub type Sender = Arc<dyn Fn(Alert) -> BoxFuture<'static, Result<(), Undelivered>> + Send + Sync>;

/// How alerts leave.
#[derive(Clone)]
pub struct Outlet {
    /// `None`: they are logged only.
    pub sender: Option<Sender>,
    /// Between two attempts.
    pub backoff: Backoff,
}

/// Alerts that wait for Slack; the oldest of more are told as one.
const WAITING: usize = 20;

/// Between two looks at the cluster.
const LOOK: Duration = Duration::from_secs(1);

/// An attempt ended.
#[derive(Message)]
#[rtype(result = "()")]
struct Attempted(Result<(), Undelivered>);

pub struct SlackActor {
    board: Arc<Board>,
    desk: Desk,
    /// Looks at the cluster; `None` where somebody else does.
    lookout: Option<Lookout>,
    lease: LeaseFacts,
    outbox: Outbox,
    /// An attempt is being made, or its end waits in the mailbox.
    under_way: bool,
    sender: Option<Sender>,
    jitter: u64,
    stats: Arc<Stats>,
    watched: Arc<Watched>,
}

impl SlackActor {
    pub fn new(
        board: Arc<Board>,
        lookout: Option<Lookout>,
        outlet: Outlet,
        stats: Arc<Stats>,
        watched: Arc<Watched>,
    ) -> SlackActor {
        SlackActor {
            board,
            desk: Desk::new(DeskLimits::default()),
            lookout,
            lease: LeaseFacts::default(),
            outbox: Outbox::new(WAITING, outlet.backoff),
            under_way: false,
            sender: outlet.sender,
            jitter: 1,
            stats,
            watched,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let news = match &mut self.lookout {
            Some(lookout) => lookout.look(&self.lease.with(&self.board), now_unix_ms()),
            None => Vec::new(),
        };
        news.into_iter().for_each(|alert| self.raise(alert, ctx));
    }

    fn raise(&mut self, alert: Alert, ctx: &mut Context<Self>) {
        let due = self.desk.accept(alert, self.board.now_ms());
        due.into_iter().for_each(|alert| self.tell(alert, ctx));
    }

    fn tell(&mut self, alert: Alert, ctx: &mut Context<Self>) {
        info!(key = alert.key, title = alert.title, what = alert.what, "alert");
        self.board.history.told(alert.clone());
        if self.sender.is_some() {
            self.outbox.push(alert);
            self.send_after(Duration::ZERO, ctx);
        } else {
            self.stats.told(AlertOutcome::Logged);
        }
    }

    /// Sends what is next, unless something is on its way.
    fn send_after(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        let Some(sender) = self.sender.clone().filter(|_| !self.under_way) else { return };
        let Some(alert) = self.outbox.to_send().cloned() else { return };
        self.under_way = true;
        let me = ctx.address();
        let attempt = self.watched.caught(async move {
            tokio::time::sleep(wait).await;
            sender(alert).await
        });
        actix_rt::spawn(async move {
            let later = |cause| Undelivered::Later { not_before: Duration::ZERO, cause };
            me.do_send(Attempted(attempt.await.unwrap_or_else(|panic| Err(later(panic)))));
        });
    }

    fn jitter(&mut self) -> f64 {
        self.jitter = self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        f64::from(u16::try_from(self.jitter >> 48).unwrap_or(0)) / f64::from(u16::MAX)
    }
}

impl Actor for SlackActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK, |actor, ctx| {
            actor.watched.beat();
            actor.look(ctx);
            let due = actor.desk.tick(actor.board.now_ms());
            due.into_iter().for_each(|alert| actor.tell(alert, ctx));
        });
    }
}

impl Supervised for SlackActor {}

impl Handler<Ping> for SlackActor {
    type Result = ();

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) {
        ping.answer();
    }
}

impl Handler<Raise> for SlackActor {
    type Result = ();

    fn handle(&mut self, raise: Raise, ctx: &mut Self::Context) {
        self.raise(raise.alert, ctx);
        self.watched.beat();
    }
}

impl Handler<Attempted> for SlackActor {
    type Result = ();

    fn handle(&mut self, Attempted(outcome): Attempted, ctx: &mut Self::Context) {
        self.under_way = false;
        let jitter = self.jitter();
        let next = self.outbox.outcome(&outcome, jitter);
        if let Err(error) = &outcome {
            let again_s = if let Next::Again(wait) = next { Some(wait.as_secs_f64()) } else { None };
            warn!(%error, again_s, "an alert could not be delivered");
            self.watched.error(error);
        }
        let wait = match next {
            Next::Arrived => {
                self.stats.told(AlertOutcome::Sent);
                Duration::ZERO
            }
            Next::Dropped => {
                self.stats.told(AlertOutcome::Failed);
                Duration::ZERO
            }
            Next::Again(wait) => wait,
        };
        self.send_after(wait, ctx);
        self.watched.beat();
    }
}

impl Handler<NodeChanged> for SlackActor {
    type Result = ();

    fn handle(&mut self, _: NodeChanged, ctx: &mut Self::Context) {
        self.look(ctx);
        self.watched.beat();
    }
}

impl Handler<LeaseChange> for SlackActor {
    type Result = ();

    fn handle(&mut self, change: LeaseChange, _: &mut Self::Context) {
        // What it means is seen at the next look: the board hears of it later than we do.
        self.lease.note(&change);
        self.watched.beat();
    }
}
