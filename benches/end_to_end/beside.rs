//! Servers that one measurement needs beside the others: a balancer with one node only, and a second bare Chroma.
//! They hold what the others hold and end with their measurement; it measures nothing.

use chroma_ha::dev::{Chroma, ChromaOptions};

use super::figures::Side;
use super::ground::{Real, Target, create, hold};
use super::page::until_applied;
use super::requests::Requests;
use crate::harness::{Options, Stack, toolbox};

/// A balancer with one node: what it costs when no replica takes part of the machine.
pub(crate) struct Single {
    stack: Stack,
    pub(crate) requests: Requests,
}

impl Single {
    pub(crate) async fn start() -> Self {
        eprintln!("starting a balancer with one Chroma server");
        let stack = Stack::start(Options { nodes: 1, ..Options::default() }).await;
        let port = stack.balancer.port();
        hold(port, &create(port, "held").await).await;
        let requests = create(port, "bench").await;
        until_applied(port).await;
        Self { stack, requests }
    }

    pub(crate) fn target(&self) -> Target {
        let balancer = &self.stack.balancer;
        Target { side: Side::Balancer, port: balancer.port(), pid: balancer.pid() }
    }
}

/// A bare server like the one that is asked directly.
pub(crate) async fn second(real: &Real) -> Chroma {
    eprintln!("starting a second bare Chroma server");
    let options = ChromaOptions::new("second", real.stack.place.join(&format!("second-{}", real.pairs())));
    let second = Chroma::start(&toolbox(), options).await.unwrap_or_else(|reason| panic!("{reason}"));
    hold(second.port(), &create(second.port(), "held").await).await;
    second
}
