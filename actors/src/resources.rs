//! Samples the host and publishes how loaded it is; keeps the figures of the last hour. It sheds nothing
//! itself: whoever admits work reads the level. What wakes it: its timers.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use chroma_ha_core::alert::{Alert, Phase, Severity};
use chroma_ha_core::pressure::{Gauge, Pressure, Sample, Thresholds};

use crate::board::Board;
use crate::guard::{Ping, Watched};
use crate::history::ACTING;
use crate::slack::Raise;
use crate::stats::Stats;

/// The last sample and what it means.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub sample: Sample,
    pub pressure: Pressure,
}

pub type Sampler = Box<dyn FnMut() -> Sample + Send>;

pub struct ResourcesActor {
    sampler: Sampler,
    gauge: Gauge,
    load: Arc<ArcSwap<Load>>,
    board: Arc<Board>,
    stats: Arc<Stats>,
    slack: Recipient<Raise>,
    watched: Arc<Watched>,
}

const EVERY: Duration = Duration::from_secs(2);

/// Between two points of the history.
const POINT: Duration = Duration::from_secs(5);

impl ResourcesActor {
    pub fn new(
        sampler: Sampler,
        thresholds: Thresholds,
        load: Arc<ArcSwap<Load>>,
        board: Arc<Board>,
        stats: Arc<Stats>,
        slack: Recipient<Raise>,
        watched: Arc<Watched>,
    ) -> ResourcesActor {
        ResourcesActor { sampler, gauge: Gauge::new(thresholds), load, board, stats, slack, watched }
    }

    fn sample(&mut self) {
        self.watched.beat();
        let sample = (self.sampler)();
        let change = self.gauge.observe(sample);
        self.load.store(Arc::new(Load { sample, pressure: self.gauge.level() }));
        let Some(change) = change else { return };
        let calm = change.to == Pressure::Calm;
        let alert = Alert {
            key: "pressure".to_owned(),
            severity: if change.to == Pressure::Shed { Severity::Critical } else { Severity::Warning },
            phase: if calm { Phase::Resolved } else { Phase::Opened },
            title: format!("The balancer's host is {}", change.to),
            what: format!(
                "{}: CPU {:.0} %, memory {:.0} %",
                change.reason, sample.cpu_percent, sample.memory_percent
            ),
            effect: if calm {
                "None.".to_owned()
            } else {
                "None yet: nothing is slowed down or refused for it. Short of memory, the system may end the balancer."
                    .to_owned()
            },
            action: if calm {
                "Nothing.".to_owned()
            } else {
                "Give the container more memory or CPU.".to_owned()
            },
            at_ms: crate::wal::now_unix_ms(),
        };
        let _ = self.slack.try_send(Raise { alert });
    }

    /// Which node judges, as a rule: derived from the others' states, so it is looked at.
    fn note_acting(&self) {
        let acts = self.board.sequencer().acts_next();
        let (to, reason) = match acts {
            Some(node) => (node.name(), "the first in order that is looked at and as far as any other"),
            None => ("none".to_owned(), "no node is fit, or the log is not held here"),
        };
        self.board.history.now(ACTING, &to, reason);
    }
}

impl Actor for ResourcesActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sample();
        ctx.run_interval(EVERY, |actor, _| {
            actor.sample();
            actor.note_acting();
        });
        ctx.run_interval(POINT, |actor, _| {
            actor.board.history.sample(&actor.board, &actor.stats, &actor.load.load());
        });
    }
}

impl Supervised for ResourcesActor {}

impl Handler<Ping> for ResourcesActor {
    type Result = ();

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) {
        ping.answer();
    }
}
