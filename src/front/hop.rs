//! What of a request and of its answer goes on over one hop, to a node or to the holder of the lease? What
//! concerns one connection, or the balancer alone, does not. It names no address and sends nothing.

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use chroma_ha_core::trace::TRACEPARENT;
use http::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};

use super::exchange::{Field, Incoming};

/// Headers that concern one connection, that the client library sets itself, or that are for us.
const NOT_PASSED: [&str; 11] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "content-length",
    "expect",
    super::idempotency::HEADER,
];

pub(super) fn passes(name: &str) -> bool {
    !NOT_PASSED.iter().any(|kept| name.eq_ignore_ascii_case(kept))
}

/// The client's request to another address, with those of its headers that `passes` lets through.
pub(super) fn request(
    client: &Client,
    url: String,
    wait: Duration,
    incoming: &Incoming,
    passes: impl Fn(&str) -> bool,
) -> RequestBuilder {
    let method = Method::from_bytes(incoming.method.as_bytes()).unwrap_or(Method::GET);
    let mut request = client.request(method, url).timeout(wait);
    request = request.header(TRACEPARENT, incoming.span.as_parent().header());
    for (name, value) in incoming.headers.iter().filter(|(name, _)| passes(name.as_str())) {
        request = request.header(name.as_str(), value.as_bytes());
    }
    if incoming.body.is_empty() { request } else { request.body(incoming.body.clone()) }
}

/// Those of an answer's headers that the client gets.
pub(super) fn headers(answer: &HeaderMap) -> Vec<Field> {
    let passed = answer.iter().filter(|(name, value)| passes(name.as_str()) && value.to_str().is_ok());
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.as_str().parse().ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    passed.filter_map(field).collect()
}

/// The same of a node's answer: what balancers tell each other and their clients, no node says.
pub(super) fn headers_of_node(answer: &HeaderMap) -> Vec<Field> {
    let mut passed = headers(answer);
    passed.retain(|(name, _)| !name.as_str().starts_with("x-chroma-ha-"));
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_does_not_speak_for_a_balancer() {
        let given = ["content-type", "connection", "x-chroma-ha-not-holder", "chroma-trace-id"];
        let answer: HeaderMap = given
            .map(|name| (http::HeaderName::from_static(name), http::HeaderValue::from_static("1")))
            .into_iter()
            .collect();
        let names = |fields: Vec<Field>| {
            let mut names: Vec<String> =
                fields.into_iter().map(|(name, _)| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(headers_of_node(&answer)), ["chroma-trace-id", "content-type"]);
        assert_eq!(names(headers(&answer)), ["chroma-trace-id", "content-type", "x-chroma-ha-not-holder"]);
    }
}
