//! One collection is copied to one node anew because an operator says so. Until the copy is there the
//! collection is not read from that node; writes go on.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use chroma_ha_core::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::operator::Deed;
use chroma_ha_core::port::Change;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Answered, Caller, Refusal, Worker, answer, commit, held, node, read};

const REASON: &str = "an operator asked for a rebuild";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    node: String,
    /// Id or name.
    collection: String,
    tenant: Option<String>,
    database: Option<String>,
}

/// A collection as operators name it.
pub(super) struct Place {
    /// Id or name.
    pub(super) collection: String,
    pub(super) tenant: Option<String>,
    pub(super) database: Option<String>,
}

pub(super) async fn rebuild(
    worker: web::Data<Worker>,
    caller: web::ReqData<Caller>,
    body: Bytes,
) -> HttpResponse {
    answer(begin(&worker, caller.into_inner(), &body).await)
}

async fn begin(worker: &Worker, caller: Caller, body: &Bytes) -> Answered {
    let asked: Asked = read(body)?;
    held(worker).await?;
    let board = &worker.shared.system.board;
    let Asked { node: name, collection: wanted, tenant, database } = asked;
    let node = node(worker, &name)?;
    let id = collection(worker, &Place { collection: wanted, tenant, database })?;
    board.sequencer().rebuildable(node, id).map_err(Refusal::Hindered)?;
    let deed = Deed {
        actor: caller.to_string(),
        action: "rebuild".to_owned(),
        target: format!("{id} on {node}"),
        outcome: "begun".to_owned(),
        detail: String::new(),
    };
    let aside = Change::Quarantined { node: node.name(), collection: id, reason: Some(REASON.to_owned()) };
    commit(worker, deed, vec![aside]).await?;
    let set_aside = board.sequencer().set_aside(node, id, REASON);
    board.wake_all();
    set_aside.map_err(Refusal::Hindered)?;
    Ok(HttpResponse::Accepted().json(json!({
        "node": node.name(),
        "collection": id,
        "state": "quarantined",
        "message": "it is copied anew and not read from this node until then; /wal/status shows it while it waits",
    })))
}

/// By its id, or by its name in a database.
pub(super) fn collection(worker: &Worker, asked: &Place) -> Result<CollectionId, Refusal> {
    let sequencer = worker.shared.system.board.sequencer();
    let catalog = &sequencer.catalog;
    let by_id = Uuid::parse_str(&asked.collection).ok().map(CollectionId);
    let by_id = by_id.filter(|id| catalog.collection(*id).is_some());
    let tenant = asked.tenant.as_deref().unwrap_or(DEFAULT_TENANT);
    let database = asked.database.as_deref().unwrap_or(DEFAULT_DATABASE);
    by_id.or_else(|| catalog.named(tenant, database, &asked.collection)).ok_or_else(|| {
        let name = &asked.collection;
        Refusal::NotFound(format!("no collection has the id or name `{name}` in {tenant}/{database}"))
    })
}
