//! Does the acting node get the client's own request or the entry's effect? Rows of missing ids are not
//! sent, unless Chroma would refuse the request because of one: then it sees all and refuses it.

use std::sync::Arc;

use bytes::Bytes;
use chroma_ha_core::effect::{self, Judge, Send};
use chroma_ha_core::entry::Entry;
use chroma_ha_core::port::NodeFault;
use chroma_ha_core::route::collection_by_id_path;
use chroma_ha_core::sequencer::{Role, Task};
use serde_json::Value;

use super::apply::Delivery;

impl Delivery {
    /// What goes to the node for a record entry.
    pub(super) async fn sending(&self, task: &Task, entry: &Arc<Entry>) -> Result<Send, NodeFault> {
        let judge = if task.role == Role::Acting { effect::judge(entry) } else { Judge::Nobody };
        let refusable = match judge {
            Judge::Nobody => false,
            Judge::Chroma => true,
            Judge::Dimension(rows) => self.dimension(task, entry).await?.is_some_and(|own| own != rows),
        };
        Ok(if refusable { Send::Body(entry.draft.body.clone()) } else { effect::send(entry) })
    }

    /// The dimension of the collection, once a record has fixed it and where the node can tell.
    async fn dimension(&self, task: &Task, entry: &Arc<Entry>) -> Result<Option<usize>, NodeFault> {
        let Some(path) = self.by_id_path(task) else { return Ok(None) };
        let response = self.call(entry, "GET", path, Bytes::new()).await?;
        let collection: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let dimension = collection.get("dimension").and_then(Value::as_u64);
        Ok(dimension.and_then(|dimension| dimension.try_into().ok()))
    }

    fn by_id_path(&self, task: &Task) -> Option<String> {
        let sequencer = self.board.sequencer();
        let place = sequencer.catalog.collection(task.subject?)?;
        Some(collection_by_id_path(&place.tenant, &place.database, task.node_collection?))
    }
}
