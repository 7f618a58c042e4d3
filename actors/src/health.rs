//! Watches the nodes: probes them, hears what requests met, and publishes each node's state. The rules
//! are `core::health`; here is the clock and the wire.
//!
//! What wakes it: 1. a probe's end; 2. the next probe's time, per node; 3. an outcome reported by a
//! request; 4. a change of the lease: every node settles,
//! unless nothing that was sent before can still be executing.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use chroma_ha_core::health::{Change, Health, HealthConfig, NodeState, Observation};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{Node, NodeFault, NodeRequest};
use tracing::{info, warn};

use crate::board::Board;
use crate::guard::{Ping, Watched};
use crate::stats::Stats;
use crate::wal::LeaseChange;

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

struct Probed {
    node: NodeId,
    life: u64,
    result: Result<Duration, NodeFault>,
}

impl Message for Probed {
    type Result = ();
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

    fn jitter(&mut self) -> f64 {
        self.jitter = self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        f64::from(u16::try_from(self.jitter >> 48).unwrap_or(0)) / f64::from(u16::MAX)
    }

    fn probe(&self, node: NodeId, ctx: &mut Context<Self>) {
        let (port, me, life, timeout) =
            (Arc::clone(&self.nodes[node.0]), ctx.address(), self.life, self.probe_timeout);
        self.watched.spawn(async move {
            let started = tokio::time::Instant::now();
            let request = NodeRequest {
                method: "GET",
                path: "/api/v2/heartbeat".to_owned(),
                headers: Vec::new(),
                body: Bytes::new(),
                timeout,
            };
            let result = match port.call(request).await {
                Ok(answer) if answer.status == 200 => Ok(started.elapsed()),
                Ok(answer) => Err(NodeFault::Lost(format!("the heartbeat was answered {}", answer.status))),
                Err(fault) => Err(fault),
            };
            me.do_send(Probed { node, life, result });
        });
    }

    fn schedule(&mut self, node: NodeId, ctx: &mut Context<Self>) {
        let jitter = self.jitter();
        let wait = self.machines[node.0].next_probe(self.board.uptime(), jitter);
        ctx.run_later(wait, move |actor, ctx| {
            actor.observe(node, Observation::Tick);
            actor.probe(node, ctx);
        });
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
            NodeState::Up | NodeState::CatchingUp | NodeState::Settling { .. } => {
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
            let reason = "the lease was taken: earlier requests may still be executed";
            self.show(NodeId(n), self.machines[n].state(), reason);
        }
    }

    /// The lease changed hands with nothing in doubt: each node is what it was seen to be.
    fn confirm_all(&self) {
        for n in 0..self.machines.len() {
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

impl Handler<Probed> for HealthActor {
    type Result = ();

    fn handle(&mut self, probed: Probed, ctx: &mut Self::Context) {
        if probed.life != self.life {
            return;
        }
        self.watched.beat();
        let observation = match probed.result {
            Ok(latency) => Observation::ProbeOk { latency },
            Err(fault) => Observation::ProbeFailed(fault),
        };
        self.observe(probed.node, observation);
        self.schedule(probed.node, ctx);
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

    fn handle(&mut self, change: LeaseChange, _: &mut Self::Context) {
        match change {
            LeaseChange::Taken { quiet: false, .. } => self.settle_all(),
            LeaseChange::Taken { quiet: true, .. } => self.confirm_all(),
            LeaseChange::Lost { .. } => {}
        }
    }
}
