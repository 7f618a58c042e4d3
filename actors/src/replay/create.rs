//! The creation of a collection on one node. A name that the catalog does not know must be new there:
//! what is found under it came from an earlier delivery whose answer was lost, or from somebody past
//! the balancer, whose records are nobody's to take over.

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

use super::apply::Found;
use super::catalog::{Step, collection_of};
use super::peer::records_path;
use crate::board::Answer;

impl Step<'_> {
    pub(super) async fn create(&self, tenant: &str, database: &str) -> Found {
        if let Some(id) = self.awaits_copy() {
            return self.done(Answer::json(200, "{}"), Effect::Collection { id }, Vec::new(), None);
        }
        let known = self.acting() && self.is_known(tenant, database);
        let body = if known { self.body() } else { strictly_new(&self.entry.draft.body) };
        match self.send("POST", body).await {
            Ok(response) if response.status == 409 && !known => self.exists(tenant, database, response).await,
            other => match self.delivery.judge(self.task, self.entry, other.clone(), false) {
                Found::Done { .. } => match other {
                    Ok(response) => self.created(tenant, database, response),
                    Err(fault) => Found::Failed(Failure::Fault(fault), None),
                },
                // Deleted since, perhaps with its database: a later entry here takes it away.
                Found::Refused(answer) if self.is_deleted_since() => {
                    let effect = self.entry.effect().cloned().unwrap_or(Effect::Plain);
                    self.done(answer, effect, Vec::new(), None)
                }
                found => found,
            },
        }
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

    fn is_known(&self, tenant: &str, database: &str) -> bool {
        let sequencer = self.delivery.board.sequencer();
        self.field("name").is_some_and(|name| sequencer.catalog.named(tenant, database, &name).is_some())
    }

    /// The name is taken on the node although the catalog does not know it, or this entry made it.
    async fn exists(&self, tenant: &str, database: &str, refusal: NodeResponse) -> Found {
        let found = match self.look_up(tenant, database).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                let fault = NodeFault::Lost("a name was taken and then was not".to_owned());
                return Found::Failed(Failure::Fault(fault), None);
            }
            Err(found) => return found,
        };
        let Some((own, _)) = collection_of(&found.body) else {
            return Found::Refused(self.delivery.answer(self.task, refusal));
        };
        let logical = self.delivery.board.sequencer().logical(self.delivery.node, own);
        match (logical, self.entry.effect()) {
            (Some(id), Some(Effect::Collection { id: meant })) if id == *meant => {
                self.created(tenant, database, found)
            }
            (Some(_), _) => Found::Refused(self.delivery.answer(self.task, refusal)),
            (None, effect) => match (self.is_empty(tenant, database, own).await, effect) {
                (Err(found), _) => found,
                (Ok(true), _) => self.created(tenant, database, found),
                // Left alone: the collection is copied here, or the conflict reported.
                (Ok(false), Some(Effect::Collection { id })) => {
                    let effect = Effect::Collection { id: *id };
                    self.done(Answer::json(200, "{}"), effect, Vec::new(), Some((*id, None)))
                }
                (Ok(false), _) => self.refuse(
                    409,
                    "ConflictError",
                    "a Chroma server holds records under this name that did not come through chroma-ha; \
                     remove them there, or choose another name",
                ),
            },
        }
    }

    async fn is_empty(&self, tenant: &str, database: &str, own: Uuid) -> Result<bool, Found> {
        let path = format!("{}/count", records_path(tenant, database, own));
        let response = self.call("GET", path, Bytes::new()).await;
        match self.delivery.judge(self.task, self.entry, response, false) {
            Found::Done { answer, .. } => Ok(answer.body.trim_ascii() == b"0"),
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

    fn created(&self, tenant: &str, database: &str, response: NodeResponse) -> Found {
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
                let (tenant, database) = (tenant.to_owned(), database.to_owned());
                (id, vec![Move::CollectionCreated { id, tenant, database, name }])
            }
        };
        if known.is_some_and(|known| known != id) {
            return self.refuse(409, "ConflictError", "the node holds another collection of this name");
        }
        let body = with_id(&response.body, own, id.0);
        let answer = Answer { status: response.status, headers: response.headers, body };
        self.done(answer, Effect::Collection { id }, moves, Some((id, Some(own))))
    }
}

/// The request without its permission to take what exists.
fn strictly_new(body: &Bytes) -> Bytes {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut fields)) if fields.get("get_or_create") == Some(&Value::Bool(true)) => {
            fields.insert("get_or_create".to_owned(), Value::Bool(false));
            Bytes::from(Value::Object(fields).to_string())
        }
        _ => body.clone(),
    }
}
