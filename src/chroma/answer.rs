//! A node's answer to a read, part by part as it comes. At its end its connection is given back; whoever leaves
//! before closes it, and the deadline holds to the last byte.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chroma_ha_core::port::NodeFault;
use futures_util::{Stream, TryStreamExt};
use http::{HeaderMap, Response};
use hyper::body::{Body as _, Incoming};
use tokio::time::Sleep;

use super::connection::Connection;
use super::connections::{Pool, lost, timed_out};

/// A node's answer, whose body may still be on its way.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    rest: Rest,
}

impl Answer {
    /// What came over a connection; `end`: when its last byte must be here.
    pub(super) fn of(
        response: Response<Incoming>,
        connection: Connection,
        pool: Rc<Pool>,
        end: Pin<Box<Sleep>>,
        wait: Duration,
    ) -> Answer {
        let (head, body) = response.into_parts();
        let mut rest = Rest { body, connection: Some(connection), pool, end, wait };
        if rest.body.is_end_stream() {
            // Nobody asks for a body that is not there.
            rest.keep();
        }
        Answer { status: head.status.as_u16(), headers: head.headers, rest }
    }

    /// In bytes, where the node told it.
    pub fn length(&self) -> Option<u64> {
        self.rest.body.size_hint().exact()
    }

    pub async fn whole(self) -> Result<Bytes, NodeFault> {
        let mut rest = self.rest;
        let mut all = BytesMut::new();
        while let Some(part) = rest.try_next().await? {
            all.extend_from_slice(&part);
        }
        Ok(all.freeze())
    }

    pub fn stream(self) -> impl Stream<Item = Result<Bytes, NodeFault>> + use<> {
        self.rest
    }
}

/// The body of an answer. At its end the connection is kept; whoever leaves before closes it.
struct Rest {
    body: Incoming,
    connection: Option<Connection>,
    pool: Rc<Pool>,
    end: Pin<Box<Sleep>>,
    wait: Duration,
}

impl Rest {
    fn keep(&mut self) {
        self.connection.take().into_iter().for_each(|connection| self.pool.keep(connection));
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, NodeFault>>> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(timed_out(self.wait))));
        }
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(lost(&error)))),
                Some(Ok(frame)) => {
                    // What a node says after its body (trailers) goes no further.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}

impl Stream for Rest {
    type Item = Result<Bytes, NodeFault>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let rest = self.get_mut();
        if rest.connection.is_none() {
            return Poll::Ready(None);
        }
        let part = ready!(rest.poll_part(cx));
        match &part {
            Some(Ok(_)) => {}
            Some(Err(_)) => rest.connection = None,
            None => rest.keep(),
        }
        Poll::Ready(part)
    }
}
