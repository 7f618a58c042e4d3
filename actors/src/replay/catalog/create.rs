//! The create of a collection on one node. On a follower what is there already is told apart: made by an
//! earlier delivery, lost and waiting for a copy, or somebody else's. It copies nothing itself.

use bytes::Bytes;
use chroma_ha_core::answer::with_id;
use chroma_ha_core::catalog::Move;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::health::Failure;
use chroma_ha_core::ids::{CollectionId, Stream};
use chroma_ha_core::port::{NodeFault, NodeResponse};
use chroma_ha_core::route::collection_by_name_path;
use serde_json::Value;
use uuid::Uuid;

use super::super::apply::Found;
use super::super::peer::records_path;
use super::{Step, collection_of};
use crate::board::Answer;

impl Step<'_> {
    pub(super) async fn create(&self, tenant: String, database: String) -> Found {
        if let Some(id) = self.awaits_copy() {
            return self.done(Answer::json(200, "{}"), Effect::Collection { id }, Vec::new(), None);
        }
        let body = if self.acting() { self.body() } else { get_or_create(&self.entry.draft.body) };
        let response = match self.send("POST", body).await {
            // Created by an earlier delivery whose answer was lost, or by somebody before: look.
            Ok(response) if response.status == 409 => match self.look_up(&tenant, &database).await {
                Ok(Some(found)) if self.is_unmapped(&found) => found,
                Ok(_) => response,
                Err(found) => return found,
            },
            other => match self.delivery.judge(self.task, self.entry, other.clone(), false) {
                Found::Done { .. } => match other {
                    Ok(response) => response,
                    Err(fault) => return Found::Failed(Failure::Fault(fault), None),
                },
                // Deleted since, perhaps with its database: a later entry here takes it away.
                Found::Refused(answer) if self.is_deleted_since() => {
                    return self.done(
                        answer,
                        self.entry.effect().cloned().unwrap_or(Effect::Plain),
                        Vec::new(),
                        None,
                    );
                }
                found => return found,
            },
        };
        if response.status >= 400 {
            return Found::Refused(self.delivery.answer(self.task, response));
        }
        self.created(tenant, database, response).await
    }

    /// On a follower: the collection existed before this entry, and the node has no good copy of it. What a
    /// create made here would be empty and, once mapped, pass for the whole.
    fn awaits_copy(&self) -> Option<CollectionId> {
        let Some(Effect::Collection { id }) = self.entry.effect() else { return None };
        if self.acting() || self.entry.draft.target == Some(id.0) {
            return None;
        }
        let sequencer = self.delivery.board.sequencer();
        let log = sequencer.node(self.delivery.node);
        let good = log.node_collection(*id).is_some() && !log.is_quarantined(Stream::Collection(*id));
        (!good).then_some(*id)
    }

    /// On a follower: whether the catalog no longer has what this entry created.
    fn is_deleted_since(&self) -> bool {
        let Some(Effect::Collection { id }) = self.entry.effect() else { return false };
        !self.acting() && self.delivery.board.sequencer().catalog.collection(*id).is_none()
    }

    /// What an earlier delivery of this entry created is empty: records come after the mapping.
    async fn holds_records(&self, tenant: &str, database: &str, own: Uuid) -> Result<bool, Found> {
        let path = format!("{}/count", records_path(tenant, database, own));
        let response = self.call("GET", path, Bytes::new()).await;
        match self.delivery.judge(self.task, self.entry, response, false) {
            Found::Done { answer, .. } => {
                Ok(serde_json::from_slice::<u64>(&answer.body).is_ok_and(|n| n > 0))
            }
            other => Err(other),
        }
    }

    /// The collection of this name on the node. Only a 404 means that there is none.
    async fn look_up(&self, tenant: &str, database: &str) -> Result<Option<NodeResponse>, Found> {
        let Some(name) = self.field("name") else { return Ok(None) };
        let path = collection_by_name_path(tenant, database, &name);
        match self.call("GET", path, Bytes::new()).await {
            Ok(response) if response.status == 404 => Ok(None),
            other => match (self.delivery.judge(self.task, self.entry, other.clone(), false), other) {
                (Found::Done { .. }, Ok(response)) => Ok(Some(response)),
                (found, _) => Err(found),
            },
        }
    }

    fn is_unmapped(&self, response: &NodeResponse) -> bool {
        let own = collection_of(&response.body).map(|(own, _)| own);
        let sequencer = self.delivery.board.sequencer();
        own.is_some_and(|own| sequencer.logical(self.delivery.node, own).is_none())
    }

    async fn created(&self, tenant: String, database: String, response: NodeResponse) -> Found {
        let Some((own, name)) = collection_of(&response.body) else {
            let fault = NodeFault::Lost("the answer to a create has no id".to_owned());
            return Found::Failed(Failure::Fault(fault), None);
        };
        let known = self.delivery.board.sequencer().logical(self.delivery.node, own);
        let (id, moves) = match (self.entry.effect(), known) {
            (Some(Effect::Collection { id }), _) => (*id, Vec::new()),
            (_, Some(existing)) => (existing, Vec::new()),
            (_, None) => {
                let id = CollectionId(self.entry.draft.target.unwrap_or_default());
                let (tenant, database) = (tenant.clone(), database.clone());
                (id, vec![Move::CollectionCreated { id, tenant, database, name }])
            }
        };
        if known.is_some_and(|known| known != id) {
            return self.refuse(409, "ConflictError", "the node holds another collection of this name");
        }
        let body = with_id(&response.body, own, id.0);
        let answer = Answer { status: response.status, headers: response.headers, body };
        if known.is_none() && !self.acting() {
            match self.holds_records(&tenant, &database, own).await {
                Ok(false) => {}
                // Somebody else's: never mapped; the collection waits for a copy, which judges it.
                Ok(true) => {
                    return self.done(answer, Effect::Collection { id }, Vec::new(), Some((id, None)));
                }
                Err(found) => return found,
            }
        }
        self.done(answer, Effect::Collection { id }, moves, Some((id, Some(own))))
    }
}

/// The create of a follower: an earlier delivery may have created the collection already.
fn get_or_create(body: &Bytes) -> Bytes {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("get_or_create".to_owned(), Value::Bool(true));
            Bytes::from(Value::Object(fields).to_string())
        }
        _ => body.clone(),
    }
}
