//! A request and an answer as the front's parts hand them on, free of actix types where a body is
//! whole. What the client still sends is read elsewhere.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody, SizedStream};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use bytes::{Bytes, BytesMut};
use chroma_ha_actors::gate::Ticket;
use chroma_ha_core::access::Key;
use chroma_ha_core::ids::Seq;
use chroma_ha_core::trace::Span;
use futures_util::{Stream, StreamExt};

use super::forward::Attempt;

/// A header, as the server read it: a copy of one costs no allocation.
pub(super) type Field = (HeaderName, HeaderValue);

/// A request, whole.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) method: String,
    /// As the client sent it, or as the old API's translation made it.
    pub(super) path_and_query: String,
    pub(super) headers: Vec<Field>,
    pub(super) body: Bytes,
    pub(super) attempt: Attempt,
    /// The API key that it shows; `None`: none is asked for.
    pub(super) key: Option<Arc<Key>>,
    /// What it has taken of the bounds: to be kept by whatever goes on with it.
    pub(super) ticket: Arc<Ticket>,
    /// In which trace it is answered; its headers say nothing of that any more.
    pub(super) span: Span,
}

impl Incoming {
    pub(super) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    pub(super) fn query(&self) -> &str {
        self.path_and_query.split_once('?').map_or("", |(_, query)| query)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.to_str().ok())
    }
}

/// Headers from elsewhere; what is none is left out.
pub(super) fn fields(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<Field> {
    let field = |(name, value): (String, String)| Some((name.parse().ok()?, value.try_into().ok()?));
    pairs.into_iter().filter_map(field).collect()
}

pub(super) type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>>>>;

pub(super) enum Body {
    Whole(Bytes),
    /// Streamed from a node, with its length where the node told it.
    Stream(ByteStream, Option<u64>),
}

/// An answer on its way to the client.
pub(super) struct Outgoing {
    pub(super) status: u16,
    pub(super) headers: Vec<Field>,
    pub(super) body: Body,
    /// Neither answered nor, as far as that is known, logged: this balancer may not answer now, another one
    /// may, and it may be tried again.
    pub(super) untaken: bool,
    /// The write's position in the log.
    pub(super) seq: Option<Seq>,
}

impl Outgoing {
    pub(super) fn whole(status: u16, headers: Vec<Field>, body: impl Into<Bytes>) -> Outgoing {
        Outgoing { status, headers, body: Body::Whole(body.into()), untaken: false, seq: None }
    }

    pub(super) fn streamed(
        status: u16,
        headers: Vec<Field>,
        stream: ByteStream,
        length: Option<u64>,
    ) -> Outgoing {
        Outgoing { status, headers, body: Body::Stream(stream, length), untaken: false, seq: None }
    }

    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Outgoing {
        Outgoing::whole(status, vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body)
    }

    /// Chroma's own form of an error.
    pub(super) fn error(status: u16, error: &str, message: &str) -> Outgoing {
        Outgoing::json(status, serde_json::json!({ "error": error, "message": message }).to_string())
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Outgoing {
        self.headers.extend(fields([(name.to_owned(), value.into())]));
        self
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.to_str().ok())
    }

    /// In bytes, where it is known before the body is sent.
    pub(super) fn length(&self) -> Option<u64> {
        match &self.body {
            Body::Whole(bytes) => Some(bytes.len() as u64),
            Body::Stream(_, length) => *length,
        }
    }

    /// Reads the rest of a streamed body.
    pub(super) async fn collect(self) -> std::io::Result<(u16, Vec<Field>, Bytes)> {
        let body = match self.body {
            Body::Whole(bytes) => bytes,
            Body::Stream(mut stream, _) => {
                let mut all = BytesMut::new();
                while let Some(chunk) = stream.next().await {
                    all.extend_from_slice(&chunk?);
                }
                all.freeze()
            }
        };
        Ok((self.status, self.headers, body))
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let body = match self.body {
            Body::Whole(bytes) => BoxBody::new(bytes),
            Body::Stream(stream, Some(length)) => BoxBody::new(SizedStream::new(length, stream)),
            Body::Stream(stream, None) => BoxBody::new(BodyStream::new(stream)),
        };
        let mut response = HttpResponse::with_body(status, body);
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}
