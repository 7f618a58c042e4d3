//! One connection to a node: a request goes out while its answer may already come in, as when a long body is
//! refused at once. It moves only while somebody polls it, and knows no other connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::address::Wire;
use super::framing::{self, Head, Malformed};

/// Room that there is at least before anything is read.
const ROOM: usize = 8 << 10;

/// Bodies up to this size go out together with their heads.
const TOGETHER: usize = 8 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Not one byte of it came.
    #[error("{0}")]
    Silent(std::io::Error),
    #[error("{0}")]
    BrokeOff(std::io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

pub(super) struct Connection {
    wire: Box<dyn Wire>,
    /// What came and was not looked at yet.
    pub(super) read: BytesMut,
    /// What is to be sent, besides a long body.
    unsent: BytesMut,
    /// Nothing can be sent any more, or not all of a request was.
    closed: bool,
    pub(super) used: Instant,
}

impl Connection {
    pub(super) fn new(wire: Box<dyn Wire>) -> Connection {
        let (read, unsent) = (BytesMut::with_capacity(ROOM), BytesMut::new());
        Connection { wire, read, unsent, closed: false, used: Instant::now() }
    }

    /// Sends a request whose head is written by `write`, and reads the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        write: impl FnOnce(&mut BytesMut),
        body: &Bytes,
        method: &str,
    ) -> Result<Head, Broken> {
        self.unsent.clear();
        write(&mut self.unsent);
        let mut body = body.clone();
        if body.len() <= TOGETHER {
            self.unsent.extend_from_slice(&body);
            body.clear();
        }
        let answered = poll_fn(|cx| {
            // A node that takes no more may have answered already.
            if let Poll::Ready(Err(_)) = self.poll_send(cx, &mut body) {
                self.closed = true;
            }
            self.poll_head(cx, method)
        });
        let head = answered.await?;
        self.closed |= !self.unsent.is_empty() || !body.is_empty();
        Ok(head)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, body: &mut Bytes) -> Poll<std::io::Result<()>> {
        let mut wire = Pin::new(&mut self.wire);
        while !self.closed && (!self.unsent.is_empty() || !body.is_empty()) {
            let part = if self.unsent.is_empty() { &body[..] } else { &self.unsent[..] };
            match ready!(wire.as_mut().poll_write(cx, part))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                sent if self.unsent.is_empty() => body.advance(sent),
                sent => self.unsent.advance(sent),
            }
        }
        wire.poll_flush(cx)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, method: &str) -> Poll<Result<Head, Broken>> {
        loop {
            if let Some(head) = framing::head(&mut self.read, method)? {
                return Poll::Ready(Ok(head));
            }
            let silent = self.read.is_empty();
            let error = match ready!(self.poll_more(cx)) {
                Ok(0) => std::io::Error::other("the node closed the connection unanswered"),
                Ok(_) => continue,
                Err(error) => error,
            };
            return Poll::Ready(Err(if silent { Broken::Silent(error) } else { Broken::BrokeOff(error) }));
        }
    }

    /// Reads what comes; nothing at the end.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        self.read.reserve(ROOM);
        pin!(self.wire.read_buf(&mut self.read)).poll(cx)
    }

    /// Whether another request may go over it: nothing of the last one is left.
    pub(super) fn is_idle(&self) -> bool {
        !self.closed && self.read.is_empty()
    }

    /// A node that closed it, or says what nobody asked for, is noticed here.
    pub(super) fn is_open(&mut self) -> bool {
        self.poll_more(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}
