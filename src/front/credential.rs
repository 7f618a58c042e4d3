//! Which API key does a request show, and is that enough for what it asks? Every request is judged by its route
//! before its body is read, and again where it is answered, when it is known where a collection really is.
//! Without API keys nobody is asked for one. What may be, is decided in `core::access`.

use std::sync::Arc;

use actix_web::dev::RequestHead;
use actix_web::http::header::HeaderMap;
use chroma_ha_actors::proxy::Refusal as Unserved;
use chroma_ha_core::access::{Asked, Bounds, Key, Of, Refusal, Scope, Verdict, asked, asks_for_no_key};
use chroma_ha_core::route::{Read, Route};
use serde_json::{Value, json};

use super::exchange::{Incoming, Outgoing};
use super::read::RECOVERY;
use super::{KeyRing, Shared, Worker, rescue};

/// Carries a key where `Authorization` is taken by a proxy's own.
pub(super) const ADMIN: &str = "x-chroma-ha-admin-token";

/// What says who somebody is. With API keys these are the balancer's alone and reach no node.
const CREDENTIALS: [&str; 5] = ["authorization", "proxy-authorization", "x-chroma-token", "cookie", ADMIN];

/// A request may show more than one, for a proxy may add its own; so many are looked at.
const MOST_SHOWN: usize = 4;

/// In bytes. What is longer is no key.
const LONGEST: usize = 512;

/// What answers whoever asks: it tells nothing but whether the balancer serves, and the page has no figures in it.
const OPEN: [&str; 4] = ["/health", "/livez", "/readyz", "/dashboard"];

const IDENTITY: &str = "/api/v2/auth/identity";

/// Why a request is turned away.
#[derive(Debug)]
pub(super) enum Denied {
    /// It shows no key.
    Missing,
    /// It shows none that is known.
    Unknown,
    /// The key that it shows is not for this.
    Forbidden(Refusal),
}

pub(super) fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Every key that the request shows.
pub(super) fn shown(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all("authorization").filter_map(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    });
    let bare = ["x-chroma-token", ADMIN].into_iter().flat_map(|name| headers.get_all(name));
    bearer.chain(bare.map(|value| value.as_bytes()))
}

/// The first known one of those that are shown.
fn key(ring: &KeyRing, headers: &HeaderMap) -> Result<Arc<Key>, Denied> {
    let mut denied = Denied::Missing;
    for shown in shown(headers).take(MOST_SHOWN) {
        match Some(shown).filter(|key| key.len() <= LONGEST).and_then(|key| ring.find(key)) {
            Some(key) => return Ok(key),
            None => denied = Denied::Unknown,
        }
    }
    Err(denied)
}

fn permitted(ring: &KeyRing, headers: &HeaderMap, asked: &Asked<'_>) -> Result<Arc<Key>, Denied> {
    let key = key(ring, headers)?;
    match key.may(asked) {
        Verdict::Refused(refusal) => Err(Denied::Forbidden(refusal)),
        Verdict::Allowed | Verdict::IfWithin(_) => Ok(key),
    }
}

/// Before anything of the request is taken in.
pub(super) fn admit(shared: &Shared, head: &RequestHead, route: &Route) -> Result<Option<Arc<Key>>, Denied> {
    match &shared.keys {
        Some(ring) if !asks_for_no_key(head.method.as_str()) => {
            permitted(ring, &head.headers, &asked(route)).map(Some)
        }
        _ => Ok(None),
    }
}

/// The same for what is not Chroma's API: figures of the whole cluster. `/admin` judges for itself.
pub(super) fn admit_to_own(shared: &Shared, head: &RequestHead) -> Result<Option<Arc<Key>>, Denied> {
    let path = head.uri.path();
    let open = OPEN.contains(&path) || path == "/admin" || path.starts_with("/admin/");
    match &shared.keys {
        Some(ring) if !open && !asks_for_no_key(head.method.as_str()) => {
            permitted(ring, &head.headers, &Asked { scope: Scope::Read, of: Of::Everybody }).map(Some)
        }
        _ => Ok(None),
    }
}

/// Who may operate the cluster.
pub(super) fn operator(ring: &KeyRing, headers: &HeaderMap) -> Result<Arc<Key>, Denied> {
    permitted(ring, headers, &Asked { scope: Scope::Admin, of: Of::Everybody })
}

/// Where the request is answered: of a translated one it is known only now what it asks, and where a
/// collection is, only who holds the catalog knows. `None`: it may go on.
pub(super) async fn judge(worker: &Worker, route: &Route, incoming: &Incoming) -> Option<Outgoing> {
    worker.shared.keys.as_ref()?;
    if asks_for_no_key(&incoming.method) {
        return None;
    }
    let Some(key) = &incoming.key else { return Some(rescue::denied(&Denied::Missing)) };
    match key.may(&asked(route)) {
        Verdict::Allowed => identity(key, route, incoming),
        Verdict::Refused(refusal) => Some(rescue::denied(&Denied::Forbidden(refusal))),
        Verdict::IfWithin(id) => {
            let board = &worker.shared.system.board;
            if !board.has_recovered(RECOVERY).await {
                return Some(rescue::refusal(&Unserved::LogUnread));
            }
            let sequencer = board.sequencer();
            let within = sequencer
                .catalog
                .collection(id)
                .is_some_and(|found| key.reaches(&found.tenant, &found.database));
            (!within).then(|| rescue::not_within(id, &key.bounds))
        }
    }
}

/// Who is bound is told so: clients that ask find their tenant and database.
fn identity(key: &Key, route: &Route, incoming: &Incoming) -> Option<Outgoing> {
    if *route != Route::Read(Read::Server) || incoming.path() != IDENTITY {
        return None;
    }
    let (tenant, database) = match &key.bounds {
        Bounds::Everything => return None,
        Bounds::Tenant(tenant) => (tenant, "*"),
        Bounds::Database { tenant, database } => (tenant, database.as_str()),
    };
    let body = json!({ "user_id": key.name, "tenant": tenant, "databases": [database] });
    Some(Outgoing::json(200, body.to_string()))
}

/// Whether clients are asked for keys, over which wire, and what of that could not be replaced.
pub(super) fn described(shared: &Shared) -> Value {
    let (keys, certificate) = (shared.keys.as_ref(), shared.certificate.as_ref());
    json!({
        "api_keys": keys.map(|keys| keys.len()),
        "api_keys_fault": keys.and_then(|keys| keys.fault()),
        "tls": certificate.is_some(),
        "certificate_fault": certificate.and_then(|shown| shown.fault()),
    })
}
