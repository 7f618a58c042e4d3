//! Watches a cluster from outside: asks the balancers and PostgreSQL whether they answer, and reads off what
//! the health actor sees of the nodes. What of that is news is `core::alert::outside`'s to say. It serves no
//! client and changes nothing.
//!
//! What wakes it: 1. its timer; 2. the end of a round of looks.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use chroma_ha_core::alert::kind::Kind;
use chroma_ha_core::alert::outside::{Outside, Part, Sight};
use chroma_ha_core::health::NodeState;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::BoxFuture;
use futures_util::future::join_all;
use tracing::{info, warn};

use crate::board::Board;
use crate::guard::{Ping, Watched};
use crate::slack::Raise;
use crate::wal::now_unix_ms;

/// Asks once whether somebody is there; the error says why not.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Who is asked.
#[derive(Clone)]
pub struct Target {
    /// Of the alert that tells that it is gone.
    pub kind: Kind,
    pub name: String,
    pub probe: Probe,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Looked(Vec<(Kind, String, Sight)>);

pub struct MonitorActor {
    board: Arc<Board>,
    targets: Vec<Target>,
    outside: Outside,
    interval: Duration,
    /// A round of looks has not ended.
    looking: bool,
    shown: Arc<ArcSwap<Vec<Part>>>,
    slack: Recipient<Raise>,
    watched: Arc<Watched>,
}

impl MonitorActor {
    pub fn new(
        board: Arc<Board>,
        targets: Vec<Target>,
        (interval, threshold): (Duration, u32),
        shown: Arc<ArcSwap<Vec<Part>>>,
        slack: Recipient<Raise>,
        watched: Arc<Watched>,
    ) -> MonitorActor {
        let outside = Outside::new(threshold);
        MonitorActor { board, targets, outside, interval, looking: false, shown, slack, watched }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let (me, patience) = (ctx.address(), self.interval);
        let asked = self.targets.clone().into_iter().map(move |target| ask(target, patience));
        let looked = self.watched.caught(join_all(asked));
        actix_rt::spawn(async move { me.do_send(Looked(looked.await.unwrap_or_default())) });
    }

    /// What the health actor sees; in doubt nothing is said.
    fn nodes(&self) -> Vec<(Kind, String, Sight)> {
        let sight = |n: usize| {
            let name = NodeId(n).name();
            let sight = match **self.board.posts[n].state.load() {
                NodeState::Down => Sight::Gone(self.board.history.since(&name).1),
                NodeState::Up | NodeState::CatchingUp => Sight::Answers,
                _ => return None,
            };
            Some((Kind::NodeDown, name, sight))
        };
        (0..self.board.posts.len()).filter_map(sight).collect()
    }
}

async fn ask(target: Target, patience: Duration) -> (Kind, String, Sight) {
    let sight = match tokio::time::timeout(patience, (target.probe)()).await {
        Ok(Ok(())) => Sight::Answers,
        Ok(Err(reason)) => Sight::Fails(reason),
        Err(_) => Sight::Fails(format!("no answer within {} s", patience.as_secs_f64())),
    };
    (target.kind, target.name, sight)
}

impl Actor for MonitorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.interval, |actor, ctx| {
            actor.watched.beat();
            actor.look(ctx);
        });
        self.look(ctx);
    }
}

impl Supervised for MonitorActor {}

impl Handler<Ping> for MonitorActor {
    type Result = ();

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) {
        ping.answer();
    }
}

impl Handler<Looked> for MonitorActor {
    type Result = ();

    fn handle(&mut self, Looked(mut round): Looked, _: &mut Self::Context) {
        self.looking = false;
        let before: Vec<Part> = self.outside.parts().cloned().collect();
        round.extend(self.nodes());
        let news = self.outside.look(round, now_unix_ms());
        for part in self.outside.parts() {
            let answered = before.iter().find(|known| known.name == part.name).map(|known| known.answers);
            match (answered, part.answers) {
                (Some(false), true) => info!(part = part.name, "it answers again"),
                (None | Some(true), false) => warn!(part = part.name, reason = part.reason, "it is gone"),
                _ => {}
            }
        }
        self.shown.store(Arc::new(self.outside.parts().cloned().collect()));
        // Each is said once, and never to be missed.
        news.into_iter().for_each(|alert| self.slack.do_send(Raise { alert }));
        self.watched.beat();
    }
}
