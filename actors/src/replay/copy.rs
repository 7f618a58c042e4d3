//! One collection copied onto a node, from a node that has it, while writes go on. Each record is read
//! in a state at or after the copy's position; the node's lane then replays from that position, and
//! replaying a suffix of the log again ends in the same state.

use std::time::Instant;

use chroma_ha_core::catalog::Collection;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::operator::{Closing, Letters};
use chroma_ha_core::port::Change;
use chroma_ha_core::route::collection_by_name_path;
use chroma_ha_core::sequencer::CopyTask;
use serde_json::{Map, Value, json};
use tracing::{info, warn};
use uuid::Uuid;

use super::apply::Delivery;
use super::compare::same;
use super::peer::{Described, Peer, PeerError, Records, collections_path, read, records_path};
use super::twins::twins;
use crate::board::CopyProgress;

/// Records copied with one request to each node.
pub(super) const PAGE: usize = 250;

/// What to do where a node holds other data under the same name and nobody knows whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Leave it, serve the collection from elsewhere, say so.
    #[default]
    Report,
    /// The primary's contents replace it.
    PrimaryWins,
}

/// Copies, and tells the sequencer. `losses`: how often each node had lost its standing before.
pub async fn copy(delivery: Delivery, task: CopyTask, losses: Vec<u64>) {
    let node = delivery.node;
    let started = Instant::now();
    let made = tokio::select! {
        biased;
        () = delivery.board.lost(node, losses[node.0]) => Err(PeerError::Conflict("the node was lost meanwhile".to_owned())),
        () = delivery.board.lost(task.source, losses[task.source.0]) => {
            Err(PeerError::Conflict("the source was lost meanwhile".to_owned()))
        }
        made = make(&delivery, &task) => made,
    };
    delivery.board.set_copy(node, None);
    let own = match made {
        Ok((own, records)) => {
            let duration_ms = started.elapsed().as_millis();
            info!(%node, collection = %task.collection, source = %task.source, records, duration_ms, "collection copied");
            Ok(own)
        }
        Err(error) => {
            warn!(%node, collection = %task.collection, %error, "copying the collection failed; it stays away from this node");
            Err(error.to_string())
        }
    };
    let now_ms = delivery.board.now_ms();
    let made = own.is_ok();
    let counted = delivery.board.sequencer().copied(node, &task, own, now_ms);
    delivery.board.wake_all();
    if made && !counted {
        warn!(%node, collection = %task.collection, "the copy came too late to count; it is made again");
    }
}

async fn make(delivery: &Delivery, task: &CopyTask) -> Result<(Uuid, usize), PeerError> {
    let gone = || PeerError::Conflict("the collection was deleted meanwhile".to_owned());
    let place = delivery.board.sequencer().catalog.collection(task.collection).cloned().ok_or_else(gone)?;
    let (source, target) = (delivery.peer(task.source), delivery.peer(delivery.node));
    let original = source.collection(&place.tenant, &place.database, &place.name).await?.ok_or_else(gone)?;
    let theirs = delivery.board.sequencer().node_collection(task.source, task.collection);
    if theirs != Some(original.id) {
        return Err(PeerError::Conflict("the source holds another collection of this name".to_owned()));
    }
    delivery.board.sequencer().set_other_ids(delivery.node, task.collection, false);
    let from = records_path(&place.tenant, &place.database, original.id);
    let ids = source.ids(&from).await?;
    if let Some(own) = make_room(delivery, task, &place, &target, (&source, &from, &ids)).await? {
        finish(delivery, task, own).await?;
        return Ok((own, ids.len()));
    }
    let own = create(&target, &place, &original).await?;
    note(delivery, task, Some(own)).await?;
    let to = records_path(&place.tenant, &place.database, own);
    for (page, chunk) in ids.chunks(PAGE).enumerate() {
        let done = page * PAGE;
        delivery.board.set_copy(
            delivery.node,
            Some(CopyProgress { collection: task.collection, done, total: ids.len() }),
        );
        carry((&source, &from), (&target, &to), chunk).await?;
    }
    finish(delivery, task, own).await?;
    Ok((own, ids.len()))
}

/// Clears the name on the target. A collection there that already holds the same is kept: its id is
/// returned. One that is neither ours, nor empty, nor equal is somebody's data.
async fn make_room(
    delivery: &Delivery,
    task: &CopyTask,
    place: &Collection,
    target: &Peer<'_>,
    (source, from, ids): (&Peer<'_>, &str, &[String]),
) -> Result<Option<Uuid>, PeerError> {
    let Some(there) = target.collection(&place.tenant, &place.database, &place.name).await? else {
        return Ok(None);
    };
    if delivery.board.sequencer().logical(delivery.node, there.id).is_some_and(|id| id != task.collection) {
        return Err(PeerError::Conflict(
            "the node holds another collection of the catalog under this name".to_owned(),
        ));
    }
    if !task.replaces.contains(&there.id) {
        let to = records_path(&place.tenant, &place.database, there.id);
        let held = target.ids(&to).await?;
        if !held.is_empty() {
            if same(source, from, ids, target, &to, &held).await? {
                return Ok(Some(there.id));
            }
            let wins = delivery.conflict == Conflict::PrimaryWins && task.source == NodeId::PRIMARY;
            if let Some(key) =
                delivery.deletion_key.as_ref().filter(|_| !wins && task.source == NodeId::PRIMARY)
                && twins((source, from, ids), (target, &to, &held), key).await?
            {
                warn!(node = %delivery.node, collection = %task.collection,
                    "the node holds the same documents under other record ids: it follows the log and is not read");
                delivery.board.sequencer().set_other_ids(delivery.node, task.collection, true);
                return Ok(Some(there.id));
            }
            if !wins {
                return Err(PeerError::Conflict(format!(
                    "the node holds {} other records under the name `{}`; remove them there, or set ADOPT_CONFLICT=primary-wins",
                    held.len(),
                    place.name
                )));
            }
        }
    }
    // From here on the old contents are void, whatever happens: a restart must not trust them.
    note(delivery, task, Some(there.id)).await?;
    let what = "deleting what the copy replaces";
    let path = collection_by_name_path(&place.tenant, &place.database, &place.name);
    target.ask(what, "DELETE", path, None).await.map(|_| None)
}

/// The collection anew, exactly: schema and metadata where the release has schemas, else configuration.
async fn create(target: &Peer<'_>, place: &Collection, original: &Described) -> Result<Uuid, PeerError> {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(place.name));
    for (field, value) in [("metadata", &original.metadata), ("schema", &original.schema)] {
        if !value.is_null() {
            body.insert(field.to_owned(), value.clone());
        }
    }
    if original.schema.is_null() && !original.configuration_json.is_null() {
        body.insert("configuration".to_owned(), original.configuration_json.clone());
    }
    let what = "creating the copy";
    let path = collections_path(&place.tenant, &place.database);
    let answer = target.ask(what, "POST", path, Some(Value::Object(body).to_string())).await?;
    read::<Described>(what, &answer).map(|made| made.id)
}

/// Copies these records, in halves where a request would be too large for the node.
async fn carry(
    (source, from): (&Peer<'_>, &str),
    (target, to): (&Peer<'_>, &str),
    ids: &[String],
) -> Result<(), PeerError> {
    let mut waiting = vec![ids];
    while let Some(ids) = waiting.pop() {
        match add(target, to, source.records(from, ids).await?).await {
            Err(PeerError::Refused { status: 413, .. }) if ids.len() > 1 => {
                let (front, back) = ids.split_at(ids.len() / 2);
                waiting.extend([back, front]);
            }
            done => done?,
        }
    }
    Ok(())
}

async fn add(target: &Peer<'_>, to: &str, records: Records) -> Result<(), PeerError> {
    if records.ids.is_empty() {
        return Ok(());
    }
    let mut body = format!("{{\"ids\":{}", json!(records.ids));
    let columns = [
        ("embeddings", records.embeddings),
        ("metadatas", records.metadatas),
        ("documents", records.documents),
        ("uris", records.uris),
    ];
    for (name, column) in columns {
        if let Some(column) = column.filter(|raw| raw.get() != "null") {
            body.push_str(&format!(",\"{name}\":{}", column.get()));
        }
    }
    body.push('}');
    target.ask("adding copied records", "POST", format!("{to}/add"), Some(body)).await.map(drop)
}

/// Remembers what a restart may replace, and that the node has no usable copy.
async fn note(delivery: &Delivery, task: &CopyTask, own: Option<Uuid>) -> Result<(), PeerError> {
    let (node, collection) = (delivery.node.name(), task.collection);
    let changes = vec![
        Change::Mapped { node: node.clone(), collection, node_collection: None },
        Change::Copying { node, collection, node_collection: own },
    ];
    delivery.record(changes).await.map_err(|_| PeerError::LogAway)?;
    delivery.board.sequencer().leftover(delivery.node, collection, own);
    Ok(())
}

async fn finish(delivery: &Delivery, task: &CopyTask, own: Uuid) -> Result<(), PeerError> {
    let (node, collection) = (delivery.node.name(), task.collection);
    let other = delivery.board.sequencer().has_other_ids(delivery.node, collection);
    let mut changes = vec![
        Change::Mapped { node: node.clone(), collection, node_collection: Some(own) },
        Change::Copying { node: node.clone(), collection, node_collection: None },
        Change::LettersClosed {
            node: node.clone(),
            letters: Letters::Collection(collection),
            how: Closing::Rebuilt,
        },
        Change::Quarantined { node, collection, reason: None },
    ];
    if other {
        changes.push(Change::OtherIds { node: delivery.node.name(), collection });
    }
    delivery.record(changes).await.map_err(|_| PeerError::LogAway)
}
