//! Under which id does a restore want a collection or database to be made? Clients hold ids for long, so it keeps
//! them. Only who can read the log's own key from the database may ask for that; for others ids are minted.

use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::route::Write;
use uuid::Uuid;

use super::exchange::{Incoming, Outgoing};
use super::{Worker, forward};

/// The id and the key of the log's balancers, a space between them.
const RESTORED: &str = "x-chroma-ha-restored-id";

/// `None`: none is asked for.
pub(super) fn id(worker: &Worker, write: &Write, incoming: &Incoming) -> Result<Option<Uuid>, Outgoing> {
    let Some(asked) = incoming.header(RESTORED) else { return Ok(None) };
    let refused = |status, error, message: &str| Err(Outgoing::error(status, error, message));
    if !matches!(write, Write::CreateCollection { .. } | Write::CreateDatabase { .. }) {
        return Ok(None);
    }
    let (id, key) = asked.split_once(' ').unwrap_or((asked, ""));
    if !forward::is_key(worker, key) {
        let message = format!("{RESTORED} is for `chroma-ha restore`, which knows the log's key");
        return refused(403, "AuthError", &message);
    }
    let Some(id) = Uuid::try_parse(id).ok().filter(|id| !id.is_nil()) else {
        return refused(400, "InvalidArgumentError", &format!("{RESTORED} begins with an id"));
    };
    let sequencer = worker.shared.system.board.sequencer();
    let (catalog, collection) = (&sequencer.catalog, CollectionId(id));
    if catalog.collection(collection).is_some() || catalog.deleted_at(collection).is_some() {
        return refused(409, "ConflictError", &format!("the id {id} is, or was, another collection's"));
    }
    Ok(Some(id))
}
