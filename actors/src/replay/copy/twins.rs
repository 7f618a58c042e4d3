//! Do two nodes hold the same documents under different record ids? They were filled apart, then. Compared
//! by document and content; it changes nothing.

use std::collections::HashSet;

use chroma_ha_core::conversion::{self, Seen};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::sequencer::CopyTask;
use serde_json::json;

use super::super::apply::Delivery;
use super::super::peer::PeerError;
use super::records::{Ids, Side};
use super::{Conflict, Original};

/// Records read with one request.
const CHUNK: usize = 250;

/// Asked of data that a node holds besides the primary's, where that does not replace it anyway.
pub(super) async fn twins(
    delivery: &Delivery,
    task: &CopyTask,
    original: &Original<'_>,
    target: &Side<'_>,
) -> Result<bool, PeerError> {
    let Some(key) = delivery.deletion_key.as_deref() else { return Ok(false) };
    let as_many =
        original.side.peer.count(&original.side.path).await? == target.peer.count(&target.path).await?;
    if !as_many || task.source != NodeId::PRIMARY || delivery.conflict == Conflict::PrimaryWins {
        return Ok(false);
    }
    let deletes = original.deletes(delivery, task);
    let source = shown(&original.side, Ids::of(&original.side, Some(deletes)), key).await?;
    Ok(conversion::same_documents(&source, &shown(target, Ids::of(target, None), key).await?))
}

/// A record that is listed more than once while others are deleted counts once.
async fn shown(side: &Side<'_>, mut ids: Ids<'_>, key: &str) -> Result<Vec<Seen>, PeerError> {
    let what = "reading documents";
    let (mut all, mut listed) = (Vec::new(), HashSet::new());
    while let Some(mut page) = ids.next().await? {
        page.retain(|id| listed.insert(id.clone()));
        for chunk in page.chunks(CHUNK) {
            let body = json!({ "ids": chunk, "include": ["metadatas", "documents"] }).to_string();
            let answer = side.peer.ask(what, "POST", format!("{}/get", side.path), Some(body)).await?;
            let unreadable = || PeerError::Unreadable { what, cause: "no records".to_owned() };
            all.extend(conversion::seen(&answer, key).ok_or_else(unreadable)?);
        }
    }
    Ok(all)
}
