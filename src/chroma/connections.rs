//! Over which connection does a read go to a node? Each web worker keeps its own to every node, and the request
//! that uses one drives it: no task of its own, no channel, no map of headers. A connection that was closed
//! before it said anything is no failure, for a read may be sent twice. It knows no route.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::NodeFault;
use futures_util::{Stream, StreamExt};
use tokio::time::{Sleep, sleep};

use super::address::Address;
use super::connection::{Broken, Connection};
use super::framing::{Framing, Head, Piece};
use super::{ClientError, IDLE_TIMEOUT};
use crate::config::{NodeConfig, Upstream};

/// A read as it is put to a node.
pub struct Question<'a> {
    pub method: &'a str,
    /// With its query.
    pub path: &'a str,
    /// Without those of a connection, and without the length.
    pub fields: Vec<(&'a str, &'a [u8])>,
    pub body: Bytes,
    /// For the whole of the answer.
    pub wait: Duration,
}

/// One web worker's connections, by node.
pub struct Connections {
    nodes: Vec<Rc<Home>>,
}

impl Connections {
    pub fn new(nodes: &[NodeConfig], upstream: &Upstream) -> Result<Connections, ClientError> {
        let home = |node: &NodeConfig| {
            let address = Address::new(node, upstream.ca_file.as_deref())?;
            Ok(Rc::new(Home { address, most_idle: upstream.pool_size, idle: RefCell::default() }))
        };
        Ok(Connections { nodes: nodes.iter().map(home).collect::<Result<_, ClientError>>()? })
    }

    pub async fn ask(&self, node: NodeId, question: Question<'_>) -> Result<Answer, NodeFault> {
        let (home, wait) = (&self.nodes[node.0], question.wait);
        let mut end = Box::pin(sleep(wait));
        let (head, connection) = tokio::select! {
            biased;
            answered = home.exchange(&question) => answered?,
            () = &mut end => return Err(timed_out(wait)),
        };
        let Head { status, fields, framing, reusable } = head;
        let home = reusable.then(|| Rc::clone(home));
        Ok(Answer { status, fields, rest: Rest { framing, connection: Some(connection), home, end, wait } })
    }

    /// Closes what was not used for long.
    pub fn sweep(&self) {
        self.nodes.iter().for_each(|home| home.sweep());
    }
}

fn timed_out(wait: Duration) -> NodeFault {
    NodeFault::Timeout(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

fn lost(cause: impl ToString) -> NodeFault {
    NodeFault::Lost(cause.to_string())
}

/// One node, and the connections to it that nobody uses.
struct Home {
    address: Address,
    most_idle: usize,
    /// The one used last is at the back.
    idle: RefCell<VecDeque<Connection>>,
}

impl Home {
    async fn exchange(&self, question: &Question<'_>) -> Result<(Head, Connection), NodeFault> {
        loop {
            let kept = self.kept();
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::new(self.address.connect().await.map_err(|_| NodeFault::Refused)?),
            };
            match connection
                .exchange(|head| self.write(question, head), &question.body, question.method)
                .await
            {
                Ok(head) => return Ok((head, connection)),
                Err(Broken::Silent(_)) if !fresh => {}
                Err(broken) => return Err(lost(broken)),
            }
        }
    }

    fn write(&self, question: &Question<'_>, head: &mut BytesMut) {
        let Address { prefix, fields: own, .. } = &self.address;
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| head.extend_from_slice(part));
        put(&[
            question.method.as_bytes(),
            b" ",
            prefix.as_bytes(),
            question.path.as_bytes(),
            b" HTTP/1.1\r\n",
        ]);
        for (name, value) in own {
            put(&[name.as_bytes(), b": ", value.expose().as_bytes(), b"\r\n"]);
        }
        let replaced = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        for (name, value) in question.fields.iter().filter(|(name, _)| !replaced(name)) {
            put(&[name.as_bytes(), b": ", value, b"\r\n"]);
        }
        if !question.body.is_empty() || question.method == "POST" {
            put(&[b"content-length: ", question.body.len().to_string().as_bytes(), b"\r\n"]);
        }
        put(&[b"\r\n"]);
    }

    /// One that is still open.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let mut connection = idle.pop_back()?;
            if connection.used.elapsed() < IDLE_TIMEOUT && connection.is_open() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.most_idle {
            idle.push_back(connection);
        }
    }

    fn sweep(&self) {
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|oldest| oldest.used.elapsed() >= IDLE_TIMEOUT) {
            idle.pop_front();
        }
    }
}

/// A node's answer, whose body may still be on its way.
pub struct Answer {
    pub status: u16,
    /// Names and values as they came.
    pub fields: Vec<(Bytes, Bytes)>,
    rest: Rest,
}

impl Answer {
    /// In bytes, where the node told it.
    pub fn length(&self) -> Option<u64> {
        self.rest.framing.length()
    }

    pub async fn whole(mut self) -> Result<Bytes, NodeFault> {
        let Some(first) = self.rest.next().await.transpose()? else { return Ok(Bytes::new()) };
        let Some(second) = self.rest.next().await.transpose()? else { return Ok(first) };
        let mut all = BytesMut::from(&first[..]);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.rest.next().await.transpose()? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    pub fn stream(self) -> impl Stream<Item = Result<Bytes, NodeFault>> + use<> {
        self.rest
    }
}

/// The body of an answer; at its end the connection goes home, if it has one.
struct Rest {
    framing: Framing,
    connection: Option<Connection>,
    home: Option<Rc<Home>>,
    end: Pin<Box<Sleep>>,
    wait: Duration,
}

impl Rest {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, NodeFault>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
            match self.framing.next(&mut connection.read) {
                Ok(Piece::Data(data)) => return Poll::Ready(Ok(Some(data))),
                Ok(Piece::End) => {
                    self.go_home();
                    return Poll::Ready(Ok(None));
                }
                Ok(Piece::Wanting) => {}
                Err(malformed) => return Poll::Ready(Err(lost(malformed))),
            }
            match ready!(connection.poll_more(cx)) {
                Ok(0) if self.framing.may_end() => self.connection = None,
                Ok(0) => return Poll::Ready(Err(lost("the answer broke off"))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(lost(error))),
            }
        }
    }

    fn go_home(&mut self) {
        let connection = self.connection.take().filter(Connection::is_idle);
        if let Some((home, mut connection)) = self.home.as_ref().zip(connection) {
            connection.used = std::time::Instant::now();
            home.keep(connection);
        }
    }
}

impl Stream for Rest {
    type Item = Result<Bytes, NodeFault>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let rest = self.get_mut();
        let polled = match rest.poll_piece(cx) {
            Poll::Pending => ready!(rest.end.as_mut().poll(cx).map(|()| Err(timed_out(rest.wait)))),
            Poll::Ready(polled) => polled,
        };
        if polled.is_err() {
            rest.connection = None;
        }
        Poll::Ready(polled.transpose())
    }
}

#[cfg(test)]
mod tests;
