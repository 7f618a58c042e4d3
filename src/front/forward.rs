//! A request passed on to the balancer that holds the lease, and its answer passed back. It goes over one
//! hop, never two; the peer knows us by the key that both read from PostgreSQL, and believes nobody else
//! that a write was tried before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chroma_ha_actors::board::Holder;
use chroma_ha_core::lease::Peer;
use chroma_ha_core::route::Route;
use futures_util::{StreamExt, TryStreamExt, stream};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::exchange::{Field, Incoming, Outgoing};
use super::{Worker, hop, idempotency, rescue};

/// Bears the key of the log's balancers. A request with it is not passed on again, whatever the key.
const PEER: &str = "x-chroma-ha-peer";

/// The write's id in the log, if it gets there.
const WRITE: &str = "x-chroma-ha-forwarded-write";

/// On the answer to a peer: this balancer does not hold the lease, and did nothing.
const NOT_HOLDER: &str = "x-chroma-ha-not-holder";

/// An answer that was under way when the holder gave the lease back may still come.
const PARTING: Duration = Duration::from_secs(1);

/// Beyond the longest that a holder takes for a request.
const LENIENCE: Duration = Duration::from_secs(30);

/// Answers up to this size are passed on once they are whole, so that one that breaks off can be asked
/// for again.
const WHOLE_BYTES: usize = 1 << 20;

/// Which attempt at being taken this request is.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The write's id in the log, whoever logs it.
    pub(super) write_id: String,
    /// The write may be in the log already, or be tried again by the balancer that passed it on.
    pub(super) repeatable: bool,
    /// Another balancer passed it on.
    pub(super) forwarded: bool,
    /// By which key balancers know each other is not known here yet: under an id of ours it might be logged twice.
    pub(super) early: bool,
}

/// What the headers say, which are not a client's and go no further.
pub(super) fn attempt(worker: &Worker, headers: &mut Vec<Field>, route: &Route) -> Attempt {
    let mut take = |name: &str| {
        let at = headers.iter().position(|(n, _)| n == name)?;
        let value = headers.remove(at).1;
        headers.retain(|(n, _)| n != name);
        Some(value.to_str().unwrap_or_default().to_owned())
    };
    let (given, write_id) = (take(PEER), take(WRITE));
    judged(given.as_deref(), write_id, &worker.shared.system.board.lease.company().key.0, route)
}

/// `given`: what a balancer, or somebody else, showed as the key.
fn judged(given: Option<&str>, write_id: Option<String>, key: &str, route: &Route) -> Attempt {
    let forwarded = given.is_some();
    let known = given.is_some_and(|given| same(given, key));
    match write_id.filter(|id| known && !id.is_empty()) {
        Some(write_id) => Attempt { write_id, repeatable: true, forwarded, early: false },
        None => {
            let early = forwarded && key.is_empty();
            Attempt { write_id: minted(route), repeatable: false, forwarded, early }
        }
    }
}

/// Whether this is the key by which balancers of this log know each other.
pub(super) fn is_key(worker: &Worker, given: &str) -> bool {
    same(given, &worker.shared.system.board.lease.company().key.0)
}

/// A read is not logged. What the old API asks for is not known yet.
fn minted(route: &Route) -> String {
    if matches!(route, Route::Read(_)) { String::new() } else { Uuid::now_v7().to_string() }
}

/// Compares in a time that tells nothing about where they differ. An unknown key is nobody's.
fn same(given: &str, key: &str) -> bool {
    !key.is_empty() && bool::from(given.as_bytes().ct_eq(key.as_bytes()))
}

/// Tells a peer, and only a peer, that nothing was done here.
pub(super) fn disclaim(answer: Outgoing, forwarded: bool) -> Outgoing {
    if forwarded && answer.untaken { answer.with(NOT_HOLDER, "1") } else { answer }
}

/// The holder's answer, or that it gave none. Given up when another balancer becomes the holder.
pub(super) async fn forward(worker: &Worker, peer: &Peer, incoming: &mut Incoming) -> Outgoing {
    let mut holder = worker.shared.system.board.lease.watch();
    let moved = async {
        let there = Holder::Elsewhere(peer.clone());
        let _ = holder.wait_for(|holder| *holder != there).await;
        tokio::time::sleep(PARTING).await;
    };
    let outcome = tokio::select! {
        biased;
        outcome = ask(worker, peer, incoming) => outcome,
        () = moved => Err(Unanswered::InDoubt),
    };
    outcome.unwrap_or_else(|unanswered| {
        incoming.attempt.repeatable |= unanswered == Unanswered::InDoubt;
        rescue::no_holder()
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unanswered {
    /// The holder did nothing: it could not be reached, or is not the holder.
    NotTaken,
    /// It may have done, or may still do, what was asked.
    InDoubt,
}

async fn ask(worker: &Worker, peer: &Peer, incoming: &Incoming) -> Result<Outgoing, Unanswered> {
    let response = request(worker, peer, incoming)
        .send()
        .await
        .map_err(|error| if error.is_connect() { Unanswered::NotTaken } else { Unanswered::InDoubt })?;
    if response.headers().contains_key(NOT_HOLDER) {
        return Err(Unanswered::NotTaken);
    }
    let status = response.status().as_u16();
    let headers = hop::headers(response.headers());
    let length = response.content_length();
    let ticket = Arc::clone(&incoming.ticket);
    let rest = response.bytes_stream().map_err(std::io::Error::other).inspect_ok(move |_: &Bytes| {
        let _held_while_streaming = &ticket;
    });
    let mut rest = Box::pin(rest);
    let mut begun: Vec<Bytes> = Vec::new();
    let mut size = 0;
    while let Some(chunk) = rest.next().await {
        let chunk = chunk.map_err(|_| Unanswered::InDoubt)?;
        size += chunk.len();
        begun.push(chunk);
        if size > WHOLE_BYTES {
            let all = stream::iter(begun.into_iter().map(Ok)).chain(rest);
            return Ok(Outgoing::streamed(status, headers, Box::pin(all), length));
        }
    }
    Ok(Outgoing::whole(status, headers, begun.concat()))
}

fn request(worker: &Worker, peer: &Peer, incoming: &Incoming) -> reqwest::RequestBuilder {
    let shared = &worker.shared;
    let wait = shared.config.upstream.request_timeout + shared.config.limits.queue_timeout + LENIENCE;
    let url = format!("{}{}", peer.address.trim_end_matches('/'), incoming.path_and_query);
    let passes = |name: &str| hop::passes(name) || name.eq_ignore_ascii_case(idempotency::HEADER);
    let request = hop::request(&worker.client, url, wait, incoming, passes);
    let key = &shared.system.board.lease.company().key.0;
    request.header(PEER, key).header(WRITE, &incoming.attempt.write_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_is_the_key() {
        assert!(same("abc", "abc"));
        assert!(!same("abd", "abc") && !same("ab", "abc") && !same("abcd", "abc"));
        assert!(!same("", ""), "before the log was read nobody is a peer");
    }

    #[test]
    fn a_write_keeps_its_id_or_is_not_taken_while_the_key_is_not_known() {
        let route = chroma_ha_core::route::classify("POST", "/api/v2/tenants/t/databases/d/collections");
        let attempt = |given, key| judged(given, Some("first".to_owned()), key, &route);
        let known = attempt(Some("abc"), "abc");
        assert!(known.write_id == "first" && known.repeatable && known.forwarded && !known.early);
        assert!(attempt(Some("abc"), "").early, "under another id it might be logged twice");
        let stranger = attempt(Some("xyz"), "abc");
        assert!(stranger.write_id != "first" && !stranger.repeatable && !stranger.early);
        let client = attempt(None, "");
        assert!(client.write_id != "first" && !client.forwarded && !client.early);
    }

    /// The old API's requests are known for reads only when they have been translated.
    #[test]
    fn whatever_may_be_a_write_has_an_id() {
        let minted = |method, path| minted(&chroma_ha_core::route::classify(method, path));
        assert_eq!(minted("GET", "/api/v2/heartbeat"), "");
        assert_ne!(minted("DELETE", "/api/v1/collections/get"), "");
        assert_ne!(minted("POST", "/api/v1/collections"), "");
    }
}
