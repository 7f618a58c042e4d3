//! What clients talk to: one actix-web server, every request classified once and answered by the part
//! that knows how. It holds no state of the log; it asks the actors.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::Addr;
use actix_web::{App, HttpServer, web};
use chroma_ha_actors::proxy::{Choice, ProxyActor};
use chroma_ha_actors::stats::Tally;
use chroma_ha_actors::system::ActorSystem;
use reqwest::Client;
use rustls::ClientConfig;

use crate::chroma::{Address, ClientError, Connections};
use crate::config::{Config, Limits};
use crate::tls::{Certificate, Own};

mod access;
mod admin;
mod asked;
mod catalog;
mod credential;
mod dashboard;
mod dispatch;
mod entrance;
mod exchange;
mod fate;
mod forward;
mod hop;
mod idempotency;
mod idle;
mod intake;
mod keyring;
mod metrics;
mod monitor;
mod own;
mod peer;
mod read;
mod rescue;
mod restored;
mod status;
mod turn;
mod v1;
mod write;

pub use dashboard::Dashboard;
pub use keyring::KeyRing;
pub use monitor::{Watcher, serve as watch};
pub use peer::{client as balancers, trust};

/// Longest time for the beginning of TLS: until then a connection is nobody's.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often connections that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// What the whole front shares.
pub struct Shared {
    pub system: Arc<ActorSystem>,
    pub config: Config,
    /// Where other balancers reach this one.
    pub advertised: String,
    /// Set when the balancer begins to stop: it is no longer ready, but answers what comes.
    pub stopping: AtomicBool,
    pub dashboard: Dashboard,
    /// `None`: nobody is asked for a key.
    pub keys: Option<Arc<KeyRing>>,
    /// `None`: plain HTTP.
    pub certificate: Option<Arc<Certificate>>,
    /// Where the nodes are, by place.
    pub addresses: Vec<Arc<Address>>,
}

impl Shared {
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whom this balancer believes to be another one.
    fn trust(&self) -> Result<ClientConfig, ClientError> {
        let own = self.certificate.as_ref().map_or(Own::None, |shown| Own::Shown(Arc::clone(shown)));
        peer::trust(self.config.listen.advertise_ca.as_deref(), own)
    }
}

/// What one web worker has for itself: its proxy actor and its connections to the nodes.
#[derive(Clone)]
pub struct Worker {
    shared: Arc<Shared>,
    proxy: Addr<ProxyActor>,
    choice: Arc<Choice>,
    tally: Rc<Tally>,
    client: Client,
    connections: Rc<Connections>,
    clients: Rc<idle::Connections>,
}

impl Worker {
    fn start(shared: &Arc<Shared>, trust: &ClientConfig) -> Result<Worker, ClientError> {
        let idle = shared.config.upstream.pool_size;
        let (proxy, choice) = shared.system.proxy();
        Ok(Worker {
            shared: Arc::clone(shared),
            proxy,
            choice,
            tally: Rc::new(Tally::new(Arc::clone(&shared.system.stats))),
            client: peer::client(trust.clone(), idle)?,
            connections: swept(Connections::new(&shared.addresses, idle)),
            clients: watched(shared.config.limits),
        })
    }
}

/// Connections of clients that nobody uses are closed while the worker lives. Who begins to ask at the last moment
/// has the time for a request's head.
fn watched(limits: Limits) -> Rc<idle::Connections> {
    let clients = Rc::new(idle::Connections::default());
    let longest = limits.client_idle_timeout + limits.client_timeout;
    let watched = Rc::downgrade(&clients);
    actix_rt::spawn(async move {
        while let Some(clients) = watched.upgrade() {
            clients.close_idle(longest);
            drop(clients);
            actix_rt::time::sleep(idle::LOOK).await;
        }
    });
    clients
}

/// Connections that nobody uses are closed while the worker lives.
fn swept(connections: Connections) -> Rc<Connections> {
    let connections = Rc::new(connections);
    let swept = Rc::downgrade(&connections);
    actix_rt::spawn(async move {
        while let Some(connections) = swept.upgrade() {
            connections.sweep();
            drop(connections);
            actix_rt::time::sleep(SWEEP).await;
        }
    });
    connections
}

/// A client that takes nothing of its answer is let go by the kernel: actix waits for it without end. What
/// is set on the listener holds for every connection it accepts.
fn let_go_of_the_idle(bound: &TcpListener, after: Duration) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(bound).set_tcp_user_timeout(Some(after))?;
    #[cfg(not(target_os = "linux"))]
    let _ = (bound, after);
    Ok(())
}

/// Serves on an address that is bound already, until the returned server is stopped.
pub fn serve(shared: Arc<Shared>, bound: TcpListener) -> std::io::Result<actix_web::dev::Server> {
    let (listen, limits) = (shared.config.listen.clone(), shared.config.limits);
    let certificate = shared.certificate.clone();
    let_go_of_the_idle(&bound, limits.client_timeout)?;
    let trust = shared.trust().map_err(std::io::Error::other)?;
    peer::client(trust.clone(), 0).map_err(std::io::Error::other)?;
    let server = HttpServer::new(move || {
        #[expect(clippy::expect_used, reason = "the same client was made above, from the same values")]
        let worker = Worker::start(&shared, &trust).expect("a client for other balancers");
        let app = App::new()
            .app_data(web::Data::new(worker.clone()))
            .configure(own::routes)
            .configure(admin::routes)
            .configure(dashboard::routes)
            .default_service(web::route().to(dispatch::any));
        entrance::entrance(app, worker)
    });
    let server = server
        .tls_handshake_timeout(HANDSHAKE.min(limits.client_timeout))
        .workers(listen.workers)
        .backlog(1024)
        .max_connections((limits.max_connections / listen.workers).max(1))
        .keep_alive(limits.client_idle_timeout)
        .client_request_timeout(limits.client_timeout)
        .on_connect(idle::opened)
        .shutdown_timeout(listen.shutdown_timeout.as_secs())
        .disable_signals();
    let server = match certificate {
        Some(shown) => server.listen_rustls_0_23(bound, shown.server().map_err(std::io::Error::other)?),
        None => server.listen(bound),
    };
    Ok(server?.run())
}
