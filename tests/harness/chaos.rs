//! What does a bad network do to a promise? A TCP proxy before one server whose mode is switched while
//! bytes flow. It knows bytes and directions only, no protocol, and chooses nothing by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

mod link;
mod links;
mod tests;

pub(crate) use links::{Links, Wires};

const BACKLOG: u32 = 1024;

/// What happens to bytes from now on, on connections that are open and on those to come. A connection
/// that lost bytes to one mode is reset by the next: bytes in the middle of a stream are never missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything goes through. Where no server listens, connections are reset, not refused.
    Pass,
    /// Connections are accepted, bytes of both directions swallowed, nothing is ever answered or closed.
    BlackHole,
    /// New connections are refused; open ones are reset.
    Refuse,
    /// Open connections are reset; new ones are as soon as one byte was sent, which nobody gets.
    Reset,
    /// Each way takes this long, and up to `jitter` longer.
    Delay { each_way: Duration, jitter: Duration },
    /// Requests are delivered; at the first byte of an answer both sides are closed.
    LoseResponse,
    /// Requests are delivered; answers are swallowed and the client is left waiting.
    LoseResponseAndHang,
    /// Requests are withheld; the next mode that lets bytes through delivers them, also when the client
    /// has gone meanwhile. The server then gets the time to answer.
    HoldRequests,
    /// So many bytes a second each way.
    Throttle { bytes_per_second: usize },
    /// So many bytes of each answer go through, then both sides are closed.
    CutResponse { after: usize },
}

/// A mode and how many were set before it.
#[derive(Clone, Copy, Debug)]
struct Order {
    number: usize,
    mode: Mode,
}

/// A listening port before one server on this machine; it ends with the value.
pub(crate) struct ChaosProxy {
    port: u16,
    orders: watch::Sender<Order>,
    obeyed: watch::Receiver<usize>,
    hits: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

impl ChaosProxy {
    pub(crate) async fn before(server_port: u16) -> Self {
        let (orders, heard) = watch::channel(Order { number: 0, mode: Mode::Pass });
        let (obey, mut obeyed) = watch::channel(usize::MAX);
        let (hits, accepted) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let socket = bound(0);
        let port = socket.local_addr().expect("an address").port();
        let acceptor = Acceptor {
            _reserved: socket,
            port,
            server_port,
            orders: heard,
            obey,
            hits: Arc::clone(&hits),
            accepted: Arc::clone(&accepted),
        };
        tokio::spawn(acceptor.run());
        obeyed.wait_for(|number| *number == 0).await.expect("the acceptor listens");
        Self { port, orders, obeyed, hits, accepted }
    }

    /// When this returns, new connections meet the mode; open ones meet it at their next turn.
    pub(crate) async fn set(&self, mode: Mode) {
        self.hits.store(0, Ordering::Relaxed);
        let number = self.orders.borrow().number + 1;
        self.orders.send_replace(Order { number, mode });
        let mut obeyed = self.obeyed.clone();
        obeyed.wait_for(|done| *done >= number).await.expect("the acceptor runs");
    }

    pub(crate) fn mode(&self) -> Mode {
        self.orders.borrow().mode
    }

    /// How often the mode swallowed, withheld, cut, reset or slowed something since it was set.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn bound(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option of every socket");
    socket.bind(([127, 0, 0, 1], port).into()).expect("a port");
    socket
}

struct Acceptor {
    /// Bound, never listening: nobody else gets the port while connections are refused.
    _reserved: TcpSocket,
    port: u16,
    server_port: u16,
    orders: watch::Receiver<Order>,
    obey: watch::Sender<usize>,
    hits: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

impl Acceptor {
    /// Wakes for 1. another mode, 2. a connection; ends with the proxy.
    async fn run(mut self) {
        let mut listener: Option<TcpListener> = None;
        loop {
            let Order { number, mode } = *self.orders.borrow_and_update();
            if mode == Mode::Refuse {
                listener = None;
            } else if listener.is_none() {
                listener = Some(bound(self.port).listen(BACKLOG).expect("a port of our own"));
            }
            self.obey.send_replace(number);
            tokio::select! {
                biased;
                changed = self.orders.changed() => if changed.is_err() { return },
                Some(client) = next(listener.as_ref()) => self.serve(client),
            }
        }
    }

    fn serve(&self, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let _open = client.set_nodelay(true);
        let link = link::Link::new(self.orders.clone(), Arc::clone(&self.hits), self.accepted());
        tokio::spawn(link.run(client, self.server_port));
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn next(listener: Option<&TcpListener>) -> Option<TcpStream> {
    listener?.accept().await.ok().map(|(client, _)| client)
}
