//! Start and stop order: the only file that knows every actor. What comes from outside is handed in
//! as `Ports`; each arbiter makes its own connections.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use chroma_ha_core::backoff::Backoff;
use chroma_ha_core::commit::GroupLimits;
use chroma_ha_core::health::{HealthConfig, NodeState};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{LogStore, Node};
use chroma_ha_core::pressure::Thresholds;
use chroma_ha_core::sequencer::Limits;

use crate::board::{Board, Holder};
use crate::fence::Fenced;
use crate::gate::RequestGate;
use crate::guard::{self, ActorRow, Fell, Watched};
use crate::health::{HealthActor, Listen};
use crate::proxy::{ProxyActor, ProxyConfig};
use crate::replay::apply::Delivery;
use crate::replay::copy::Conflict;
use crate::replay::{ReplayActor, Told};
use crate::resources::{Load, ResourcesActor, Sampler};
use crate::slack::{Sender, SlackActor};
use crate::stats::Stats;
use crate::supervisor::{Escalate, SupervisorActor};
use crate::wal::{HandOver, WalActor, WalTimes};

/// Makes a value on the arbiter that will use it.
pub type Make<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Everything from outside.
pub struct Ports {
    pub store: Make<Arc<dyn LogStore>>,
    /// In order of preference.
    pub nodes: Make<Vec<Arc<dyn Node>>>,
    pub sampler: Sampler,
    pub alerts: Option<Sender>,
    pub escalate: Escalate,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub nodes: usize,
    pub limits: Limits,
    pub group: GroupLimits,
    pub health: HealthConfig,
    pub probe_timeout: Duration,
    pub proxy: ProxyConfig,
    pub thresholds: Thresholds,
    pub wal: WalTimes,
    pub scan_interval: Duration,
    /// Between two verifications; zero: none by time.
    pub verify_interval: Duration,
    pub retry: Backoff,
    pub conflict: Conflict,
    /// The metadata that names a record's document; `None`: deletions are not converted.
    pub deletion_key: Option<Arc<str>>,
    pub node_timeout: Duration,
    pub max_requests: usize,
    pub max_queued: usize,
    pub queue_timeout: Duration,
}

/// The running actors, as the front sees them.
pub struct ActorSystem {
    pub board: Arc<Board>,
    pub stats: Arc<Stats>,
    pub gate: Arc<RequestGate>,
    pub load: Arc<ArcSwap<Load>>,
    pub wal: Addr<WalActor>,
    pub health: Addr<HealthActor>,
    supervisor: Addr<SupervisorActor>,
    proxy: ProxyConfig,
    watched: Mutex<Vec<Arc<Watched>>>,
    arbiters: Mutex<Vec<Arbiter>>,
}

/// Mailboxes hold facts and wake-ups; the bound on work is the gate's.
const MAILBOX: usize = 1024;

impl ActorSystem {
    /// Starts every actor but the proxies, which the web workers start with `proxy`.
    pub fn start(ports: Ports, settings: Settings, stats: Arc<Stats>) -> Arc<ActorSystem> {
        let initial = NodeState::Settling { until: settings.health.settle };
        let board = Board::new(settings.limits, settings.nodes, initial, settings.wal.lease);
        let (shared, wal_arbiter, replay_arbiter) = (Arbiter::new(), Arbiter::new(), Arbiter::new());
        stats.expect_nodes(settings.nodes);
        let mut watched = Vec::new();
        let mut watch = |name: String| {
            let row = Watched::new(name, MAILBOX);
            watched.push(Arc::clone(&row));
            row
        };

        let slack = {
            let (row, board, sender) = (watch("slack".into()), Arc::clone(&board), ports.alerts);
            let (own, stats) = (Arc::clone(&row), Arc::clone(&stats));
            // The supervisor reports to it, so nobody but the log hears of its own falls.
            guard::start(
                &shared.handle(),
                row,
                |fell: Fell| tracing::error!(?fell, "an actor fell"),
                move |_| SlackActor::new(board, sender, stats, own),
            )
        };
        let supervisor = {
            let (row, slack, escalate) =
                (watch("supervisor".into()), slack.clone().recipient(), ports.escalate);
            let own = Arc::clone(&row);
            guard::start(
                &shared.handle(),
                row,
                |fell: Fell| tracing::error!(?fell, "an actor fell"),
                move |_| SupervisorActor::new(slack, escalate, own),
            )
        };
        let tell = |supervisor: &Addr<SupervisorActor>| {
            let supervisor = supervisor.clone();
            move |fell: Fell| drop(supervisor.try_send(fell))
        };
        let load = Arc::new(ArcSwap::from_pointee(Load::default()));
        {
            let (row, slack, load) =
                (watch("resources".into()), slack.clone().recipient(), Arc::clone(&load));
            let (own, sampler, thresholds) = (Arc::clone(&row), ports.sampler, settings.thresholds);
            let (board, stats) = (Arc::clone(&board), Arc::clone(&stats));
            guard::start(&shared.handle(), row, tell(&supervisor), move |_| {
                ResourcesActor::new(sampler, thresholds, load, board, stats, slack, own)
            });
        }
        let health = {
            let (row, board, nodes) = (watch("health".into()), Arc::clone(&board), Arc::clone(&ports.nodes));
            let (own, config, timeout) = (Arc::clone(&row), settings.health, settings.probe_timeout);
            let listeners = vec![slack.clone().recipient()];
            let stats = Arc::clone(&stats);
            guard::start(&shared.handle(), row, tell(&supervisor), move |_| {
                HealthActor::new(board, nodes(), config, timeout, listeners, own, stats)
            })
        };
        let wal = {
            let (row, board, store) = (watch("wal".into()), Arc::clone(&board), Arc::clone(&ports.store));
            let (own, group, times, stats) =
                (Arc::clone(&row), settings.group, settings.wal, Arc::clone(&stats));
            let listeners = vec![health.clone().recipient(), slack.clone().recipient()];
            guard::start(&wal_arbiter.handle(), row, tell(&supervisor), move |_| {
                WalActor::new(board, store(), group, times, listeners, own, stats)
            })
        };
        health.do_send(Listen(wal.clone().recipient()));
        for n in 0..settings.nodes {
            let node = NodeId(n);
            let (row, board, wal) = (watch(format!("replay {node}")), Arc::clone(&board), wal.clone());
            let (own, health, stats) = (Arc::clone(&row), health.clone().recipient(), Arc::clone(&stats));
            let alerts = slack.clone().recipient();
            let (store, nodes, settings) =
                (Arc::clone(&ports.store), Arc::clone(&ports.nodes), settings.clone());
            guard::start(&replay_arbiter.handle(), row, tell(&supervisor), move |_| {
                let delivery = Delivery {
                    node,
                    ports: Fenced::all(&board.counted(nodes()), &board),
                    log: store(),
                    board,
                    epoch: 0,
                    wal,
                    health,
                    stats,
                    backoff: settings.retry,
                    timeout: settings.node_timeout,
                    attempts: settings.limits.attempts,
                    conflict: settings.conflict,
                    deletion_key: settings.deletion_key.clone(),
                    alerts: alerts.clone(),
                };
                let (scan, verify) = (settings.scan_interval, settings.verify_interval);
                ReplayActor::new(delivery, scan, verify, Told::new(alerts), own)
            });
        }
        let gate = RequestGate::new(settings.max_requests, settings.max_queued, settings.queue_timeout);
        Arc::new(ActorSystem {
            board,
            stats,
            gate,
            load,
            wal,
            health,
            supervisor,
            proxy: settings.proxy,
            watched: Mutex::new(watched),
            arbiters: Mutex::new(vec![wal_arbiter, replay_arbiter, shared]),
        })
    }

    /// A web worker's proxy, on the arbiter that calls this.
    pub fn proxy(&self) -> Addr<ProxyActor> {
        let row = {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            let worker = watched.iter().filter(|row| row.name.starts_with("proxy")).count();
            let row = Watched::new(format!("proxy {worker}"), MAILBOX);
            watched.push(Arc::clone(&row));
            row
        };
        let (board, wal, config) = (Arc::clone(&self.board), self.wal.clone(), self.proxy);
        let (own, stats, supervisor) = (Arc::clone(&row), Arc::clone(&self.stats), self.supervisor.clone());
        guard::start(
            &Arbiter::current(),
            row,
            move |fell| drop(supervisor.try_send(fell)),
            move |_| ProxyActor::new(board, wal, config, own, stats),
        )
    }

    pub fn rows(&self) -> Vec<ActorRow> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|w| w.row()).collect()
    }

    /// Gives the lease to another balancer, if there is one, and waits until it has it: what comes meanwhile
    /// is held, what comes after is answered there.
    pub async fn hand_over(&self, within: Duration) {
        let lease = &self.board.lease;
        if lease.holder() != Holder::Here || lease.company().others.is_empty() {
            return;
        }
        let mut holder = lease.watch();
        let given = async {
            let _ = self.wal.send(HandOver { within }).await;
            let _ = holder.wait_for(|holder| matches!(holder, Holder::Elsewhere(_))).await;
        };
        if tokio::time::timeout(within * 2, given).await.is_err() {
            tracing::warn!("no other balancer took the log in time");
        }
    }

    /// After the front stopped accepting and its requests ended: flush, release, end.
    pub async fn stop(&self, within: Duration) {
        if tokio::time::timeout(within, self.wal.send(HandOver { within: within / 2 })).await.is_err() {
            tracing::warn!("the log did not let go in time; entries will be applied again");
        }
        let arbiters = std::mem::take(&mut *self.arbiters.lock().unwrap_or_else(PoisonError::into_inner));
        for arbiter in arbiters {
            arbiter.stop();
        }
    }
}
