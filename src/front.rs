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

use crate::chroma::{Address, ClientError, Connections};
use crate::config::Config;

mod access;
mod admin;
mod asked;
mod catalog;
mod dashboard;
mod dispatch;
mod entrance;
mod exchange;
mod fate;
mod forward;
mod hop;
mod intake;
mod key;
mod metrics;
mod monitor;
mod own;
mod read;
mod rescue;
mod status;
mod turn;
mod v1;
mod write;

pub use dashboard::Dashboard;
pub use monitor::{Watcher, serve as watch};

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
    /// Where the nodes are, by place.
    pub addresses: Vec<Arc<Address>>,
}

impl Shared {
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
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
}

impl Worker {
    fn start(shared: &Arc<Shared>) -> Result<Worker, ClientError> {
        let (proxy, choice) = shared.system.proxy();
        Ok(Worker {
            shared: Arc::clone(shared),
            proxy,
            choice,
            tally: Rc::new(Tally::new(Arc::clone(&shared.system.stats))),
            client: crate::chroma::client(&shared.config.upstream)?,
            connections: swept(Connections::new(&shared.addresses, shared.config.upstream.pool_size)),
        })
    }
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
    let_go_of_the_idle(&bound, limits.client_timeout)?;
    let server = HttpServer::new(move || {
        #[expect(clippy::expect_used, reason = "boot made the same client before the address was bound")]
        let worker = Worker::start(&shared).expect("the node client was set up once already");
        let app = App::new()
            .app_data(web::Data::new(worker.clone()))
            .configure(own::routes)
            .configure(admin::routes)
            .configure(dashboard::routes)
            .default_service(web::route().to(dispatch::any));
        entrance::entrance(app, worker)
    });
    let server = server
        .workers(listen.workers)
        .backlog(1024)
        .max_connections((limits.max_connections / listen.workers).max(1))
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(limits.client_timeout)
        .shutdown_timeout(listen.shutdown_timeout.as_secs())
        .disable_signals()
        .listen(bound)?;
    Ok(server.run())
}
