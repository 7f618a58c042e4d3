//! Over which connection does a read go to a node? Each web worker keeps its own to every node; the one used last
//! is used next. One that ends before it has answered is replaced, for a read may be sent twice. It knows no route.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::NodeFault;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::sleep;

use super::IDLE_TIMEOUT;
use super::address::Address;
use super::answer::Answer;
use super::connection::Connection;
use crate::cause;

/// A read as it is put to a node.
pub struct Question<'a> {
    pub method: &'a str,
    /// With its query.
    pub path: &'a str,
    /// Without those of a connection, and without the length.
    pub headers: Vec<(&'a str, &'a [u8])>,
    pub body: Bytes,
    /// For the whole of the answer.
    pub wait: Duration,
    /// How often the node had lost its standing when it was chosen: older connections may lead to where it was.
    pub losses: u64,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Unanswered {
    Fault(NodeFault),
    /// It cannot be put in HTTP, and no node is to blame.
    Unfit(String),
}

impl From<NodeFault> for Unanswered {
    fn from(fault: NodeFault) -> Unanswered {
        Unanswered::Fault(fault)
    }
}

/// One web worker's connections, by node.
pub struct Connections {
    nodes: Vec<Rc<Pool>>,
}

impl Connections {
    pub fn new(nodes: &[Arc<Address>], most_idle: usize) -> Connections {
        let pool = |address| Rc::new(Pool { address, most_idle, idle: RefCell::default() });
        Connections { nodes: nodes.iter().cloned().map(pool).collect() }
    }

    pub async fn ask(&self, node: NodeId, question: &Question<'_>) -> Result<Answer, Unanswered> {
        let (pool, wait) = (&self.nodes[node.0], question.wait);
        let mut end = Box::pin(sleep(wait));
        let (response, connection) = tokio::select! {
            biased;
            answered = pool.exchange(question) => answered?,
            () = &mut end => return Err(timed_out(wait).into()),
        };
        Ok(Answer::of(response, connection, Rc::clone(pool), end, wait))
    }

    /// Closes what was not used for long.
    pub fn sweep(&self) {
        self.nodes.iter().for_each(|pool| pool.sweep());
    }
}

pub(super) fn timed_out(wait: Duration) -> NodeFault {
    NodeFault::Timeout(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

fn unfit(error: impl Into<http::Error>) -> Unanswered {
    Unanswered::Unfit(error.into().to_string())
}

pub(super) fn lost(error: &hyper::Error) -> NodeFault {
    NodeFault::Lost(cause::root(error))
}

/// One node, and the connections to it that nobody uses.
pub(super) struct Pool {
    address: Arc<Address>,
    most_idle: usize,
    /// And since when. The one used last is at the back.
    idle: RefCell<VecDeque<(Connection, Instant)>>,
}

impl Pool {
    async fn exchange(
        &self,
        question: &Question<'_>,
    ) -> Result<(Response<Incoming>, Connection), Unanswered> {
        let mut request = self.request(question)?;
        if let Some(mut kept) = self.kept(question.losses) {
            match kept.send(request).await {
                Ok(response) => return Ok((response, kept)),
                Err(error) if error.is_parse() => return Err(lost(&error).into()),
                // The node had closed it, most likely for having been idle.
                Err(_) => request = self.request(question)?,
            }
        }
        let refused = |error: std::io::Error| {
            tracing::debug!(target: "read", %error, "no connection");
            cause::untrusted(&error).map_or(NodeFault::Refused, NodeFault::Untrusted)
        };
        let mut connection = Connection::open(&self.address, question.losses).await.map_err(refused)?;
        let response = connection.send(request).await.map_err(|error| lost(&error))?;
        Ok((response, connection))
    }

    fn request(&self, question: &Question<'_>) -> Result<Request<Full<Bytes>>, Unanswered> {
        let Address { prefix, own, .. } = &*self.address;
        let path = Bytes::from([prefix, question.path].concat());
        let mut request = Request::new(Full::new(question.body.clone()));
        *request.method_mut() = Method::from_bytes(question.method.as_bytes()).map_err(unfit)?;
        *request.uri_mut() = Uri::from_maybe_shared(path).map_err(unfit)?;
        *request.headers_mut() = headers(own, &question.headers).map_err(unfit)?;
        Ok(request)
    }

    /// One that is still open, and was made since the node lost its standing last.
    fn kept(&self, losses: u64) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let kept = idle.pop_back()?;
            if is_fit(&kept) && kept.0.losses >= losses {
                return Some(kept.0);
            }
        }
    }

    pub(super) fn keep(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if connection.is_idle() && idle.len() < self.most_idle {
            idle.push_back((connection, Instant::now()));
        }
    }

    fn sweep(&self) {
        self.idle.borrow_mut().retain(is_fit);
    }
}

fn is_fit((connection, since): &(Connection, Instant)) -> bool {
    connection.is_idle() && since.elapsed() < IDLE_TIMEOUT
}

fn headers(own: &HeaderMap, clients: &[(&str, &[u8])]) -> Result<HeaderMap, http::Error> {
    let mut headers = HeaderMap::with_capacity(own.len() + clients.len());
    headers.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    for (name, value) in clients {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        if !own.contains_key(&name) {
            headers.append(name, HeaderValue::from_bytes(value)?);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
