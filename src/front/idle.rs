//! Which clients' connections does nobody use? One on which nothing is asked for too long is closed, also when a
//! further request was begun and not ended: the server's own deadline is for the first one's head only. It reads no
//! bytes, and leaves alone who waits for an answer or takes one.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_http::Request;
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use bytes::Bytes;
use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, shutdown};

/// How often it is looked.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// A large answer is handed on in such pieces: as long as there are more it is being taken.
const PIECE: usize = 64 << 10;

/// One client's connection. It lives as long as the server keeps the connection, and on its thread.
struct Connection {
    socket: RawFd,
    peer: SocketAddr,
    /// Requests that are being answered.
    asked: Cell<usize>,
    /// The end of the last answer, or the beginning.
    since: Cell<Instant>,
    listed: Cell<bool>,
}

/// What is known of a connection from its beginning on.
pub(super) fn opened(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = socket(connection) else { return };
    let Ok(peer) = stream.peer_addr() else { return };
    data.insert(Rc::new(Connection {
        socket: stream.as_raw_fd(),
        peer,
        asked: Cell::new(0),
        since: Cell::new(Instant::now()),
        listed: Cell::new(false),
    }));
}

fn socket(connection: &dyn Any) -> Option<&TcpStream> {
    let encrypted = || Some(connection.downcast_ref::<TlsStream<TcpStream>>()?.get_ref().0);
    connection.downcast_ref().or_else(encrypted)
}

/// One web worker's connections on which something was asked once.
#[derive(Default)]
pub(super) struct Connections(RefCell<Vec<Weak<Connection>>>);

impl Connections {
    pub(super) fn ask(&self, request: &Request) -> Option<Asked> {
        let connection = Rc::clone(request.conn_data::<Rc<Connection>>()?);
        if !connection.listed.replace(true) {
            self.0.borrow_mut().push(Rc::downgrade(&connection));
        }
        connection.asked.set(connection.asked.get() + 1);
        Some(Asked(connection))
    }

    /// Closes what nobody has used for so long.
    pub(super) fn close_idle(&self, longest: Duration) {
        self.0.borrow_mut().retain(|connection| {
            connection.upgrade().inspect(|connection| connection.close_if_idle(longest)).is_some()
        });
    }
}

impl Connection {
    fn close_if_idle(&self, longest: Duration) {
        // Never another one's socket, whoever has got its number meanwhile.
        let same = || getpeername::<SockaddrStorage>(self.socket).is_ok_and(|peer| is(&peer, self.peer));
        if self.asked.get() == 0 && self.since.get().elapsed() > longest && same() {
            // The server sees its end, and lets go.
            let _gone_already = shutdown(self.socket, Shutdown::Both);
        }
    }
}

fn is(found: &SockaddrStorage, peer: SocketAddr) -> bool {
    match peer {
        SocketAddr::V4(peer) => found
            .as_sockaddr_in()
            .is_some_and(|found| (found.ip(), found.port()) == (*peer.ip(), peer.port())),
        SocketAddr::V6(peer) => found
            .as_sockaddr_in6()
            .is_some_and(|found| (found.ip(), found.port()) == (*peer.ip(), peer.port())),
    }
}

/// A request whose answer is not at its end.
pub(super) struct Asked(Rc<Connection>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked.set(self.0.asked.get().saturating_sub(1));
        self.0.since.set(Instant::now());
    }
}

/// An answer's body, until it is handed on.
pub(super) struct Answering {
    body: BoxBody,
    /// Of what the body gave last.
    left: Bytes,
    _asked: Option<Asked>,
}

impl Answering {
    pub(super) fn of(body: BoxBody, asked: Option<Asked>) -> Answering {
        Answering { body, left: Bytes::new(), _asked: asked }
    }

    fn piece(&mut self) -> Bytes {
        self.left.split_to(self.left.len().min(PIECE))
    }
}

impl MessageBody for Answering {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let answering = self.get_mut();
        if answering.left.is_empty() {
            match ready!(Pin::new(&mut answering.body).poll_next(cx)) {
                Some(Ok(bytes)) if bytes.len() > PIECE => answering.left = bytes,
                other => return Poll::Ready(other),
            }
        }
        Poll::Ready(Some(Ok(answering.piece())))
    }
}
