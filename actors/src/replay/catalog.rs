//! Catalog entries on one node: tenants, databases, collections. A success seen twice looks like a
//! refusal (a create answers 409, a delete 404), so what the catalog knows decides which it was. A
//! collection whose id is not the mapped one is never touched.

use std::sync::Arc;

use bytes::Bytes;
use chroma_ha_core::catalog::Move;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::entry::{Entry, Op};
use chroma_ha_core::ids::{CollectionId, NodeId};
use chroma_ha_core::port::{Change, NodeFault, NodeResponse};
use chroma_ha_core::route::{self, Route, Write};
use chroma_ha_core::sequencer::{CatalogOutcome, Role, Task};
use serde_json::Value;
use uuid::Uuid;

use super::apply::{CatalogFound, Delivery, Found};
use crate::board::Answer;

pub async fn ask(delivery: &Delivery, task: &Task, entry: &Arc<Entry>) -> Found {
    let step = Step { delivery, task, entry };
    match entry.route() {
        Route::Write(Write::CreateCollection { tenant, database }) => step.create(&tenant, &database).await,
        Route::Write(Write::ModifyCollection { .. }) => step.modify().await,
        Route::Write(Write::DeleteCollection { name, .. }) => step.delete(name).await,
        Route::Write(Write::CreateDatabase { tenant }) => step.create_database(tenant).await,
        Route::Write(Write::DeleteDatabase { tenant, database }) => {
            step.delete_database(tenant, database).await
        }
        Route::Write(Write::CreateTenant) => step.create_tenant().await,
        Route::Write(Write::UpdateTenant { .. }) => step.plain("PATCH", Vec::new()).await,
        Route::Write(Write::Reset) => step.plain("POST", vec![Move::Reset { seq: entry.seq }]).await,
        _ => step.refuse(501, "Unimplemented", "this write is not known to this release"),
    }
}

/// What becomes durable with the entry on this node.
pub fn changes(node: NodeId, task: &Task, found: &CatalogFound) -> Vec<Change> {
    let mut changes = Vec::new();
    for entry in &task.entries {
        if task.role == Role::Acting {
            changes.push(Change::CatalogAccepted {
                seq: entry.seq,
                effect: found.effect.clone(),
                moves: found.outcome.moves.clone(),
            });
        }
        changes.push(Change::CatalogCursor { node: node.name(), seq: entry.seq });
    }
    if let Some((collection, node_collection)) = found.outcome.mapped {
        changes.push(Change::Mapped { node: node.name(), collection, node_collection });
        if node_collection.is_none() {
            // What a copy left went with it.
            changes.push(Change::Copying { node: node.name(), collection, node_collection });
        }
    }
    changes
}

pub(super) struct Step<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) task: &'a Task,
    pub(super) entry: &'a Arc<Entry>,
}

impl Step<'_> {
    pub(super) fn acting(&self) -> bool {
        self.task.role == Role::Acting
    }

    pub(super) fn body(&self) -> Bytes {
        self.entry.draft.body.clone()
    }

    pub(super) fn field(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.entry.draft.body).ok()?;
        body.get(name)?.as_str().map(str::to_owned)
    }

    pub(super) async fn call(
        &self,
        method: &'static str,
        path: String,
        body: Bytes,
    ) -> Result<NodeResponse, NodeFault> {
        self.delivery.call(self.entry, method, path, body).await
    }

    pub(super) async fn send(&self, method: &'static str, body: Bytes) -> Result<NodeResponse, NodeFault> {
        self.call(method, self.entry.draft.path.clone(), body).await
    }

    pub(super) fn refuse(&self, status: u16, error: &str, message: &str) -> Found {
        let body = serde_json::json!({ "error": error, "message": message });
        Found::Refused(Answer::json(status, body.to_string()))
    }

    pub(super) fn done(
        &self,
        answer: Answer,
        effect: Effect,
        moves: Vec<Move>,
        mapped: Option<(CollectionId, Option<Uuid>)>,
    ) -> Found {
        let moves = if self.acting() { moves } else { Vec::new() };
        let outcome = CatalogOutcome { effect: Some(effect.clone()), moves, mapped };
        Found::Done { answer, catalog: Some(CatalogFound { effect, outcome }) }
    }

    /// One request whose acceptance is all there is to it.
    async fn plain(&self, method: &'static str, moves: Vec<Move>) -> Found {
        let response = self.send(method, self.body()).await;
        match self.delivery.judge(self.task, self.entry, response, false) {
            Found::Done { answer, .. } => self.done(answer, Effect::Plain, moves, None),
            other => other,
        }
    }

    /// As `plain`, for requests that answer `repeated` when they are done a second time.
    async fn once(&self, method: &'static str, repeated: u16, was_done: bool, moves: Vec<Move>) -> Found {
        match self.plain(method, moves.clone()).await {
            Found::Refused(answer) if answer.status == repeated && (!self.acting() || was_done) => {
                self.done(Answer::json(200, "{}"), Effect::Plain, moves, None)
            }
            other => other,
        }
    }

    async fn create_tenant(&self) -> Found {
        let Some(name) = self.field("name") else { return self.plain("POST", Vec::new()).await };
        let ours = !self.delivery.board.sequencer().catalog.has_tenant(&name);
        self.once("POST", 409, ours, vec![Move::TenantCreated { name }]).await
    }

    async fn create_database(&self, tenant: String) -> Found {
        let Some(name) = self.field("name") else { return self.plain("POST", Vec::new()).await };
        let ours = self.delivery.board.sequencer().catalog.database(&tenant, &name).is_none();
        let id = self.entry.draft.target.unwrap_or_default();
        self.once("POST", 409, ours, vec![Move::DatabaseCreated { id, tenant, name }]).await
    }

    async fn delete_database(&self, tenant: String, name: String) -> Found {
        let ours = self.delivery.board.sequencer().catalog.database(&tenant, &name).is_some();
        let seq = self.entry.seq;
        self.once("DELETE", 404, ours, vec![Move::DatabaseDeleted { tenant, name, seq }]).await
    }

    async fn modify(&self) -> Found {
        let held = self.task.subject.and_then(|id| self.leftover(id).or(self.task.node_collection));
        let (Some(id), Some(own)) = (self.task.subject, held) else {
            return match self.task.subject.filter(|_| !self.acting()) {
                // The node waits for a copy, which brings the collection as it is by then; and no copy is
                // made before this entry is passed.
                Some(id) => self.done(Answer::json(200, "{}"), Effect::Collection { id }, Vec::new(), None),
                None => self.missing(&self.task.subject.map(|id| id.to_string()).unwrap_or_default()),
            };
        };
        let renamed = self.field("new_name");
        let taken = {
            let sequencer = self.delivery.board.sequencer();
            let place = sequencer.catalog.collection(id);
            let named =
                |name: &String| place.and_then(|p| sequencer.catalog.named(&p.tenant, &p.database, name));
            renamed.as_ref().and_then(named).is_some_and(|other| other != id)
        };
        let path = route::with_collection(&self.entry.draft.path, own);
        let response = self.call("PUT", path, self.body()).await;
        let moves = renamed.map(|name| Move::CollectionRenamed { id, name }).into_iter().collect();
        match self.delivery.judge(self.task, self.entry, response, taken) {
            Found::Done { answer, .. } => self.done(answer, Effect::Collection { id }, moves, None),
            Found::Refused(answer) if answer.status == 404 && self.leftover(id).is_some() => {
                self.done(answer, Effect::Collection { id }, moves, None)
            }
            other => other,
        }
    }

    /// On a follower: what a copy that did not end has left there. It bears the collection's name.
    fn leftover(&self, id: CollectionId) -> Option<Uuid> {
        let sequencer = self.delivery.board.sequencer();
        sequencer.leftover_of(self.delivery.node, id).filter(|_| !self.acting())
    }

    async fn delete(&self, name: String) -> Found {
        let held = self.task.subject.and_then(|id| self.leftover(id).or(self.task.node_collection));
        let (Some(id), Some(own)) = (self.task.subject, held) else {
            // Unknown to the catalog; on a follower: this node never had it, or is past it.
            return match self.entry.effect() {
                Some(Effect::Collection { id }) => self.deleted(*id, Answer::json(200, "{}")),
                _ => self.missing(&name),
            };
        };
        match self.call("GET", self.entry.draft.path.clone(), Bytes::new()).await {
            Ok(found) if found.status == 200 => match collection_of(&found.body) {
                Some((there, _)) if there == own => {}
                _ if self.acting() => {
                    return self.refuse(
                        409,
                        "ConflictError",
                        "the node holds another collection of this name",
                    );
                }
                _ => return self.deleted(id, Answer::json(200, "{}")),
            },
            // An earlier delivery deleted it and its answer was lost.
            Ok(found) if found.status == 404 => return self.deleted(id, Answer::json(200, "{}")),
            other => return self.delivery.judge(self.task, self.entry, other, false),
        }
        let response = self.send("DELETE", Bytes::new()).await;
        match self.delivery.judge(self.task, self.entry, response, false) {
            Found::Done { answer, .. } => self.deleted(id, answer),
            Found::Refused(answer) if answer.status == 404 => self.deleted(id, Answer::json(200, "{}")),
            other => other,
        }
    }

    fn deleted(&self, id: CollectionId, answer: Answer) -> Found {
        let moves = vec![Move::CollectionDeleted { id, seq: self.entry.seq }];
        self.done(answer, Effect::Collection { id }, moves, Some((id, None)))
    }

    fn missing(&self, what: &str) -> Found {
        let dot = if self.entry.draft.op == Op::ModifyCollection { "." } else { "" };
        self.refuse(404, "NotFoundError", &format!("Collection [{what}] does not exist{dot}"))
    }
}

pub(super) fn collection_of(body: &Bytes) -> Option<(Uuid, String)> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let id = Uuid::parse_str(value.get("id")?.as_str()?).ok()?;
    Some((id, value.get("name")?.as_str()?.to_owned()))
}
