//! Room for a copy under the collection's name on the node: what is there may be the same, the beginning of
//! this copy, what the copy replaces, or somebody's data. Data that nobody knows are never removed silently.

use chroma_ha_core::catalog::Collection;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{Change, Leftover, LeftoverState};
use chroma_ha_core::route::collection_by_name_path;
use chroma_ha_core::sequencer::CopyTask;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::apply::Delivery;
use super::super::peer::{Described, Peer, PeerError, collections_path, read, records_path};
use super::likeness::alike;
use super::records::Side;
use super::twins::twins;
use super::{Conflict, Original};

/// What there is under the name.
pub(super) enum Room {
    Free,
    /// An earlier copy got as far as this.
    Begun(Uuid),
    /// The same records.
    Same(Uuid),
    /// The same documents under other record ids.
    Twins(Uuid),
}

pub(super) async fn make(
    delivery: &Delivery,
    task: &CopyTask,
    original: &Original<'_>,
    target: &Peer<'_>,
) -> Result<Room, PeerError> {
    let place = &original.place;
    let Some(there) = target.collection(&place.tenant, &place.database, &place.name).await? else {
        return Ok(Room::Free);
    };
    let left = task.leftover.filter(|left| left.node_collection == there.id).map(|left| left.state);
    if matches!(left, Some(LeftoverState::Begun(_))) {
        return Ok(Room::Begun(there.id));
    }
    if delivery.board.sequencer().logical(delivery.node, there.id).is_some_and(|id| id != task.collection) {
        return Err(PeerError::Conflict(
            "the node holds another collection of the catalog under this name".to_owned(),
        ));
    }
    let side = Side { peer: *target, path: records_path(&place.tenant, &place.database, there.id) };
    let held = target.count(&side.path).await?;
    let ours = may_replace(delivery, task, there.id);
    if held > 0 && (!ours || left == Some(LeftoverState::Unchecked)) {
        if alike(delivery, task, &original.side, original.deletes(delivery, task), &side).await? {
            return Ok(Room::Same(there.id));
        }
        if !ours && twins(delivery, task, original, &side).await? {
            return Ok(Room::Twins(there.id));
        }
        let wins = delivery.conflict == Conflict::PrimaryWins && task.source == NodeId::PRIMARY;
        if !ours && !wins {
            let what = format!(
                "the node holds {held} other records under the name `{}`; remove them there, or set ADOPT_CONFLICT=primary-wins",
                place.name
            );
            delivery.board.sequencer().diverged(delivery.node, task.collection, what.clone());
            return Err(PeerError::Conflict(what));
        }
    }
    // From here on the old contents are void, whatever happens: a restart must not trust them.
    void(delivery, task, there.id).await?;
    let what = "deleting what the copy replaces";
    let path = collection_by_name_path(&place.tenant, &place.database, &place.name);
    target.change(what, "DELETE", path, None).await.map(|_| Room::Free)
}

/// Mapped here, or left by a copy: of this collection, or of one that has been deleted since.
fn may_replace(delivery: &Delivery, task: &CopyTask, own: Uuid) -> bool {
    task.replaces.contains(&own) || delivery.board.sequencer().is_outlived(delivery.node, own)
}

async fn void(delivery: &Delivery, task: &CopyTask, own: Uuid) -> Result<(), PeerError> {
    let (node, collection) = (delivery.node.name(), task.collection);
    let changes = vec![
        Change::Mapped { node: node.clone(), collection, node_collection: None },
        Change::Copying { node, collection, node_collection: Some(own) },
    ];
    delivery.record(changes).await.map_err(|_| PeerError::LogAway)?;
    let left = Leftover { node_collection: own, state: LeftoverState::Void };
    delivery.board.sequencer().leftover(delivery.node, collection, left);
    Ok(())
}

/// The collection anew, exactly: schema and metadata where the release has schemas, else configuration.
pub(super) async fn create(
    delivery: &Delivery,
    task: &CopyTask,
    target: &Peer<'_>,
    place: &Collection,
    original: &Described,
) -> Result<Uuid, PeerError> {
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
    let answer = target.change(what, "POST", path, Some(Value::Object(body).to_string())).await?;
    let own = read::<Described>(what, &answer)?.id;
    let (node, collection, position) = (delivery.node.name(), task.collection, task.position);
    let changes = vec![
        Change::Mapped { node: node.clone(), collection, node_collection: None },
        Change::CopyBegun { node, collection, node_collection: own, position },
    ];
    delivery.record(changes).await.map_err(|_| PeerError::LogAway)?;
    let left = Leftover { node_collection: own, state: LeftoverState::Begun(position) };
    delivery.board.sequencer().leftover(delivery.node, collection, left);
    Ok(own)
}
