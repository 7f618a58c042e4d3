//! The operator's routes, `/admin/*`: who is let in (`key`), and what every one of them shares: JSON in
//! and out, one-line errors, the lease, an audit row with each change. It refuses to change anything
//! without that row.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use chroma_ha_actors::wal::{Holder, Record};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::operator::Deed;
use chroma_ha_core::port::{Change, StoreError};
use chroma_ha_core::sequencer::Hindrance;
use serde::de::DeserializeOwned;

use super::credential::Denied;
use super::{Worker, rescue};

mod audit;
mod dead_letters;
mod key;
mod nodes;
mod rebuild;
mod verify;
mod writes;

pub(super) use dead_letters::open as open_dead_letters;
use key::Caller;
pub(super) use nodes::drain_of;

/// What is there, for people who ask for something else.
const ROUTES: [&str; 13] = [
    "GET /admin/audit",
    "GET /admin/dead-letters",
    "POST /admin/dead-letters/{id}/retry",
    "POST /admin/dead-letters/{id}/discard",
    "POST /admin/rebuild",
    "GET /admin/nodes",
    "POST /admin/nodes/{node}/drain",
    "POST /admin/nodes/{node}/undrain",
    "POST /admin/acting",
    "GET /admin/writes",
    "GET /admin/writes/{write_id}",
    "GET /admin/verify",
    "POST /admin/verify",
];

/// Why an operator's request was not carried out.
pub(super) enum Refusal {
    /// No key is set, and the caller is not known to sit on this machine.
    NoKeySet,
    /// The key is missing or wrong.
    WrongKey,
    /// There are API keys, and none for this is shown.
    Denied(Denied),
    Unknown {
        method: String,
        path: String,
    },
    /// The request itself.
    Malformed(String),
    /// What it is about is not there.
    NotFound(String),
    /// It cannot be done as things are.
    Hindered(Hindrance),
    /// Another balancer holds the lease, at this address if it told one.
    NotHere {
        holder: Option<String>,
    },
    LogAway,
    /// Whether an order before it holds was not heard.
    OrdersInDoubt,
    LogRefused(String),
}

type Answered = Result<HttpResponse, Refusal>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/admin")
            .wrap(from_fn(to_the_end))
            .wrap(from_fn(key::admit))
            .route("/audit", web::get().to(audit::list))
            .route("/dead-letters", web::get().to(dead_letters::list))
            .route("/dead-letters/{id}/retry", web::post().to(dead_letters::retry))
            .route("/dead-letters/{id}/discard", web::post().to(dead_letters::discard))
            .route("/rebuild", web::post().to(rebuild::rebuild))
            .route("/nodes", web::get().to(nodes::list))
            .route("/nodes/{node}/drain", web::post().to(nodes::drain))
            .route("/nodes/{node}/undrain", web::post().to(nodes::undrain))
            .route("/acting", web::post().to(nodes::switch))
            .route("/writes", web::get().to(writes::list))
            .route("/writes/{write_id}", web::get().to(writes::show))
            .route("/verify", web::get().to(verify::show))
            .route("/verify", web::post().to(verify::begin))
            .default_service(web::route().to(unknown)),
    );
}

/// Who gives an order may leave before it is durable: it is carried out all the same, or this balancer would not
/// know what the log does.
async fn to_the_end(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let ended = actix_web::rt::spawn(next.call(request)).await;
    ended.map_err(|fallen| InternalError::from_response(fallen, answer(Err(Refusal::LogAway))))?
}

async fn unknown(request: HttpRequest) -> HttpResponse {
    answer(Err(Refusal::Unknown { method: request.method().to_string(), path: request.path().to_owned() }))
}

fn answer(answered: Answered) -> HttpResponse {
    answered.unwrap_or_else(|refusal| rescue::admin(&refusal, &ROUTES).into_response())
}

/// A body that is empty asks for the defaults.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text)
        .map_err(|error| Refusal::Malformed(format!("the body is not what this route accepts: {error}")))
}

/// Only the holder of the lease may change something.
async fn held(worker: &Worker) -> Result<(), Refusal> {
    if worker.shared.system.board.sequencer().leading() {
        return Ok(());
    }
    let holder = worker.shared.system.wal.send(Holder).await;
    Err(Refusal::NotHere { holder: holder.ok().and_then(Result::ok).flatten() })
}

/// Commits an operator's act together with what it changes.
async fn commit(worker: &Worker, deed: Deed, mut changes: Vec<Change>) -> Result<(), Refusal> {
    tracing::info!(
        actor = deed.actor,
        action = deed.action,
        target = deed.target,
        outcome = deed.outcome,
        "an operator acts"
    );
    changes.push(Change::Audited { deed });
    let epoch = worker.shared.system.board.sequencer().epoch();
    match worker.shared.system.wal.send(Record { epoch, changes }).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Refusal::LogAway),
    }
}

/// A node by its name in `/status`.
fn node(worker: &Worker, name: &str) -> Result<NodeId, Refusal> {
    let nodes: Vec<NodeId> = worker.shared.system.board.sequencer().node_ids().collect();
    let found = nodes.iter().find(|node| node.name() == name).copied();
    found.ok_or_else(|| {
        let names: Vec<String> = nodes.iter().map(|node| node.name()).collect();
        Refusal::NotFound(format!("no node is named `{name}`; there are: {}", names.join(", ")))
    })
}

impl From<Hindrance> for Refusal {
    fn from(hindrance: Hindrance) -> Refusal {
        Refusal::Hindered(hindrance)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        match error {
            StoreError::Unavailable(_) => Refusal::LogAway,
            StoreError::LeaseLost(_) => Refusal::NotHere { holder: None },
            StoreError::Refused(cause) => Refusal::LogRefused(cause),
        }
    }
}
