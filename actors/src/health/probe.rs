//! One heartbeat asked of a node, when the next one is due, and what its end says. What follows from that is
//! `core::health`'s to say.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use chroma_ha_core::health::Observation;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{NodeFault, NodeRequest};

use super::HealthActor;

struct Probed {
    node: NodeId,
    life: u64,
    result: Result<Duration, NodeFault>,
}

impl Message for Probed {
    type Result = ();
}

impl HealthActor {
    fn jitter(&mut self) -> f64 {
        self.jitter = self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        f64::from(u16::try_from(self.jitter >> 48).unwrap_or(0)) / f64::from(u16::MAX)
    }

    pub(super) fn probe(&self, node: NodeId, ctx: &mut Context<Self>) {
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
        let fault =
            if let Observation::ProbeFailed(fault) = &observation { Some(fault.to_string()) } else { None };
        self.board.posts[probed.node.0].probe_fault.store(fault.map(Arc::new));
        self.follow_orders(ctx);
        self.observe(probed.node, observation);
        self.schedule(probed.node, ctx);
    }
}
