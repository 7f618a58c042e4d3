//! The actors of a watcher outside of the balancers: the same health, slack, resources and supervisor, with
//! the monitor in place of whoever serves. It holds no log and no lease.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use chroma_ha_core::alert::outside::Part;
use chroma_ha_core::health::{HealthConfig, NodeState};
use chroma_ha_core::port::Node;
use chroma_ha_core::pressure::Queue;
use chroma_ha_core::pressure::Thresholds;
use chroma_ha_core::sequencer::Limits;

use super::Make;
use crate::board::Board;
use crate::guard::ActorRow;
use crate::health::HealthActor;
use crate::monitor::{MonitorActor, Target};
use crate::resources::{Load, ResourcesActor, Sampler};
use crate::roster::Roster;
use crate::slack::{Outlet, SlackActor};
use crate::stats::Stats;
use crate::supervisor::{Escalate, SupervisorActor, Voice};

/// Everything from outside.
pub struct OutsidePorts {
    /// In order of preference.
    pub nodes: Make<Vec<Arc<dyn Node>>>,
    /// Balancers and PostgreSQL.
    pub targets: Vec<Target>,
    pub sampler: Sampler,
    pub alerts: Outlet,
    pub escalate: Escalate,
}

#[derive(Clone, Copy, Debug)]
pub struct OutsideSettings {
    pub nodes: usize,
    pub health: HealthConfig,
    pub probe_timeout: Duration,
    pub thresholds: Thresholds,
    /// Between two looks at a balancer, and how long each may take.
    pub interval: Duration,
    /// Failed looks in a row until it is gone.
    pub failures: u32,
}

/// The running actors.
pub struct OutsideSystem {
    pub board: Arc<Board>,
    parts: Arc<ArcSwap<Vec<Part>>>,
    roster: Arc<Roster>,
    arbiters: Mutex<Vec<Arbiter>>,
}

impl OutsideSystem {
    pub fn start(ports: OutsidePorts, settings: OutsideSettings, stats: Arc<Stats>) -> Arc<OutsideSystem> {
        let initial = NodeState::Settling { until: settings.health.settle };
        let board = Board::new(Limits::default(), settings.nodes, initial, settings.interval);
        let (shared, watch) = (Arbiter::new(), Arbiter::new());
        stats.expect_nodes(settings.nodes);
        let roster = Arc::new(Roster::default());
        let slack = {
            let (board, outlet, stats) = (Arc::clone(&board), ports.alerts.clone(), Arc::clone(&stats));
            roster
                .start(&shared.handle(), "slack", move |own| SlackActor::new(board, None, outlet, stats, own))
        };
        let supervisor = {
            let (slack, all) = (slack.clone().recipient(), Arc::clone(&roster));
            let voice = Voice { slack, sender: ports.alerts.sender, escalate: ports.escalate };
            roster.start(&watch.handle(), "supervisor", move |own| SupervisorActor::new(all, voice, own))
        };
        roster.set_supervisor(supervisor.recipient());
        {
            let (board, stats) = (Arc::clone(&board), Arc::clone(&stats));
            let (slack, load) = (slack.clone().recipient(), Arc::new(ArcSwap::from_pointee(Load::default())));
            let (sampler, thresholds) = (ports.sampler, settings.thresholds);
            roster.start(&shared.handle(), "resources", move |own| {
                ResourcesActor::new(
                    (sampler, Box::new(Queue::default)),
                    thresholds,
                    load,
                    board,
                    stats,
                    slack,
                    own,
                )
            });
        }
        {
            let (board, nodes) = (Arc::clone(&board), ports.nodes);
            let (config, timeout) = (settings.health, settings.probe_timeout);
            roster.start(&shared.handle(), "health", move |own| {
                HealthActor::new(board, nodes(), config, timeout, Vec::new(), own, stats)
            });
        }
        let parts = Arc::new(ArcSwap::from_pointee(Vec::new()));
        {
            let (board, shown, targets) = (Arc::clone(&board), Arc::clone(&parts), ports.targets);
            let (patience, slack) = ((settings.interval, settings.failures), slack.recipient());
            roster.start(&shared.handle(), "monitor", move |own| {
                MonitorActor::new(board, targets, patience, shown, slack, own)
            });
        }
        Arc::new(OutsideSystem { board, parts, roster, arbiters: Mutex::new(vec![watch, shared]) })
    }

    /// What was seen of each part of the cluster.
    pub fn parts(&self) -> Arc<Vec<Part>> {
        self.parts.load_full()
    }

    pub fn rows(&self) -> Vec<ActorRow> {
        self.roster.rows()
    }

    pub fn stop(&self) {
        let arbiters = std::mem::take(&mut *self.arbiters.lock().unwrap_or_else(PoisonError::into_inner));
        for arbiter in arbiters {
            arbiter.stop();
        }
    }
}
