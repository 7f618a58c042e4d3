//! Start and stop order: the only file that knows every actor. What comes from outside is handed in
//! as `Ports`; each arbiter makes its own connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use chroma_ha_core::alert::backlog::BacklogLimits;
use chroma_ha_core::alert::lookout::Lookout;
use chroma_ha_core::backoff::Backoff;
use chroma_ha_core::commit::GroupLimits;
use chroma_ha_core::health::{HealthConfig, NodeState};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{LogStore, Node};
use chroma_ha_core::pressure::{Queue, Thresholds};
use chroma_ha_core::sequencer::Limits;

use crate::board::{Board, Holder};
use crate::fence::Fenced;
use crate::gate::{GateLimits, RequestGate};
use crate::guard::ActorRow;
use crate::health::{HealthActor, Listen};
use crate::proxy::{Choice, ProxyActor, ProxyConfig};
use crate::replay::apply::Delivery;
use crate::replay::copy::Conflict;
use crate::replay::{ReplayActor, Told};
use crate::resources::{Load, ResourcesActor, Sampler, Waiting};
use crate::roster::Roster;
use crate::slack::{Outlet, SlackActor};
use crate::stats::Stats;
use crate::supervisor::{Escalate, SupervisorActor, Voice};
use crate::wal::{HandOver, WalActor, WalTimes};

pub mod outside;

/// Makes a value on the arbiter that will use it.
pub type Make<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Everything from outside.
pub struct Ports {
    pub store: Make<Arc<dyn LogStore>>,
    /// In order of preference.
    pub nodes: Make<Vec<Arc<dyn Node>>>,
    pub sampler: Sampler,
    pub alerts: Outlet,
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
    /// From where on a node's backlog is told.
    pub backlog: BacklogLimits,
    pub wal: WalTimes,
    pub scan_interval: Duration,
    /// Between two verifications; zero: none by time.
    pub verify_interval: Duration,
    pub retry: Backoff,
    pub conflict: Conflict,
    /// The metadata that names a record's document; `None`: deletions are not converted.
    pub deletion_key: Option<Arc<str>>,
    pub node_timeout: Duration,
    pub gate: GateLimits,
}

/// The running actors, as the front sees them.
pub struct ActorSystem {
    pub board: Arc<Board>,
    pub stats: Arc<Stats>,
    pub gate: Arc<RequestGate>,
    pub load: Arc<ArcSwap<Load>>,
    pub wal: Addr<WalActor>,
    pub health: Addr<HealthActor>,
    /// Tells people.
    pub slack: Addr<SlackActor>,
    roster: Arc<Roster>,
    proxy: ProxyConfig,
    proxies: AtomicUsize,
    arbiters: Mutex<Vec<Arbiter>>,
}

impl ActorSystem {
    /// Starts every actor but the proxies, which the web workers start with `proxy`.
    pub fn start(ports: Ports, settings: Settings, stats: Arc<Stats>) -> Arc<ActorSystem> {
        let initial = NodeState::Settling { until: settings.health.settle };
        let board = Board::new(settings.limits, settings.nodes, initial, settings.wal.lease);
        let (shared, wal_arbiter, replay_arbiter) = (Arbiter::new(), Arbiter::new(), Arbiter::new());
        stats.expect_nodes(settings.nodes);
        let roster = Arc::new(Roster::default());

        let slack = {
            let (board, outlet, stats) = (Arc::clone(&board), ports.alerts.clone(), Arc::clone(&stats));
            let lookout = Lookout::new(settings.backlog, settings.wal.lease);
            roster.start(&shared.handle(), "slack", move |own| {
                SlackActor::new(board, Some(lookout), outlet, stats, own)
            })
        };
        // On its own thread: whoever hangs must not take it along.
        let watch = Arbiter::new();
        let supervisor = {
            let (slack, all) = (slack.clone().recipient(), Arc::clone(&roster));
            let voice = Voice { slack, sender: ports.alerts.sender, escalate: ports.escalate };
            roster.start(&watch.handle(), "supervisor", move |own| SupervisorActor::new(all, voice, own))
        };
        roster.set_supervisor(supervisor.recipient());
        let gate = RequestGate::new(settings.gate);
        let load = Arc::new(ArcSwap::from_pointee(Load::default()));
        {
            let (slack, load) = (slack.clone().recipient(), Arc::clone(&load));
            let (sampler, thresholds) = (ports.sampler, settings.thresholds);
            let waiting = queue(&gate);
            let (board, stats) = (Arc::clone(&board), Arc::clone(&stats));
            roster.start(&shared.handle(), "resources", move |own| {
                ResourcesActor::new((sampler, waiting), thresholds, load, board, stats, slack, own)
            });
        }
        let health = {
            let (board, nodes) = (Arc::clone(&board), Arc::clone(&ports.nodes));
            let (config, timeout, stats) = (settings.health, settings.probe_timeout, Arc::clone(&stats));
            let listeners = vec![slack.clone().recipient()];
            roster.start(&shared.handle(), "health", move |own| {
                HealthActor::new(board, nodes(), config, timeout, listeners, own, stats)
            })
        };
        let wal = {
            let (board, store, stats) = (Arc::clone(&board), Arc::clone(&ports.store), Arc::clone(&stats));
            let (group, times) = (settings.group, settings.wal);
            let listeners = vec![health.clone().recipient(), slack.clone().recipient()];
            roster.start(&wal_arbiter.handle(), "wal", move |own| {
                own.bears_permits(settings.gate.requests);
                WalActor::new(board, store(), group, times, listeners, own, stats)
            })
        };
        health.do_send(Listen(wal.clone().recipient()));
        for n in 0..settings.nodes {
            let node = NodeId(n);
            let (board, wal, stats) = (Arc::clone(&board), wal.clone(), Arc::clone(&stats));
            let (health, alerts) = (health.clone().recipient(), slack.clone().recipient());
            let (store, nodes, settings) =
                (Arc::clone(&ports.store), Arc::clone(&ports.nodes), settings.clone());
            roster.start(&replay_arbiter.handle(), format!("replay {node}"), move |own| {
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
        Arc::new(ActorSystem {
            board,
            stats,
            gate,
            load,
            wal,
            health,
            slack,
            roster,
            proxy: settings.proxy,
            proxies: AtomicUsize::new(0),
            arbiters: Mutex::new(vec![watch, wal_arbiter, replay_arbiter, shared]),
        })
    }

    /// A web worker's proxy, on the arbiter that calls this.
    pub fn proxy(&self) -> (Addr<ProxyActor>, Arc<Choice>) {
        let worker = self.proxies.fetch_add(1, Ordering::Relaxed);
        let (board, wal, config) = (Arc::clone(&self.board), self.wal.clone(), self.proxy);
        let (stats, permits) = (Arc::clone(&self.stats), self.gate.fill().limit);
        let choice = Choice::new(Arc::clone(&board), config);
        let chosen_by = Arc::clone(&choice);
        let proxy = self.roster.start(&Arbiter::current(), format!("proxy {worker}"), move |own| {
            own.bears_permits(permits);
            ProxyActor::new(board, wal, config, chosen_by, own, stats)
        });
        (proxy, choice)
    }

    pub fn rows(&self) -> Vec<ActorRow> {
        self.roster.rows()
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

/// How many requests wait at the gate.
fn queue(gate: &Arc<RequestGate>) -> Waiting {
    let gate = Arc::clone(gate);
    Box::new(move || {
        let fill = gate.fill();
        Queue {
            in_flight: fill.in_flight,
            in_flight_limit: fill.limit,
            queued: fill.queued,
            queued_limit: fill.queue_limit,
            appends_waiting: 0,
        }
    })
}
