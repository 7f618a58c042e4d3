//! The composition root: configuration → ports → actors → front, and back down again. The only room
//! that sees both sides; `boot/monitor.rs` puts the watcher together.

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chroma_ha_actors::resources::Sampler;
use chroma_ha_actors::slack::{Outlet, Raise, Sender};
use chroma_ha_actors::stats::Stats;
use chroma_ha_actors::supervisor::Escalate;
use chroma_ha_actors::system::{ActorSystem, Make, Ports};
use chroma_ha_actors::wal::now_unix_ms;
use chroma_ha_core::alert::file::{self, Kept};
use chroma_ha_core::backoff::{Backoff, BackoffError};
use chroma_ha_core::port::{LogStore, Node, StoreError};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::chroma::{Address, ChromaNode, ClientError};
use crate::config::{Alerts, Config, NodeConfig, Upstream};
use crate::front;
use crate::host::{self, Host};
use crate::postgres::{self, PgLog};
use crate::slack::{Slack, SlackError};
use crate::tls::Certificate;

mod monitor;
mod settings;

pub use monitor::monitor;

use settings::settings;

/// Why the balancer did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error(transparent)]
    Database(#[from] postgres::SettingsError),
    #[error("{0}; check DATABASE_URL and that the server is up")]
    Log(#[from] StoreError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("API_KEYS_FILE is refused: {0}")]
    Keys(String),
    #[error("TLS cannot be served: {0}")]
    Tls(String),
    #[error("the metrics cannot be set up: {0}")]
    Metrics(String),
    #[error("WAL_RETRY_DELAY is refused: {0}")]
    Retry(#[from] BackoffError),
    #[error(transparent)]
    Slack(#[from] SlackError),
    #[error("cannot listen on {address}: {cause}; is another process using PORT?")]
    Listen { address: String, cause: std::io::Error },
    #[error("the server ended: {0}")]
    Served(std::io::Error),
}

/// How long a PostgreSQL that is still starting is waited for.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

/// After a stop signal requests are still accepted for so long, while `/readyz` says no.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Longest wait for writes under way before the lease is given to another balancer, and again for that one
/// to take it.
const HAND_OVER: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT. To be called on an actix system.
pub async fn serve(config: Config) -> Result<(), BootError> {
    let database = postgres::Settings::parse(config.database.url.expose())?;
    // As process 1 of a container nothing but our own ear for it ends us.
    tokio::select! {
        migrated = migrate(&database) => migrated?,
        () = asked_to_stop() => {
            info!("stopped while waiting for PostgreSQL");
            return Ok(());
        }
    }
    let stats = Arc::new(Stats::try_new().map_err(|error| BootError::Metrics(error.to_string()))?);
    let address = format!("{}:{}", config.listen.address, config.listen.port);
    // Before the lease is sought: who has the address of the last holder has its place.
    let bound = TcpListener::bind((config.listen.address, config.listen.port));
    let bound = bound.map_err(|cause| BootError::Listen { address: address.clone(), cause })?;
    let addresses = addresses(&config)?;
    let keys = config.keys.clone().map(front::KeyRing::try_new).transpose().map_err(BootError::Keys)?;
    let keys = keys.map(Arc::new);
    let certificate = config.listen.tls.clone().map(Certificate::try_new).transpose();
    let certificate = certificate.map_err(BootError::Tls)?.map(Arc::new);
    let system = ActorSystem::start(ports(&config, &database)?, settings(&config)?, stats);
    if let Some(ring) = &keys {
        actix_rt::spawn(Arc::clone(ring).watch(told(&system, Kept::ApiKeys)));
    }
    if let Some(shown) = &certificate {
        actix_rt::spawn(Arc::clone(shown).watch(told(&system, Kept::Certificate)));
    }
    let shared = Arc::new(front::Shared {
        system: Arc::clone(&system),
        advertised: advertised(&config),
        config,
        stopping: AtomicBool::new(false),
        dashboard: front::Dashboard::default(),
        keys,
        certificate,
        addresses,
    });
    let listened = bound.set_nonblocking(true).and_then(|()| front::serve(Arc::clone(&shared), bound));
    let server = listened.map_err(|cause| BootError::Listen { address: address.clone(), cause })?;
    info!(address, nodes = shared.config.nodes.len(), "serving");
    let handle = server.handle();
    let mut running = Box::pin(server);
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = asked_to_stop() => {
            info!("stopping: requests in flight end first");
            shared.stopping.store(true, Ordering::Relaxed);
            system.hand_over(HAND_OVER.min(shared.config.listen.shutdown_timeout / 4)).await;
            // Still served: a connection that was made before the signal may not have been read yet.
            tokio::time::sleep(LAST_CALL).await;
            tokio::join!(handle.stop(true), &mut running).1
        }
    };
    system.stop(Duration::from_secs(5)).await;
    info!("stopped");
    ended.map_err(BootError::Served)
}

/// People are told of a file that cannot be used, and of its end.
fn told(system: &ActorSystem, kept: Kept) -> impl Fn(Option<String>) + use<> {
    let slack = system.slack.clone();
    move |fault| {
        let at_ms = now_unix_ms();
        let alert = match fault {
            Some(fault) => file::unusable(kept, &fault, at_ms),
            None => file::usable(kept, at_ms),
        };
        slack.do_send(Raise { alert });
    }
}

async fn asked_to_stop() {
    let mut signals = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        match signal(kind) {
            Ok(stream) => signals.push(stream),
            Err(error) => warn!(%error, "a stop signal cannot be listened for"),
        }
    }
    let waits = signals.iter_mut().map(|stream| Box::pin(stream.recv()));
    let waits: Vec<_> = waits.collect();
    if waits.is_empty() {
        return std::future::pending().await;
    }
    futures_util::future::select_all(waits).await;
}

/// Brings the tables up to date; a server that is not up yet is waited for.
async fn migrate(database: &postgres::Settings) -> Result<(), BootError> {
    let started = Instant::now();
    loop {
        match postgres::migrate(database).await {
            Ok(report) => {
                info!(?report, "the log's tables are up to date");
                return Ok(());
            }
            Err(error @ StoreError::Unavailable(_)) if started.elapsed() < DATABASE_PATIENCE => {
                warn!(%error, "waiting for PostgreSQL");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn ports(config: &Config, database: &postgres::Settings) -> Result<Ports, BootError> {
    let store_settings = database.clone();
    let (advertised, lease) = (advertised(config), config.wal.lease_time);
    let store = move || PgLog::new(store_settings.clone()).advertising(advertised.clone()).leasing(lease);
    Ok(Ports {
        store: Arc::new(move || Arc::new(store()) as Arc<dyn LogStore>),
        nodes: nodes(&config.nodes, &config.upstream)?,
        sampler: sampler(),
        alerts: outlet(&config.alerts, &config.listen.service_name)?,
        escalate: give_up(),
    })
}

fn nodes(nodes: &[NodeConfig], upstream: &Upstream) -> Result<Make<Vec<Arc<dyn Node>>>, ClientError> {
    let (nodes, upstream) = (nodes.to_vec(), upstream.clone());
    let make = move || -> Result<Vec<Arc<dyn Node>>, ClientError> {
        nodes.iter().map(|node| Ok(Arc::new(ChromaNode::new(node, &upstream)?) as Arc<dyn Node>)).collect()
    };
    make()?;
    #[expect(clippy::expect_used, reason = "the same clients were made a line above")]
    let made = move || make().expect("the node clients were set up once already");
    Ok(Arc::new(made))
}

fn addresses(config: &Config) -> Result<Vec<Arc<Address>>, ClientError> {
    let authorities = config.upstream.ca_file.as_deref();
    config.nodes.iter().map(|node| Address::new(node, authorities).map(Arc::new)).collect()
}

fn sampler() -> Sampler {
    let mut host = Host::new();
    Box::new(move || host.sample())
}

/// Where other balancers reach this one.
fn advertised(config: &Config) -> String {
    let listen = &config.listen;
    if let Some(url) = &listen.advertise_url {
        return url.expose().to_owned();
    }
    let host = match listen.address {
        address if address.is_unspecified() => host::name().unwrap_or_else(|| "localhost".to_owned()),
        IpAddr::V6(address) => format!("[{address}]"),
        IpAddr::V4(address) => address.to_string(),
    };
    let scheme = if listen.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{host}:{}", listen.port)
}

/// One client for all attempts, from whichever thread.
fn outlet(alerts: &Alerts, service: &str) -> Result<Outlet, BootError> {
    let slack = alerts.webhook.clone().map(|webhook| Slack::try_new(webhook, service)).transpose()?;
    let sender = slack.map(|slack| {
        let sender: Sender = Arc::new(move |alert| {
            let slack = slack.clone();
            Box::pin(async move { slack.send(&alert).await })
        });
        sender
    });
    Ok(Outlet { sender, backoff: Backoff::try_new(Duration::from_secs(1), 2, Duration::from_secs(60))? })
}

fn give_up() -> Escalate {
    Arc::new(|reason| {
        tracing::error!(reason, "giving up, so that the container starts afresh");
        std::process::exit(70);
    })
}
