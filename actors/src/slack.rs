//! Tells people. What is worth telling, and what repeats another message, is `core::alert`'s to say;
//! how a message travels is the sender's. Sending never blocks another actor.
//!
//! What wakes it: 1. an alert; 2. a node's change of state; 3. a change of the lease; 4. its timer, for
//! what was held back.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::alert::{Alert, Desk, DeskLimits, Phase, Severity};
use chroma_ha_core::health::NodeState;
use chroma_ha_core::port::BoxFuture;
use tracing::{info, warn};

use crate::board::Board;
use crate::guard::{Ping, Watched};
use crate::health::NodeChanged;
use crate::stats::{AlertOutcome, Stats};
use crate::wal::{LeaseChange, now_unix_ms};

/// This deserves a person.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Raise {
    pub alert: Alert,
}

/// Sends one alert; the error says why it did not arrive.
pub type Sender = Arc<dyn Fn(Alert) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

pub struct SlackActor {
    board: Arc<Board>,
    desk: Desk,
    sender: Option<Sender>,
    stats: Arc<Stats>,
    watched: Arc<Watched>,
}

impl SlackActor {
    pub fn new(
        board: Arc<Board>,
        sender: Option<Sender>,
        stats: Arc<Stats>,
        watched: Arc<Watched>,
    ) -> SlackActor {
        SlackActor { board, desk: Desk::new(DeskLimits::default()), sender, stats, watched }
    }

    fn raise(&mut self, alert: Alert) {
        self.watched.beat();
        let due = self.desk.accept(alert, self.board.now_ms());
        due.into_iter().for_each(|alert| self.send(alert));
    }

    fn send(&self, alert: Alert) {
        info!(key = alert.key, title = alert.title, what = alert.what, "alert");
        self.board.history.told(alert.clone());
        let Some(sender) = self.sender.clone() else { return self.stats.told(AlertOutcome::Logged) };
        let (stats, watched) = (Arc::clone(&self.stats), Arc::clone(&self.watched));
        self.watched.spawn(async move {
            match sender(alert).await {
                Ok(()) => stats.told(AlertOutcome::Sent),
                Err(error) => {
                    stats.told(AlertOutcome::Failed);
                    warn!(error, "an alert could not be delivered");
                    watched.error(error);
                }
            }
        });
    }
}

impl Actor for SlackActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(Duration::from_secs(5), |actor, _| {
            let due = actor.desk.tick(actor.board.now_ms());
            due.into_iter().for_each(|alert| actor.send(alert));
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

    fn handle(&mut self, raise: Raise, _: &mut Self::Context) {
        self.raise(raise.alert);
    }
}

impl Handler<NodeChanged> for SlackActor {
    type Result = ();

    fn handle(&mut self, changed: NodeChanged, _: &mut Self::Context) {
        if let Some(alert) = node_alert(&changed) {
            self.raise(alert);
        }
    }
}

impl Handler<LeaseChange> for SlackActor {
    type Result = ();

    fn handle(&mut self, change: LeaseChange, _: &mut Self::Context) {
        self.raise(lease_alert(&change));
    }
}

/// Down opens, up resolves; what lies between is not worth a message.
fn node_alert(changed: &NodeChanged) -> Option<Alert> {
    let node = changed.node.name();
    let (phase, severity, title, effect, action) = match changed.change.to {
        NodeState::Down => (
            Phase::Opened,
            Severity::Warning,
            format!("{node} is down"),
            "None while another node is up: reads and writes go there, and the log keeps what this node misses.",
            "Restart the Chroma server. It catches up by itself.",
        ),
        NodeState::Up => {
            (Phase::Resolved, Severity::Info, format!("{node} is up and has caught up"), "None.", "Nothing.")
        }
        _ => return None,
    };
    Some(Alert {
        key: format!("node-down:{node}"),
        severity,
        phase,
        title,
        what: changed.change.reason.to_string(),
        effect: effect.to_owned(),
        action: action.to_owned(),
        at_ms: now_unix_ms(),
    })
}

fn lease_alert(change: &LeaseChange) -> Alert {
    let (phase, severity, title, what, effect, action) = match change {
        LeaseChange::Taken { epoch, .. } => (
            Phase::Resolved,
            Severity::Info,
            "The log is writable".to_owned(),
            format!("This balancer holds the lease, epoch {epoch}."),
            "None.",
            "Nothing.",
        ),
        LeaseChange::Lost { reason } => (
            Phase::Opened,
            Severity::Critical,
            "The log is not reachable".to_owned(),
            reason.clone(),
            "Writes are answered 503 with Retry-After; reads go on.",
            "Look at PostgreSQL. Writes resume by themselves.",
        ),
    };
    Alert {
        key: "log".to_owned(),
        severity,
        phase,
        title,
        what,
        effect: effect.to_owned(),
        action: action.to_owned(),
        at_ms: now_unix_ms(),
    }
}
