//! Nodes leave and come back as operators order it. A node that is to leave is drained once nothing is under
//! way there, which is looked at again and again; whether it may leave was judged before.

use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::health::{NodeState, Observation};
use chroma_ha_core::ids::NodeId;

use super::HealthActor;

/// An operator ordered something about a node. Orders that came in another way are seen with the next probe.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Ordered;

/// Between two looks at what is under way at a node that is being drained.
const LOOK: Duration = Duration::from_millis(20);

impl HealthActor {
    /// What operators want, as it is known now.
    pub(super) fn follow_orders(&mut self, ctx: &mut Context<Self>) {
        for node in (0..self.machines.len()).map(NodeId) {
            let observation = self.ordered(node);
            let before = self.machines[node.0].state();
            self.observe(node, observation);
            if before != NodeState::Draining {
                self.await_end(node, ctx);
            }
        }
    }

    fn ordered(&self, node: NodeId) -> Observation {
        match self.board.sequencer().orders().drain_of(node) {
            Some(_) => Observation::Drain,
            None => Observation::Undrain,
        }
    }

    /// Until nothing is under way at a node that is being drained.
    pub(super) fn await_end(&self, node: NodeId, ctx: &mut Context<Self>) {
        if self.machines[node.0].state() != NodeState::Draining {
            return;
        }
        ctx.run_later(LOOK, move |actor, ctx| {
            if actor.board.is_emptied(node) {
                actor.observe(node, Observation::Emptied);
            }
            actor.await_end(node, ctx);
        });
    }

    /// The state is shown with what else has changed.
    pub(super) fn follow_quietly(&mut self, node: NodeId) {
        let (ordered, now) = (self.ordered(node), self.board.uptime());
        self.machines[node.0].observe(ordered, now);
    }
}

impl Handler<Ordered> for HealthActor {
    type Result = ();

    fn handle(&mut self, _: Ordered, ctx: &mut Self::Context) {
        self.follow_orders(ctx);
    }
}
