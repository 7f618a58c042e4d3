//! Watches the nodes: probes them, hears what requests met, and publishes each node's state. The rules
//! are `core::health`; here is the clock and the wire.
//!
//! What wakes it: 1. a probe's end; 2. the next probe's time, per node; 3. an outcome reported by a
//! request; 4. a change of the lease: every node settles,
//! unless nothing that was sent before can still be executing; 5. an operator's order; 6. while a node is
//! being drained, a timer, until nothing is under way there.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::health::{Change, Health, HealthConfig, NodeState, Observation};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::Node;
use tracing::{info, warn};

use crate::board::Board;
use crate::guard::{Ping, Watched};
use crate::stats::Stats;
use crate::wal::LeaseChange;

mod orders;
mod probe;

pub use orders::Ordered;

/// A fact about a node.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Observed {
    pub node: NodeId,
    pub observation: Observation,
}

/// A node's state changed.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct NodeChanged {
    pub node: NodeId,
    pub change: Change,
}

pub struct HealthActor {
    board: Arc<Board>,
    nodes: Vec<Arc<dyn Node>>,
    machines: Vec<Health>,
    config: HealthConfig,
    probe_timeout: Duration,
    listeners: Vec<Recipient<NodeChanged>>,
    watched: Arc<Watched>,
    stats: Arc<Stats>,
    /// Tells probes of an earlier life of the actor apart.
    life: u64,
    jitter: u64,
}

impl HealthActor {
    pub fn new(
        board: Arc<Board>,
        nodes: Vec<Arc<dyn Node>>,
        config: HealthConfig,
        probe_timeout: Duration,
        listeners: Vec<Recipient<NodeChanged>>,
        watched: Arc<Watched>,
        stats: Arc<Stats>,
    ) -> HealthActor {
        let machines = nodes.iter().map(|_| Health::new(config, board.uptime())).collect();
        HealthActor {
            board,
            nodes,
            machines,
            config,
            probe_timeout,
            listeners,
            watched,
            stats,
            life: 0,
            jitter: 1,
        }
    }

    fn observe(&mut self, node: NodeId, observation: Observation) {
        let now = self.board.uptime();
        if let Some(change) = self.machines[node.0].observe(observation, now) {
            self.publish(node, change);
        }
    }

    fn publish(&self, node: NodeId, change: Change) {
        if matches!(change.to, NodeState::Settling { .. }) {
            self.nodes[node.0].reconnect();
        }
        let (from, to, reason) = (change.from.name(), change.to.name(), change.reason.to_string());
        match change.to {
            NodeState::Up | NodeState::CatchingUp | NodeState::Settling { .. } | NodeState::Draining => {
                info!(%node, from, to, reason, "node state changed");
            }
            _ => warn!(%node, from, to, reason, "node state changed"),
        }
        self.stats.nodes.state_changes.with_label_values(&[&node.name(), to]).inc();
        self.show(node, change.to, &reason);
        for listener in &self.listeners {
            let _ = listener.try_send(NodeChanged { node, change: change.clone() });
        }
    }

    /// Every node settles anew: requests of an earlier holder of the lease may still be executing.
    fn settle_all(&mut self) {
        for n in 0..self.machines.len() {
            self.machines[n] = Health::new(self.config, self.board.uptime());
            self.nodes[n].reconnect();
            self.follow_quietly(NodeId(n));
            let reason = "the lease was taken: earlier requests may still be executed";
            self.show(NodeId(n), self.machines[n].state(), reason);
        }
    }

    /// The lease changed hands with nothing in doubt: each node is what it was seen to be.
    fn confirm_all(&mut self) {
        for n in 0..self.machines.len() {
            self.follow_quietly(NodeId(n));
            self.show(NodeId(n), self.machines[n].state(), "the lease was taken with nothing in doubt");
        }
    }

    fn show(&self, node: NodeId, state: NodeState, reason: &str) {
        let from = self.board.posts[node.0].state.load().name();
        self.board.history.turn(&node.name(), from, state.name(), reason);
        self.board.set_state(node, state);
    }
}

impl Actor for HealthActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.life += 1;
        for n in 0..self.nodes.len() {
            self.show(NodeId(n), self.machines[n].state(), "the probes began anew");
            self.probe(NodeId(n), ctx);
            self.await_end(NodeId(n), ctx);
        }
    }
}

impl Supervised for HealthActor {}

impl Handler<Ping> for HealthActor {
    type Result = ();

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) {
        ping.answer();
    }
}

impl Handler<Observed> for HealthActor {
    type Result = ();

    fn handle(&mut self, observed: Observed, _: &mut Self::Context) {
        self.observe(observed.node, observed.observation);
    }
}

/// Tell this one too from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Listen(pub Recipient<NodeChanged>);

impl Handler<Listen> for HealthActor {
    type Result = ();

    fn handle(&mut self, Listen(listener): Listen, _: &mut Self::Context) {
        self.listeners.push(listener);
    }
}

impl Handler<LeaseChange> for HealthActor {
    type Result = ();

    fn handle(&mut self, change: LeaseChange, ctx: &mut Self::Context) {
        match change {
            LeaseChange::Taken { quiet: false, .. } => self.settle_all(),
            LeaseChange::Taken { quiet: true, .. } => self.confirm_all(),
            LeaseChange::Lost { .. } => return,
        }
        (0..self.machines.len()).for_each(|n| self.await_end(NodeId(n), ctx));
    }
}
