//! The stack that is struck: begins and ends faults, starts again what ended by itself as an orchestrator
//! does, and says when everything is well again. It draws nothing and judges no record.

use std::fs;
use std::time::{Duration, Instant};

use chroma_ha::dev::Chroma;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::plan::{Fault, Target, Turn};
use crate::harness::chaos::{ChaosProxy, Mode};
use crate::harness::client::try_request;
use crate::harness::{Balancer, Stack, until};

/// Every node up and everything applied, after healing.
pub(crate) const CONVERGED_IN: Duration = Duration::from_secs(90);

/// After that the server's process exists, whether it answers or not.
const LAUNCHED_IN: Duration = Duration::from_millis(50);

const ANSWER_IN: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(100);

pub(crate) struct Arena {
    second: Option<(Balancer, ChaosProxy)>,
    pub(crate) stack: Stack,
    /// Not started again while its fault lasts.
    down: [bool; 2],
    /// Balancers that ended by themselves, and how.
    exits: Vec<String>,
}

fn signal_tree(pid: Option<u32>, signal: Signal) {
    let pid = pid.expect("a running process");
    let send = |pid: u32| {
        if let Ok(pid) = i32::try_from(pid) {
            let _gone = kill(Pid::from_raw(pid), signal);
        }
    };
    send(pid);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // pid (name) state parent
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if parent.and_then(|parent| parent.parse().ok()) == Some(pid) {
            send(child);
        }
    }
}

/// Started, not waited for: what is planned next does not wait either.
async fn launch(node: &mut Chroma) {
    let _later = timeout(LAUNCHED_IN, node.start_again()).await;
}

impl Arena {
    pub(crate) async fn over(mut stack: Stack, balancers: usize) -> Self {
        let second = if balancers > 1 {
            let balancer = stack.launch_beside();
            let proxy = ChaosProxy::before(balancer.port()).await;
            Some((balancer, proxy))
        } else {
            None
        };
        let arena = Self { second, stack, down: [false; 2], exits: Vec::new() };
        until(CONVERGED_IN, "every node is up", async || arena.unwell().await.is_none()).await;
        arena
    }

    /// Where clients go.
    pub(crate) fn urls(&self) -> Vec<String> {
        let first = self.stack.links().clients.url();
        std::iter::once(first).chain(self.second.iter().map(|(_, proxy)| proxy.url())).collect()
    }

    pub(crate) fn balancers(&mut self) -> Vec<&mut Balancer> {
        let second = self.second.as_mut().map(|(balancer, _)| balancer);
        std::iter::once(&mut self.stack.balancer).chain(second).collect()
    }

    fn balancer(&mut self, at: usize) -> &mut Balancer {
        self.balancers().swap_remove(at)
    }

    pub(crate) async fn take(&mut self, turn: &Turn) {
        match (turn.target, turn.fault) {
            (Target::Balancer(at), fault) => self.balancer_turn(at, fault, turn.begins),
            (Target::Node(at), fault) => self.node_turn(at, fault, turn.begins).await,
            (Target::Postgres, fault) => self.postgres_turn(fault, turn.begins).await,
            (_, Fault::Link(mode)) => {
                let mode = if turn.begins { mode } else { Mode::Pass };
                self.link(turn.target).set(mode).await;
            }
            (target, fault) => panic!("{fault:?} of {target:?} is no fault"),
        }
    }

    fn link(&self, target: Target) -> &ChaosProxy {
        let links = self.stack.links();
        match target {
            Target::NodeLink(at) => &links.nodes[at],
            Target::DatabaseLink => &links.database,
            _ => &links.clients,
        }
    }

    fn balancer_turn(&mut self, at: usize, fault: Fault, begins: bool) {
        match (fault, begins) {
            (Fault::Pause, true) => self.balancer(at).signal(Signal::SIGSTOP),
            (Fault::Pause, false) => self.balancer(at).signal(Signal::SIGCONT),
            (_, true) => {
                self.down[at] = true;
                self.balancer(at).kill9();
            }
            (_, false) => {
                self.down[at] = false;
                self.balancer(at).launch();
            }
        }
    }

    async fn node_turn(&mut self, at: usize, fault: Fault, begins: bool) {
        let node = &mut self.stack.nodes[at];
        match (fault, begins) {
            (Fault::Pause, true) => node.sigstop(),
            (Fault::Pause, false) => node.sigcont(),
            (Fault::Wipe, true) => node.wipe().expect("an empty disk"),
            (_, true) => node.kill9(),
            (_, false) => launch(node).await,
        }
    }

    async fn postgres_turn(&mut self, fault: Fault, begins: bool) {
        let postgres = self.stack.postgres.as_mut().expect("its own");
        match (fault, begins) {
            (Fault::Pause, true) => signal_tree(postgres.pid(), Signal::SIGSTOP),
            (Fault::Pause, false) => signal_tree(postgres.pid(), Signal::SIGCONT),
            (_, true) => postgres.stop_immediate().await,
            (_, false) => postgres.start_again().await.expect("PostgreSQL again"),
        }
    }

    /// What ended by itself is started again.
    pub(crate) fn watch(&mut self) {
        for at in 0..self.balancers().len() {
            if !self.down[at] && !self.balancer(at).is_running() {
                let code = self.balancer(at).exit_code();
                self.exits.push(format!("balancer {} ended by itself with {code:?}", at + 1));
                self.balancer(at).launch();
            }
        }
    }

    pub(crate) fn exits(&self) -> &[String] {
        &self.exits
    }

    /// Every fault of the plan has ended; all servers run.
    pub(crate) async fn heal(&mut self) {
        self.stack.links().heal().await;
        self.watch();
        for node in &mut self.stack.nodes {
            if !node.is_running() {
                node.start_again().await.expect("the node again");
            }
        }
    }

    /// Waits until all is well; what is not within the time.
    pub(crate) async fn converged(&mut self) -> Option<String> {
        let begun = Instant::now();
        while let Some(reason) = self.unwell().await {
            if begun.elapsed() > CONVERGED_IN {
                return Some(format!("not all well {CONVERGED_IN:?} after healing: {reason}"));
            }
            self.watch();
            sleep(POLL).await;
        }
        None
    }

    /// The balancer that holds the lease, by its own address.
    pub(crate) async fn holder(&self) -> Option<(String, Value)> {
        let second = self.second.as_ref().map(|(balancer, _)| balancer.url());
        for url in std::iter::once(self.stack.balancer.url()).chain(second) {
            let asked = timeout(ANSWER_IN, try_request(Method::GET, &format!("{url}/status"), None)).await;
            if let Some((200, status)) =
                asked.ok().and_then(Result::ok).filter(|(_, status)| status["role"] == "holder")
            {
                return Some((url, status));
            }
        }
        None
    }

    async fn unwell(&self) -> Option<String> {
        let Some((_, status)) = self.holder().await else { return Some("nobody holds the lease".to_owned()) };
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let well = |node: &Value| {
            node["state"] == "up" && node["lag_entries"] == 0 && node["quarantined_collections"] == 0
        };
        let idle = status["write_ahead_log"]["pending_writes"] == 0;
        let all = nodes.len() == self.stack.nodes.len() && nodes.iter().all(well);
        (!idle || !all).then(|| format!("{} {}", status["write_ahead_log"], status["nodes"]))
    }
}
