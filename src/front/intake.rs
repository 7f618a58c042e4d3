//! A request taken in: room in memory first, then its body, as long as the client keeps sending, then its
//! turn. So a slow client holds the room for its own body and stands in nobody's way; and what cannot be
//! taken is refused with its body unread.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, RequestHead};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use bytes::{Bytes, BytesMut};
use chroma_ha_actors::gate::{Shed, Ticket};
use chroma_ha_core::route::{Route, Share};
use chroma_ha_core::trace::Span;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::exchange::{Field, Incoming};
use super::{Worker, access, forward, idempotency};

/// Longest path with its query, in bytes. What is put before it and in it on its way to a node may make it
/// longer, and 64 KiB are the end of what can be sent.
const LONGEST_TARGET: usize = 16 << 10;

/// Room for a body of unknown length is taken in such steps, and doubled.
const STEP: usize = 64 << 10;

/// Why a request was not taken in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unfit {
    /// Longer than a request may be.
    TooLong(usize),
    /// So long may a path with its query be.
    LongTarget(usize),
    /// Longer than all that may be held in memory.
    TooLongToHold(usize),
    /// The client did not send for so long, or not all of it in time.
    Slow,
    /// The client broke off, or spelt its chunks wrongly.
    Broken,
    /// It asks for another protocol, so that its body would have no end.
    Endless,
    Shed(Shed),
}

impl From<Shed> for Unfit {
    fn from(shed: Shed) -> Unfit {
        Unfit::Shed(shed)
    }
}

pub(super) async fn incoming(
    worker: &Worker,
    request: &RequestHead,
    payload: &mut Payload,
    route: &Route,
    span: Span,
) -> Result<Incoming, Unfit> {
    if is_endless(request) {
        return Err(Unfit::Endless);
    }
    let path_and_query = target(request)?;
    let system = &worker.shared.system;
    let share = Share::of(route, request.method.as_str(), request.uri.path());
    if let Some(shed) = Shed::under(system.load.load().pressure, share) {
        return Err(Unfit::Shed(shed));
    }
    let mut ticket = system.gate.ticket(share);
    let body = match Length::of(request) {
        Length::None => Bytes::new(),
        length => read_body(worker, payload, length, &mut ticket).await?,
    };
    ticket.enter().await?;
    let headers = request.headers.iter().filter(|(name, _)| !access::is_replaced(name, &span));
    let mut headers = headers.filter(|(name, value)| is_text(name, value)).map(copied).collect();
    let attempt = forward::attempt(worker, &mut headers, route);
    Ok(Incoming {
        method: request.method.as_str().to_owned(),
        path_and_query,
        headers,
        body,
        attempt,
        key: None,
        ticket: Arc::new(ticket),
        span,
    })
}

/// What is refused whatever is asked.
pub(super) fn is_unfit(request: &RequestHead) -> bool {
    is_endless(request) || target(request).is_err()
}

/// Whether the server takes all that comes on the connection for this request's body, whatever length it tells: what
/// other clients send by way of the same proxy might be among it.
fn is_endless(request: &RequestHead) -> bool {
    let websocket = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket");
    request.method == Method::CONNECT || request.headers.get_all(UPGRADE).any(websocket)
}

fn target(request: &RequestHead) -> Result<String, Unfit> {
    match request.uri.path_and_query().map_or("/", |target| target.as_str()) {
        long if long.len() > LONGEST_TARGET => Err(Unfit::LongTarget(LONGEST_TARGET)),
        plain if plain.starts_with('/') => Ok(plain.to_owned()),
        // `GET http://host?query`: the path is empty.
        bare => Ok(format!("/{bare}")),
    }
}

/// What is no text is left out; but a key that cannot be read is refused, not ignored.
fn is_text(name: &HeaderName, value: &HeaderValue) -> bool {
    name == idempotency::HEADER || value.to_str().is_ok()
}

fn copied((name, value): (&HeaderName, &HeaderValue)) -> Field {
    (name.clone(), value.clone())
}

/// How long the body is, as the request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    None,
    Known(usize),
    Unknown,
}

impl Length {
    fn of(request: &RequestHead) -> Length {
        let length = request.headers.get(CONTENT_LENGTH);
        match length.map(|value| value.to_str().ok().and_then(|text| text.parse().ok())) {
            Some(Some(0)) => Length::None,
            Some(Some(length)) => Length::Known(length),
            Some(None) => Length::Unknown,
            None if request.headers.contains_key(TRANSFER_ENCODING) => Length::Unknown,
            None => Length::None,
        }
    }
}

async fn read_body(
    worker: &Worker,
    payload: &mut Payload,
    length: Length,
    ticket: &mut Ticket,
) -> Result<Bytes, Unfit> {
    let limits = &worker.shared.config.limits;
    let (longest, holdable) = (limits.max_body_bytes, worker.shared.system.gate.largest_body());
    let fits = |length: usize| match length {
        length if length > longest => Err(Unfit::TooLong(longest)),
        length if length > holdable => Err(Unfit::TooLongToHold(holdable)),
        _ => Ok(()),
    };
    let mut body = BytesMut::new();
    if let Length::Known(length) = length {
        fits(length)?;
        ticket.hold(length).await?;
        // At once: a buffer that grows would need its room twice.
        body.reserve(length);
    }
    let end = Instant::now() + limits.client_body_timeout;
    loop {
        let next = timeout_at(end.min(Instant::now() + limits.client_timeout), payload.next()).await;
        let Some(chunk) = next.map_err(|_| Unfit::Slow)? else { return Ok(body.freeze()) };
        let chunk = chunk.map_err(|_| Unfit::Broken)?;
        let received = body.len() + chunk.len();
        fits(received)?;
        if received > body.capacity() {
            let room = received.next_power_of_two().max(STEP).min(longest).min(holdable);
            ticket.hold(room).await?;
            body.reserve(room - body.len());
        }
        body.extend_from_slice(&chunk);
    }
}

/// An answer whose request's body was not read to its end: that is kept unread until the answer is sent, so
/// that the connection is closed then instead of reading on for as long as the client likes to send.
pub(super) fn unread(response: HttpResponse, rest: Payload) -> HttpResponse {
    response.map_body(|_, answer| BoxBody::new(Unread { answer, _rest: rest }))
}

struct Unread {
    answer: BoxBody,
    _rest: Payload,
}

impl MessageBody for Unread {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().answer).poll_next(cx)
    }
}
