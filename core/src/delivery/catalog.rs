//! Catalog entries on one node: tenants, databases, collections. A success seen twice looks like a
//! refusal (a create answers 409, a delete 404), so what the catalog knows decides which it was. A
//! collection whose id is not the mapped one is never touched.

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::case::{Case, collection_of, lost};
use super::{CatalogFound, Found, Turn};
use crate::answer::Answer;
use crate::catalog::Move;
use crate::effect::Effect;
use crate::entry::Op;
use crate::ids::CollectionId;
use crate::port::{NodeFault, NodeResponse};
use crate::route::{self, Route, Write};

#[derive(Debug)]
pub(super) enum Awaited {
    /// A request whose acceptance is all there is to it. `repeated`: answered so, it was done before.
    Plain { moves: Vec<Move>, repeated: Option<u16> },
    /// A change of a collection. `taken`: another one has the name that it is to get.
    Modified { id: CollectionId, moves: Vec<Move>, taken: bool },
    /// The collection that bears the name of the one to be deleted, which is `own`.
    Namesake { id: CollectionId, own: Uuid },
    /// The deletion of a collection.
    Deleted { id: CollectionId },
}

type Response = Result<NodeResponse, NodeFault>;

impl Case<'_> {
    pub(super) fn begin_catalog(&self) -> Turn {
        match self.entry.route() {
            Route::Write(Write::CreateCollection { tenant, database }) => self.create(tenant, database),
            Route::Write(Write::DeleteCollection { name, .. }) => self.delete(&name),
            Route::Write(Write::ModifyCollection { .. }) => self.modify(),
            Route::Write(Write::CreateDatabase { tenant }) => self.create_database(tenant),
            Route::Write(Write::DeleteDatabase { tenant, database }) => {
                self.delete_database(tenant, database)
            }
            Route::Write(Write::CreateTenant) => self.create_tenant(),
            Route::Write(Write::UpdateTenant { .. }) => self.plain("PATCH", Vec::new()),
            Route::Write(Write::Reset) => self.plain("POST", vec![Move::Reset { seq: self.entry.seq }]),
            _ => Turn::Found(refuse(501, "Unimplemented", "this write is not known to this release")),
        }
    }

    pub(super) fn catalog_answered(&self, awaited: Awaited, response: Response) -> Turn {
        Turn::Found(match awaited {
            Awaited::Plain { moves, repeated } => self.plain_answered(moves, repeated, response),
            Awaited::Modified { id, moves, taken } => self.modified(id, moves, taken, response),
            Awaited::Namesake { id, own } => return self.namesake(id, own, response),
            Awaited::Deleted { id } => match self.judge(response, false) {
                Found::Done { answer, .. } => self.deleted(id, answer),
                Found::Refused(answer) if answer.status == 404 => self.deleted(id, Answer::json(200, "{}")),
                other => other,
            },
        })
    }

    pub(super) fn field(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.entry.draft.body).ok()?;
        body.get(name)?.as_str().map(str::to_owned)
    }

    /// The entry's own request.
    fn ask(&self, method: &'static str, body: Bytes, awaited: Awaited) -> Turn {
        let request = self.request(method, self.entry.draft.path.clone(), body);
        Turn::Ask(super::Awaited::Catalog(awaited), request)
    }

    pub(super) fn done(
        &self,
        answer: Answer,
        effect: Effect,
        moves: Vec<Move>,
        mapped: Option<(CollectionId, Option<Uuid>)>,
    ) -> Found {
        let moves = if self.acting() { moves } else { Vec::new() };
        Found::Done { answer, catalog: Some(Box::new(CatalogFound { effect, moves, mapped })) }
    }

    fn plain(&self, method: &'static str, moves: Vec<Move>) -> Turn {
        self.ask(method, self.entry.draft.body.clone(), Awaited::Plain { moves, repeated: None })
    }

    /// As `plain`, for requests that answer `repeated` when they are done a second time.
    fn once(&self, method: &'static str, repeated: u16, was_done: bool, step: Move) -> Turn {
        let repeated = (!self.acting() || was_done).then_some(repeated);
        self.ask(method, self.entry.draft.body.clone(), Awaited::Plain { moves: vec![step], repeated })
    }

    fn plain_answered(&self, moves: Vec<Move>, repeated: Option<u16>, response: Response) -> Found {
        match self.judge(response, false) {
            Found::Done { answer, .. } => self.done(answer, Effect::Plain, moves, None),
            Found::Refused(answer) if Some(answer.status) == repeated => {
                self.done(Answer::json(200, "{}"), Effect::Plain, moves, None)
            }
            other => other,
        }
    }

    fn create_tenant(&self) -> Turn {
        let Some(name) = self.field("name") else { return self.plain("POST", Vec::new()) };
        let ours = !self.sequencer().catalog.has_tenant(&name);
        self.once("POST", 409, ours, Move::TenantCreated { name })
    }

    fn create_database(&self, tenant: String) -> Turn {
        let Some(name) = self.field("name") else { return self.plain("POST", Vec::new()) };
        let ours = self.sequencer().catalog.database(&tenant, &name).is_none();
        if ours && !self.acting() {
            // A later entry took it away, and its tenant perhaps: the node could refuse it for ever.
            return Turn::Found(self.done(Answer::json(200, "{}"), Effect::Plain, Vec::new(), None));
        }
        let id = self.entry.draft.target.unwrap_or_default();
        self.once("POST", 409, ours, Move::DatabaseCreated { id, tenant, name })
    }

    fn delete_database(&self, tenant: String, name: String) -> Turn {
        let ours = self.sequencer().catalog.database(&tenant, &name).is_some();
        self.once("DELETE", 404, ours, Move::DatabaseDeleted { tenant, name, seq: self.entry.seq })
    }

    /// The node's own collection that the entry is about.
    fn held(&self) -> Option<(CollectionId, Uuid)> {
        let id = self.task.subject?;
        Some((id, self.leftover(id).or(self.task.node_collection)?))
    }

    /// On the acting node: what no node holds any more, or what an earlier delivery of the entry took from it.
    fn lost(&self) -> Option<CollectionId> {
        self.task.subject.filter(|id| self.acting() && self.sequencer().can_have_none(self.node, *id))
    }

    /// What a copy had begun of a collection that every node lost since: its name must not stay taken.
    fn lost_leftover(&self) -> Option<(CollectionId, Uuid)> {
        let id = self.lost()?;
        Some((id, self.sequencer().leftover_of(self.node, id)?))
    }

    fn modify(&self) -> Turn {
        let Some((id, own)) = self.held() else {
            return Turn::Found(match self.task.subject.filter(|_| !self.acting()) {
                // The node waits for a copy, which brings the collection as it is by then; and no copy is
                // made before this entry is passed.
                Some(id) => self.done(Answer::json(200, "{}"), Effect::Collection { id }, Vec::new(), None),
                None if self.lost().is_some() => {
                    refuse(503, "ServiceUnavailable", "every Chroma server lost this collection")
                }
                None => self.missing(&self.task.subject.map(|id| id.to_string()).unwrap_or_default()),
            });
        };
        let renamed = self.field("new_name");
        let namesake = renamed.as_ref().and_then(|name| self.other_named(id, name));
        // The node would take the name of what no node holds any more; the catalog cannot.
        if self.acting() && namesake.is_some_and(|other| self.sequencer().is_lost(other)) {
            let why = "every Chroma server lost the collection of this name; delete it, then rename";
            return Turn::Found(refuse(409, "ConflictError", why));
        }
        let taken = namesake.is_some();
        let moves = renamed.map(|name| Move::CollectionRenamed { id, name }).into_iter().collect();
        let path = route::with_collection(&self.entry.draft.path, own);
        let request = self.request("PUT", path, self.entry.draft.body.clone());
        Turn::Ask(super::Awaited::Catalog(Awaited::Modified { id, moves, taken }), request)
    }

    /// Another collection that the catalog knows under this name, beside this one.
    fn other_named(&self, id: CollectionId, name: &str) -> Option<CollectionId> {
        let catalog = &self.sequencer().catalog;
        let place = catalog.collection(id)?;
        catalog.named(&place.tenant, &place.database, name).filter(|other| *other != id)
    }

    /// Whether the acting node denies what it should hold, for the first time: it is looked at before that
    /// is a verdict.
    fn is_denied(&self, id: CollectionId) -> bool {
        self.acting() && self.task.attempts == 0 && self.sequencer().catalog.collection(id).is_some()
    }

    fn modified(&self, id: CollectionId, moves: Vec<Move>, taken: bool, response: Response) -> Found {
        match self.judge(response, taken) {
            Found::Done { answer, .. } => self.done(answer, Effect::Collection { id }, moves, None),
            // A later entry takes the collection away, or a copy brings it as it is by then.
            Found::Refused(answer)
                if answer.status == 404 && (self.leftover(id).is_some() || self.is_deleted_since()) =>
            {
                self.done(answer, Effect::Collection { id }, moves, None)
            }
            Found::Refused(answer) if answer.status == 404 && self.is_denied(id) => {
                lost("the node denies a collection that it should hold")
            }
            other => other,
        }
    }

    /// On a follower: what a copy that did not end has left there. It bears the collection's name.
    fn leftover(&self, id: CollectionId) -> Option<Uuid> {
        self.sequencer().leftover_of(self.node, id).filter(|_| !self.acting())
    }

    fn delete(&self, name: &str) -> Turn {
        match (self.held().or_else(|| self.lost_leftover()), self.entry.effect()) {
            (Some((id, own)), _) => self.ask("GET", Bytes::new(), Awaited::Namesake { id, own }),
            // Unknown to the catalog; on a follower: this node never had it, or is past it.
            (None, Some(Effect::Collection { id })) => {
                Turn::Found(self.deleted(*id, Answer::json(200, "{}")))
            }
            (None, _) => Turn::Found(match self.lost() {
                // There is nothing to delete but its name.
                Some(id) => self.deleted(id, Answer::json(200, "{}")),
                None => self.missing(name),
            }),
        }
    }

    fn namesake(&self, id: CollectionId, own: Uuid, response: Response) -> Turn {
        Turn::Found(match response {
            Ok(found) if found.status == 200 => match collection_of(&found.body) {
                Some((there, _)) if there == own => {
                    return self.ask("DELETE", Bytes::new(), Awaited::Deleted { id });
                }
                _ if self.acting() && self.lost().is_none() => {
                    refuse(409, "ConflictError", "the node holds another collection of this name")
                }
                _ => self.deleted(id, Answer::json(200, "{}")),
            },
            // An earlier delivery deleted it and its answer was lost.
            Ok(found) if found.status == 404 => self.deleted(id, Answer::json(200, "{}")),
            other => self.judge(other, false),
        })
    }

    fn deleted(&self, id: CollectionId, answer: Answer) -> Found {
        let moves = vec![Move::CollectionDeleted { id, seq: self.entry.seq }];
        self.done(answer, Effect::Collection { id }, moves, Some((id, None)))
    }

    fn missing(&self, what: &str) -> Found {
        let dot = if self.entry.draft.op == Op::ModifyCollection { "." } else { "" };
        refuse(404, "NotFoundError", &format!("Collection [{what}] does not exist{dot}"))
    }
}

pub(super) fn refuse(status: u16, error: &str, message: &str) -> Found {
    let body = serde_json::json!({ "error": error, "message": message });
    Found::Refused(Answer::json(status, body.to_string()))
}
