//! Hears of every fallen actor, counts, and gives up when restarts no longer help: an actor that
//! falls too often within a short time ends the process, so that the container starts it afresh.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chroma_ha_core::alert::{Alert, Phase, Severity};
use tracing::error;

use crate::guard::{Fell, Watched};
use crate::slack::Raise;
use crate::wal::now_unix_ms;

/// More falls of one actor than this within the window end the process.
const FALLS: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// Ends the process with a failure, in an orderly way.
pub type Escalate = Arc<dyn Fn(String) + Send + Sync>;

pub struct SupervisorActor {
    falls: HashMap<String, VecDeque<Instant>>,
    slack: Recipient<Raise>,
    escalate: Escalate,
    watched: Arc<Watched>,
}

impl SupervisorActor {
    pub fn new(slack: Recipient<Raise>, escalate: Escalate, watched: Arc<Watched>) -> SupervisorActor {
        SupervisorActor { falls: HashMap::new(), slack, escalate, watched }
    }

    /// Falls of this actor within the window, this one included.
    fn count(&mut self, actor: &str, now: Instant) -> usize {
        let falls = self.falls.entry(actor.to_owned()).or_default();
        falls.push_back(now);
        while falls.front().is_some_and(|at| now.duration_since(*at) > WINDOW) {
            falls.pop_front();
        }
        falls.len()
    }
}

impl Actor for SupervisorActor {
    type Context = Context<Self>;
}

impl Supervised for SupervisorActor {}

impl Handler<Fell> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, fell: Fell, _: &mut Self::Context) {
        self.watched.beat();
        let count = self.count(&fell.actor, Instant::now());
        error!(actor = fell.actor, cause = ?fell.cause, count, "an actor fell and is restarted");
        let alert = Alert {
            key: format!("actor:{}", fell.actor),
            severity: Severity::Warning,
            phase: Phase::Notice,
            title: format!("Actor {} was restarted", fell.actor),
            what: format!("{:?}, {count} times within {} s", fell.cause, WINDOW.as_secs()),
            effect: "Requests under way in it may have been answered 503.".to_owned(),
            action: "Nothing if it stays at one; else report the log lines around it.".to_owned(),
            at_ms: now_unix_ms(),
        };
        let _ = self.slack.try_send(Raise { alert });
        if count > FALLS {
            (self.escalate)(format!("actor {} fell {count} times within {} s", fell.actor, WINDOW.as_secs()));
        }
    }
}
