//! Samples the host and what waits, and publishes how loaded the balancer is, by what and since when; says so
//! to the sequencer, whose batches follow it, and to people. Keeps the figures of the last hour. It refuses
//! nothing itself: whoever admits work reads the level. What wakes it: its timers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use chroma_ha_core::alert::strain;
use chroma_ha_core::pressure::{Gauge, Pressure, Queue, Sample, Strain, StrainChange, Thresholds};
use serde::Serialize;

use crate::board::Board;
use crate::guard::{Ping, Watched};
use crate::history::ACTING;
use crate::slack::Raise;
use crate::stats::Stats;
use crate::wal::now_unix_ms;

/// The last sample and what it means.
#[derive(Clone, Debug, Default)]
pub struct Load {
    pub sample: Sample,
    pub pressure: Pressure,
    /// What is short, the worst first.
    pub strains: Vec<Lasting>,
}

/// A strain that lasts.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Lasting {
    pub strain: Strain,
    pub since_ms: u64,
}

pub type Sampler = Box<dyn FnMut() -> Sample + Send>;

/// How many requests wait; of what waits for the log the board knows.
pub type Waiting = Box<dyn Fn() -> Queue + Send>;

pub struct ResourcesActor {
    sampler: Sampler,
    waiting: Waiting,
    thresholds: Thresholds,
    gauge: Gauge,
    load: Arc<ArcSwap<Load>>,
    board: Arc<Board>,
    stats: Arc<Stats>,
    slack: Recipient<Raise>,
    watched: Arc<Watched>,
}

/// Between two samples.
const EVERY: Duration = Duration::from_secs(2);

/// Between two points of the history.
const POINT: Duration = Duration::from_secs(5);

impl ResourcesActor {
    pub fn new(
        (sampler, waiting): (Sampler, Waiting),
        thresholds: Thresholds,
        load: Arc<ArcSwap<Load>>,
        board: Arc<Board>,
        stats: Arc<Stats>,
        slack: Recipient<Raise>,
        watched: Arc<Watched>,
    ) -> ResourcesActor {
        let gauge = Gauge::new(thresholds);
        ResourcesActor { sampler, waiting, thresholds, gauge, load, board, stats, slack, watched }
    }

    fn sample(&mut self) {
        self.watched.beat();
        let appends_waiting = self.board.appends_waiting.load(Ordering::Relaxed);
        let queue = Queue { appends_waiting, ..(self.waiting)() };
        let sample = Sample { queue, ..(self.sampler)() };
        let changes = self.gauge.observe(sample);
        let pressure = self.gauge.level();
        self.load.store(Arc::new(Load { sample, pressure, strains: self.lasting() }));
        self.board.sequencer().adapt(self.gauge.of_memory());
        for StrainChange { strain, began } in changes {
            let told = if began { strain::opened } else { strain::resolved };
            let alert = told(strain, &sample, &self.thresholds, now_unix_ms());
            let _ = self.slack.try_send(Raise { alert });
        }
    }

    /// The strains, each since when it was first seen.
    fn lasting(&self) -> Vec<Lasting> {
        let (before, now_ms) = (self.load.load(), now_unix_ms());
        let since_ms =
            |strain| before.strains.iter().find(|known| known.strain == strain).map(|l| l.since_ms);
        let lasting = |strain| Lasting { strain, since_ms: since_ms(strain).unwrap_or(now_ms) };
        self.gauge.strains().map(lasting).collect()
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
