//! Catalog entries on one node, step by step as the replay actor does.

use std::sync::Arc;

use bytes::Bytes;
use chroma_ha_core::answer::with_id;
use chroma_ha_core::catalog::Move;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::entry::Entry;
use chroma_ha_core::ids::{CollectionId, NodeId};
use chroma_ha_core::port::{Change, NodeFault, NodeResponse};
use chroma_ha_core::route::{self, Route, Write, collection_by_name_path};
use chroma_ha_core::sequencer::{CatalogOutcome, Role, Task};
use serde_json::Value;
use uuid::Uuid;

use super::chroma::parsed;
use super::delivery::{Answer, Delivery, Found};

pub struct CatalogFound {
    pub effect: Effect,
    pub outcome: CatalogOutcome,
}

pub async fn ask(delivery: &Delivery, entry: &Arc<Entry>) -> Found {
    let step = Step { delivery, entry };
    match entry.route() {
        Route::Write(Write::CreateCollection { tenant, database }) => step.create(tenant, database).await,
        Route::Write(Write::ModifyCollection { .. }) => step.modify().await,
        Route::Write(Write::DeleteCollection { .. }) => step.delete().await,
        _ => step.refuse(501),
    }
}

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
    }
    changes
}

struct Step<'a> {
    delivery: &'a Delivery,
    entry: &'a Arc<Entry>,
}

impl Step<'_> {
    fn acting(&self) -> bool {
        self.delivery.task.role == Role::Acting
    }

    fn field(&self, name: &str) -> Option<String> {
        parsed(&self.entry.draft.body).get(name)?.as_str().map(str::to_owned)
    }

    async fn call(&self, method: &'static str, path: String, body: Bytes) -> Result<NodeResponse, NodeFault> {
        self.delivery.call(self.entry, method, path, body).await
    }

    fn path(&self) -> String {
        self.entry.draft.path.clone()
    }

    fn refuse(&self, status: u16) -> Found {
        Found::Refused(Answer { status, body: Bytes::from_static(b"{}") })
    }

    fn done(
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

    async fn create(&self, tenant: String, database: String) -> Found {
        let body =
            if self.acting() { self.entry.draft.body.clone() } else { get_or_create(&self.entry.draft.body) };
        let response = match self.call("POST", self.path(), body).await {
            Ok(response) if response.status == 409 => match self.look_up(&tenant, &database).await {
                Ok(Some(found)) if self.is_unmapped(&found) => found,
                Ok(_) => response,
                Err(found) => return found,
            },
            other => match (self.delivery.judge(self.entry, other.clone(), false), other) {
                (Found::Done { .. }, Ok(response)) => response,
                (found, _) => return found,
            },
        };
        if response.status >= 400 {
            return Found::Refused(self.delivery.answer(response));
        }
        self.created(tenant, database, response)
    }

    async fn look_up(&self, tenant: &str, database: &str) -> Result<Option<NodeResponse>, Found> {
        let name = self.field("name").unwrap_or_default();
        let path = collection_by_name_path(tenant, database, &name);
        match self.call("GET", path, Bytes::new()).await {
            Ok(response) if response.status == 404 => Ok(None),
            other => match (self.delivery.judge(self.entry, other.clone(), false), other) {
                (Found::Done { .. }, Ok(response)) => Ok(Some(response)),
                (found, _) => Err(found),
            },
        }
    }

    fn is_unmapped(&self, response: &NodeResponse) -> bool {
        let own = collection_of(&response.body).map(|(own, _)| own);
        let sequencer = self.delivery.world.sequencer.borrow();
        own.is_some_and(|own| sequencer.logical(self.delivery.node, own).is_none())
    }

    fn created(&self, tenant: String, database: String, response: NodeResponse) -> Found {
        let Some((own, name)) = collection_of(&response.body) else {
            return Found::Failed { in_doubt: true };
        };
        let known = self.delivery.world.sequencer.borrow().logical(self.delivery.node, own);
        let (id, moves) = match (self.entry.effect(), known) {
            (Some(Effect::Collection { id }), _) => (*id, Vec::new()),
            (_, Some(existing)) => (existing, Vec::new()),
            (_, None) => {
                let id = CollectionId(self.entry.draft.target.unwrap_or_default());
                (id, vec![Move::CollectionCreated { id, tenant, database, name }])
            }
        };
        if known.is_some_and(|known| known != id) {
            return self.refuse(409);
        }
        let body = with_id(&response.body, own, id.0);
        let answer = Answer { status: response.status, body };
        self.done(answer, Effect::Collection { id }, moves, Some((id, Some(own))))
    }

    async fn modify(&self) -> Found {
        let task = &self.delivery.task;
        let (Some(id), Some(own)) = (task.subject, task.node_collection) else { return self.refuse(404) };
        let renamed = self.field("new_name");
        let taken = {
            let sequencer = self.delivery.world.sequencer.borrow();
            let place = sequencer.catalog.collection(id);
            let named =
                |name: &String| place.and_then(|p| sequencer.catalog.named(&p.tenant, &p.database, name));
            renamed.as_ref().and_then(named).is_some_and(|other| other != id)
        };
        let path = route::with_collection(&self.entry.draft.path, own);
        let response = self.call("PUT", path, self.entry.draft.body.clone()).await;
        let moves = renamed.map(|name| Move::CollectionRenamed { id, name }).into_iter().collect();
        match self.delivery.judge(self.entry, response, taken) {
            Found::Done { answer, .. } => self.done(answer, Effect::Collection { id }, moves, None),
            other => other,
        }
    }

    async fn delete(&self) -> Found {
        let ok = || Answer { status: 200, body: Bytes::from_static(b"{}") };
        let task = &self.delivery.task;
        let (Some(id), Some(own)) = (task.subject, task.node_collection) else {
            return match self.entry.effect() {
                Some(Effect::Collection { id }) => self.deleted(*id, ok()),
                _ => self.refuse(404),
            };
        };
        match self.call("GET", self.path(), Bytes::new()).await {
            Ok(found) if found.status == 200 => match collection_of(&found.body) {
                Some((there, _)) if there == own => {}
                _ if self.acting() => return self.refuse(409),
                _ => return self.deleted(id, ok()),
            },
            Ok(found) if found.status == 404 => return self.deleted(id, ok()),
            other => return self.delivery.judge(self.entry, other, false),
        }
        let response = self.call("DELETE", self.path(), Bytes::new()).await;
        match self.delivery.judge(self.entry, response, false) {
            Found::Done { answer, .. } => self.deleted(id, answer),
            Found::Refused(answer) if answer.status == 404 => self.deleted(id, ok()),
            other => other,
        }
    }

    fn deleted(&self, id: CollectionId, answer: Answer) -> Found {
        let moves = vec![Move::CollectionDeleted { id, seq: self.entry.seq }];
        self.done(answer, Effect::Collection { id }, moves, Some((id, None)))
    }
}

pub fn collection_of(body: &Bytes) -> Option<(Uuid, String)> {
    let value = parsed(body);
    let id = Uuid::parse_str(value.get("id")?.as_str()?).ok()?;
    Some((id, value.get("name")?.as_str()?.to_owned()))
}

fn get_or_create(body: &Bytes) -> Bytes {
    match parsed(body) {
        Value::Object(mut fields) => {
            fields.insert("get_or_create".to_owned(), Value::Bool(true));
            Bytes::from(Value::Object(fields).to_string())
        }
        _ => body.clone(),
    }
}
