//! One connection to a node, as hyper drives it: one request after the other. It knows no other connection.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::{JoinHandle, spawn_local};

use super::address::Address;

/// Whoever drops it closes it, also in the middle of an answer.
pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    /// How often its node had lost its standing when it was made.
    pub(super) losses: u64,
}

impl Connection {
    pub(super) async fn open(address: &Address, losses: u64) -> std::io::Result<Connection> {
        let wire = TokioIo::new(address.connect().await?);
        let (requests, driver) = http1::handshake(wire).await.map_err(std::io::Error::other)?;
        let driver = spawn_local(async {
            // Whoever waits for an answer is told the same.
            let _ = driver.await;
        });
        Ok(Connection { requests, driver, losses })
    }

    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.requests.send_request(request).await
    }

    /// Whether another request may go over it: it is open, and nothing of the last one is left.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_ready()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
