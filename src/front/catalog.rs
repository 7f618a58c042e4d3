//! Answers about tenants, databases and collections: a node's answer with its own ids replaced by the
//! ids that clients know. Lists are ordered and paged here, because each node orders by its own ids.

use bytes::Bytes;
use chroma_ha_actors::proxy::Refusal;
use chroma_ha_core::ids::{CollectionId, NodeId, Stream};
use chroma_ha_core::route::{Read, collection_by_name_path};
use chroma_ha_core::sequencer::Gate;
use serde_json::Value;
use uuid::Uuid;

use super::exchange::{Incoming, Outgoing};
use super::read::{forward, of_collection};
use super::{Worker, rescue};

const CATALOG: Gate = Gate::Stream(Stream::Catalog);

pub(super) async fn read(worker: &Worker, read: &Read, incoming: &Incoming) -> Outgoing {
    let answer = match read {
        Read::CollectionById { id, .. } => of_collection(worker, *id, true, incoming).await,
        Read::CollectionByCrn { tenant, database, name } => {
            let path_and_query = collection_by_name_path(tenant, database, name);
            forward(worker, CATALOG, None, true, &Incoming { path_and_query, ..incoming.clone() }).await
        }
        Read::ListCollections { .. } => {
            let paged_here = pageable(incoming.query());
            let path_and_query = if paged_here { incoming.path() } else { &incoming.path_and_query };
            let path_and_query = path_and_query.to_owned();
            forward(worker, CATALOG, None, true, &Incoming { path_and_query, ..incoming.clone() }).await
        }
        _ => forward(worker, CATALOG, None, true, incoming).await,
    };
    let (status, headers, body) = match answer.collect().await {
        Ok(parts) => parts,
        Err(error) => return rescue::node(&chroma_ha_core::port::NodeFault::Lost(error.to_string())),
    };
    if let Some(id) = lost(worker, read).filter(|_| status == 404) {
        return rescue::refusal(&Refusal::Lost(id));
    }
    if status != 200 || body.is_empty() {
        return Outgoing::whole(status, headers, body);
    }
    let body = match read {
        Read::ListCollections { .. } => listed(worker, incoming.query(), &body),
        Read::CollectionByName { .. } | Read::CollectionById { .. } | Read::CollectionByCrn { .. } => {
            collection(worker, &body)
        }
        Read::GetDatabase { .. } | Read::ListDatabases { .. } => databases(worker, &body),
        _ => Some(body.clone()),
    };
    match body {
        Some(body) => Outgoing::whole(status, headers, body),
        None => Outgoing::error(404, "NotFoundError", "Collection does not exist"),
    }
}

/// What a node denies because every node lost it.
fn lost(worker: &Worker, read: &Read) -> Option<CollectionId> {
    let sequencer = worker.shared.system.board.sequencer();
    let id = match read {
        Read::CollectionByName { tenant, database, name }
        | Read::CollectionByCrn { tenant, database, name } => {
            sequencer.catalog.named(tenant, database, name)?
        }
        _ => return None,
    };
    sequencer.is_lost(id).then_some(id)
}

/// The collection with its logical id; `None` if it is none of the catalog's.
fn collection(worker: &Worker, body: &Bytes) -> Option<Bytes> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    with_logical_id(worker, &mut value).then(|| Bytes::from(value.to_string()))
}

/// Ids are unique over all nodes, so whichever node answered, one of them knows the id.
fn with_logical_id(worker: &Worker, value: &mut Value) -> bool {
    let Some(own) = value.get("id").and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok()) else {
        return false;
    };
    let sequencer = worker.shared.system.board.sequencer();
    let logical = (0..worker.shared.addresses.len()).find_map(|n| sequencer.logical(NodeId(n), own));
    if let Some(logical) = logical {
        value["id"] = Value::String(logical.to_string());
    }
    logical.is_some()
}

fn listed(worker: &Worker, query: &str, body: &Bytes) -> Option<Bytes> {
    let mut all: Vec<Value> = serde_json::from_slice(body).ok()?;
    all.retain_mut(|value| with_logical_id(worker, value));
    all.sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
    let offset = parameter(query, "offset").unwrap_or(0);
    let limit = parameter(query, "limit").unwrap_or(usize::MAX);
    let page: Vec<Value> = all.into_iter().skip(offset).take(limit).collect();
    Some(Bytes::from(Value::Array(page).to_string()))
}

/// Whether a node would take these parameters. Those that it refuses go to it, so that it says why.
fn pageable(query: &str) -> bool {
    let good = |name: &str| match &given(query, name)[..] {
        [] => true,
        [value] => value.parse::<u32>().is_ok(),
        _ => false,
    };
    good("limit") && good("offset")
}

fn given(query: &str, name: &str) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(n, _)| n == name).map(|(_, value)| value.into_owned()).collect()
}

fn parameter(query: &str, name: &str) -> Option<usize> {
    given(query, name).first()?.parse().ok()
}

fn databases(worker: &Worker, body: &Bytes) -> Option<Bytes> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    match &mut value {
        Value::Array(list) => list.iter_mut().for_each(|item| stable_database(worker, item)),
        one => stable_database(worker, one),
    }
    Some(Bytes::from(value.to_string()))
}

fn stable_database(worker: &Worker, value: &mut Value) {
    let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let (Some(tenant), Some(name)) = (text("tenant"), text("name")) else { return };
    let id = worker.shared.system.board.sequencer().catalog.database(&tenant, &name);
    if let Some(id) = id {
        value["id"] = Value::String(id.hyphenated().to_string());
    }
}
