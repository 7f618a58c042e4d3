//! One collector over HTTP, with our own client: the second version of reqwest that the exporter would bring
//! stays out. Whether it takes spans is told once each time that changes, and never to those who serve.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use percent_encoding::percent_decode_str;
use reqwest::blocking::{Client, RequestBuilder};
use tracing::{info, warn};

/// A collector that is silent for longer is away.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer says how many spans were refused, not more.
const ANSWER_BYTES: u64 = 1 << 16;

#[derive(Debug)]
pub(super) struct Collector {
    client: Client,
    /// It did not take the last spans.
    away: AtomicBool,
}

impl Collector {
    pub(super) fn new() -> reqwest::Result<Collector> {
        let client =
            Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Collector { client, away: AtomicBool::new(false) })
    }

    /// An address may hold a key, so none is in the error.
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::blocking::Request::try_from(request).map_err(reqwest::Error::without_url)?;
        let response = self.authorized(request).send().map_err(reqwest::Error::without_url)?;
        let answer = Response::builder().status(response.status());
        let mut body = Vec::new();
        response.take(ANSWER_BYTES).read_to_end(&mut body)?;
        Ok(answer.body(Bytes::from(body))?)
    }

    /// With a password of the address in a header: libraries log addresses.
    fn authorized(&self, mut request: reqwest::blocking::Request) -> RequestBuilder {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let url = request.url_mut();
        let (name, password) = (decoded(url.username()), url.password().map(decoded));
        // These fail only for addresses without a host.
        let _ = (url.set_username(""), url.set_password(None));
        let request = RequestBuilder::from_parts(self.client.clone(), request);
        if name.is_empty() { request } else { request.basic_auth(name, password) }
    }

    fn tell(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        let error = match outcome {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        match (self.away.swap(error.is_some(), Ordering::Relaxed), error) {
            (false, Some(error)) => warn!(
                error,
                "the collector takes no spans, so they are dropped until it does; nothing else is affected (check OTEL_EXPORTER_OTLP_ENDPOINT)"
            ),
            (true, None) => info!("the collector takes spans again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// Blocks: it is called on the exporter's own thread.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let outcome = self.send(request);
        self.tell(&outcome);
        outcome
    }
}
