//! One node's lanes, driven. The actor takes no instructions: woken, it asks the sequencer what the
//! node can do now and starts that; the same code answers clients, replicates and replays.
//!
//! What wakes it: 1. entries were admitted; 2. any node's task ended; 3. a node's health changed;
//! 4. a back-off ended; 5. the safety scan, every `WAL_SYNC_INTERVAL`; 6. every second, for what is to be
//! read back; 7. the time of a verification.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::entry::{Decision, Entry};
use chroma_ha_core::health::{NodeState, Observation};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::Change;
use chroma_ha_core::sequencer::Step;

use crate::board::{Answer, Board, Verdict, Wake};
use crate::guard::{Ping, Watched};
use crate::health::Observed;

pub mod apply;
mod contents;
mod conversion;
pub mod copy;
pub mod inspect;
mod load;
pub mod peer;
mod refused;
mod told;
mod trail;
mod verify;

use apply::Delivery;
pub use told::Told;
use verify::by_time;

/// How often it is asked whether something is to be read back.
const READ_BACK: Duration = Duration::from_secs(1);

pub struct ReplayActor {
    delivery: Delivery,
    scan_interval: Duration,
    verify_interval: Duration,
    told: Told,
    watched: Arc<Watched>,
}

impl ReplayActor {
    pub fn new(
        delivery: Delivery,
        scan_interval: Duration,
        verify_interval: Duration,
        told: Told,
        watched: Arc<Watched>,
    ) -> ReplayActor {
        ReplayActor { delivery, scan_interval, verify_interval, told, watched }
    }

    fn board(&self) -> &Arc<Board> {
        &self.delivery.board
    }

    fn node(&self) -> NodeId {
        self.delivery.node
    }

    fn advance(&mut self) {
        let now_ms = self.board().now_ms();
        let all_losses: Vec<u64> =
            (0..self.board().posts.len()).map(|n| self.board().losses(NodeId(n))).collect();
        let losses = all_losses[self.node().0];
        if !self.board().lease.certain() {
            return; // woken when it is again
        }
        let (steps, epoch) = {
            let mut sequencer = self.board().sequencer();
            sequencer.note_reads(self.node(), self.board().outstanding(self.node()));
            (sequencer.steps(self.node(), now_ms), sequencer.epoch())
        };
        let delivery = Delivery { epoch, ..self.delivery.clone() };
        for step in steps {
            let delivery = delivery.clone();
            match step {
                Step::Apply(task) => self.watched.spawn(delivery.run(task, losses)),
                Step::Inspect { adopt, generation } => {
                    self.watched.spawn(inspect::inspect(delivery, adopt, generation, losses));
                }
                Step::Copy(task) => self.watched.spawn(copy::copy(delivery, task, all_losses.clone())),
                Step::Compare(task) => {
                    self.watched.spawn(verify::compare(delivery, task, all_losses.clone()));
                }
                Step::Replay(task) => {
                    self.watched.spawn(async move { verify::replay(&delivery, &task).await });
                }
                Step::Load { stream, page, life } => {
                    let watched = Arc::clone(&self.watched);
                    self.watched
                        .spawn(async move { load::load(&delivery, &watched, stream, page, life).await });
                }
                Step::Moot { entry, decision } => self.watched.spawn(moot(delivery, entry, decision)),
            }
        }
        self.tell_if_caught_up();
        self.tell_matters();
    }

    /// Without the lease nothing is known.
    fn tell_matters(&mut self) {
        let node = self.node();
        let matters = {
            let sequencer = self.delivery.board.sequencer();
            sequencer.leading().then(|| sequencer.matters(node))
        };
        if let Some(matters) = matters {
            self.told.compare(node, matters);
        }
    }

    /// The holder of the lease begins; whoever does not hold it waits for the next time.
    fn verify_by_time(&mut self, ctx: &mut Context<Self>) {
        by_time::begin(self.board());
        ctx.run_later(by_time::spread(self.verify_interval), ReplayActor::verify_by_time);
    }

    fn tell_if_caught_up(&self) {
        let state = **self.board().posts[self.node().0].state.load();
        let observation = match state {
            NodeState::CatchingUp if self.board().sequencer().caught_up(self.node()) => Observation::CaughtUp,
            NodeState::Up if self.board().sequencer().is_barred(self.node()) => Observation::FellBehind,
            _ => return,
        };
        let _ = self.delivery.health.try_send(Observed { node: self.node(), observation });
    }
}

/// The entry's collection was deleted before any node judged it.
async fn moot(delivery: Delivery, entry: Arc<Entry>, decision: Decision) {
    trail::moot(&entry, decision);
    let id = entry.collection().map(|id| id.to_string()).unwrap_or_default();
    let mut changes = Vec::new();
    let answer = match decision {
        Decision::Accepted => Answer::json(200, "{}"),
        Decision::Rejected => {
            let message = format!("Collection [{id}] does not exist.");
            let body = serde_json::json!({ "error": "NotFoundError", "message": message });
            changes.push(Change::Rejected { seq: entry.seq, reason: format!("404 {body}") });
            delivery.tell_refused(&entry);
            Answer::json(404, body.to_string())
        }
    };
    if entry.is_keyed() {
        changes.push(Change::Outcome { seq: entry.seq, answer: answer.clone() });
    }
    let durable = changes.is_empty() || delivery.record(changes).await.is_ok();
    // Who may ask again must hear the same then.
    let told = durable || !entry.is_keyed();
    let verdict = if told { Verdict::Answer(answer) } else { Verdict::Unknown };
    delivery.board.answer(entry.seq, verdict);
    delivery.board.wake_all();
}

impl Actor for ReplayActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.board().set_waker(self.node(), ctx.address().recipient());
        ctx.run_interval(self.scan_interval, |actor, _| actor.advance());
        ctx.run_interval(READ_BACK, |actor, _| {
            by_time::conclude(actor.board());
            actor.advance();
        });
        if self.node() == NodeId::PRIMARY && !self.verify_interval.is_zero() {
            let first = by_time::spread(self.verify_interval / 10);
            ctx.run_later(first, ReplayActor::verify_by_time);
        }
        self.advance();
    }
}

impl Supervised for ReplayActor {}

impl Handler<Ping> for ReplayActor {
    type Result = ();

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) {
        ping.answer();
    }
}

impl Handler<Wake> for ReplayActor {
    type Result = ();

    fn handle(&mut self, _: Wake, _: &mut Self::Context) {
        self.watched.beat();
        self.advance();
    }
}
