//! Who may use `/admin/*`? With API keys: who shows one of scope admin, `ADMIN_TOKEN` among them. With
//! `ADMIN_TOKEN` alone: who shows it. With neither: who sits on this machine, by the address of the connection
//! itself, and came neither through a proxy nor from a browser's page. No other header lets anybody in.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use subtle::ConstantTimeEq;

use super::{Refusal, Worker, answer};
use crate::config::Secret;
use crate::front::credential::{self, shown};

/// A request with one of these was passed on, or was sent by a page in a browser on this machine: the
/// connection's address says nothing about who wants it.
const PASSED_ON: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via", "origin"];

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::front) enum Caller {
    /// Showed `ADMIN_TOKEN`; the connection's address.
    Key(Option<IpAddr>),
    /// Showed the API key of this name.
    ApiKey(String, Option<IpAddr>),
    /// On this machine, and no key is set.
    Loopback,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Key(Some(address)) => write!(f, "admin key, from {address}"),
            Caller::Key(None) => f.write_str("admin key"),
            Caller::ApiKey(name, Some(address)) => write!(f, "API key {name}, from {address}"),
            Caller::ApiKey(name, None) => write!(f, "API key {name}"),
            Caller::Loopback => f.write_str("loopback"),
        }
    }
}

pub(super) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let shared = request.app_data::<web::Data<Worker>>().map(|worker| Arc::clone(&worker.shared));
    let peer = request.peer_addr().map(|address| address.ip());
    // Without our own data nothing is known, so nobody is let in.
    let caller = shared.ok_or(Refusal::NoKeySet).and_then(|shared| match &shared.keys {
        Some(ring) => credential::operator(ring, request.headers())
            .map(|key| Caller::ApiKey(key.name.clone(), peer))
            .map_err(Refusal::Denied),
        None => caller(shared.config.admin_token.as_ref(), peer, request.headers()),
    });
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(refusal) => {
            tracing::info!(?peer, path = request.path(), "an operator's request was refused: no valid key");
            Ok(request.into_response(answer(Err(refusal))).map_into_boxed_body())
        }
    }
}

fn caller(set: Option<&Secret>, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let Some(set) = set else {
        let here = peer.is_some_and(|address| address.to_canonical().is_loopback());
        let direct = !PASSED_ON.iter().any(|name| headers.contains_key(*name));
        return if here && direct { Ok(Caller::Loopback) } else { Err(Refusal::NoKeySet) };
    };
    if shown(headers).any(|key| same(key, set)) { Ok(Caller::Key(peer)) } else { Err(Refusal::WrongKey) }
}

/// Takes as long whatever the first difference is; only the length may show.
fn same(key: &[u8], set: &Secret) -> bool {
    key.ct_eq(set.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::front::credential::ADMIN as KEY;

    fn asked(set: Option<&str>, peer: &str, headers: &[(&str, &str)]) -> Option<Caller> {
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let request = request.to_srv_request();
        caller(set.map(Secret::new).as_ref(), peer.parse().ok(), request.headers()).ok()
    }

    #[test]
    fn without_a_key_only_the_machine_itself_is_let_in() {
        for here in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(asked(None, here, &[]), Some(Caller::Loopback), "{here}");
        }
        for elsewhere in ["10.0.0.7", "192.168.1.1", "fe80::1", "::ffff:10.0.0.7", "0.0.0.0", ""] {
            assert_eq!(asked(None, elsewhere, &[]), None, "{elsewhere}");
        }
    }

    #[test]
    fn no_header_makes_a_caller_local_and_some_make_it_foreign() {
        for name in PASSED_ON {
            assert_eq!(asked(None, "127.0.0.1", &[(name, "127.0.0.1")]), None, "{name}");
            assert_eq!(asked(None, "10.0.0.7", &[(name, "127.0.0.1")]), None, "{name}");
        }
        assert_eq!(asked(None, "10.0.0.7", &[("authorization", "Bearer ")]), None);
        assert_eq!(asked(None, "10.0.0.7", &[(KEY, "")]), None);
    }

    #[test]
    fn with_a_key_set_only_the_key_counts() {
        let (away, ok) = ("10.0.0.7", Some(Caller::Key("10.0.0.7".parse().ok())));
        assert_eq!(asked(Some("open sesame"), away, &[(KEY, "open sesame")]), ok);
        assert_eq!(asked(Some("abc"), away, &[("authorization", "Bearer abc")]), ok);
        assert_eq!(asked(Some("abc"), away, &[("authorization", "bearer abc"), ("forwarded", "x")]), ok);
        assert_eq!(asked(Some("abc"), away, &[("authorization", "Basic eA=="), (KEY, "abc")]), ok);
        for wrong in ["Bearer ab", "Bearer abcd", "Bearer abC", "Bearer", "abc", "Basic abc", "Bearer  abc"] {
            assert_eq!(asked(Some("abc"), "127.0.0.1", &[("authorization", wrong)]), None, "{wrong}");
        }
        assert_eq!(asked(Some("abc"), "127.0.0.1", &[]), None, "loopback is no key");
    }
}
