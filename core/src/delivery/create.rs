//! The creation of a collection on one node. A name that the catalog does not know must be new there:
//! what is found under it came from an earlier delivery whose answer was lost, or from somebody past
//! the balancer, whose records are nobody's to take over.

use bytes::Bytes;
use serde_json::Value;

use super::case::{Case, collection_of, lost};
use super::catalog::refuse;
use super::{Found, Turn};
use crate::answer::{Answer, with_id};
use crate::catalog::Move;
use crate::effect::Effect;
use crate::health::Failure;
use crate::ids::{CollectionId, Stream};
use crate::port::{NodeFault, NodeResponse};
use crate::route::{collection_by_name_path, records_path};

#[derive(Debug)]
pub(super) struct Awaited {
    place: Place,
    answer: Question,
}

#[derive(Clone, Debug)]
struct Place {
    tenant: String,
    database: String,
}

#[derive(Debug)]
enum Question {
    /// The creation itself. `known`: the catalog knows the name.
    Create { known: bool },
    /// Which collection has the name, after this refusal.
    Namesake { refusal: NodeResponse },
    /// How many records the collection has that was found under the name.
    Count { found: NodeResponse },
}

type Response = Result<NodeResponse, NodeFault>;

impl Case<'_> {
    pub(super) fn create(&self, tenant: String, database: String) -> Turn {
        if let Some(id) = self.awaits_copy() {
            let answer = Answer::json(200, "{}");
            return Turn::Found(self.done(answer, Effect::Collection { id }, Vec::new(), None));
        }
        let known = self.known(&tenant, &database).filter(|_| self.acting());
        if known.is_some_and(|id| self.sequencer().is_lost(id)) {
            return Turn::Found(refuse(
                409,
                "ConflictError",
                "every Chroma server lost the collection of this name; delete it, then create it anew",
            ));
        }
        let known = known.is_some();
        let body = if known { self.entry.draft.body.clone() } else { strictly_new(&self.entry.draft.body) };
        let request = self.request("POST", self.entry.draft.path.clone(), body);
        ask(Place { tenant, database }, Question::Create { known }, request)
    }

    pub(super) fn create_answered(&self, awaited: Awaited, response: Response) -> Turn {
        let Awaited { place, answer } = awaited;
        match answer {
            Question::Create { known } => self.create_done(place, known, response),
            Question::Namesake { refusal } => self.namesake_found(place, refusal, response),
            Question::Count { found } => Turn::Found(self.counted(place, found, response)),
        }
    }

    /// On a follower: the collection existed before this entry, and the node has no good copy of it. What a
    /// create made here would be empty and, once mapped, pass for the whole.
    fn awaits_copy(&self) -> Option<CollectionId> {
        let Some(Effect::Collection { id }) = self.entry.effect() else { return None };
        if self.acting() || self.entry.draft.target == Some(id.0) {
            return None;
        }
        let sequencer = self.sequencer();
        let log = sequencer.node(self.node);
        let good = log.node_collection(*id).is_some() && !log.is_quarantined(Stream::Collection(*id));
        (!good).then_some(*id)
    }

    /// On a follower: whether the catalog no longer has what this entry is about.
    pub(super) fn is_deleted_since(&self) -> bool {
        let Some(Effect::Collection { id }) = self.entry.effect() else { return false };
        !self.acting() && self.sequencer().catalog.collection(*id).is_none()
    }

    fn known(&self, tenant: &str, database: &str) -> Option<CollectionId> {
        self.sequencer().catalog.named(tenant, database, &self.field("name")?)
    }

    fn create_done(&self, place: Place, known: bool, response: Response) -> Turn {
        match response {
            // The name is taken on the node although the catalog does not know it, or this entry made it.
            Ok(refusal) if refusal.status == 409 && !known => self.who_has_the_name(place, refusal),
            // Yet it may have been done.
            Ok(refusal) if refusal.status == 500 && self.acting() && !known => {
                self.who_has_the_name(place, refusal)
            }
            response => Turn::Found(match self.accepted(response) {
                Ok(response) => self.created(place, response),
                // Deleted since, perhaps with its database: a later entry here takes it away.
                Err(Found::Refused(answer)) if self.is_deleted_since() => {
                    let effect = self.entry.effect().cloned().unwrap_or(Effect::Plain);
                    self.done(answer, effect, Vec::new(), None)
                }
                Err(found) => found,
            }),
        }
    }

    fn who_has_the_name(&self, place: Place, refusal: NodeResponse) -> Turn {
        let name = self.field("name").unwrap_or_default();
        let path = collection_by_name_path(&place.tenant, &place.database, &name);
        let request = self.request("GET", path, Bytes::new());
        ask(place, Question::Namesake { refusal }, request)
    }

    fn namesake_found(&self, place: Place, refusal: NodeResponse, response: Response) -> Turn {
        let found = match response {
            // Only a 404 means that there is none.
            Ok(response) if response.status == 404 && refusal.status == 500 => {
                return Turn::Found(Found::Failed(Failure::Status(500), Some(self.answer(refusal))));
            }
            Ok(response) if response.status == 404 => {
                return Turn::Found(lost("a name was taken and then was not"));
            }
            response => match self.accepted(response) {
                Ok(found) => found,
                Err(Found::Failed(Failure::Status(_), _)) if refusal.status == 500 => {
                    return Turn::Found(lost("whether a collection was created could not be read"));
                }
                Err(found) => return Turn::Found(found),
            },
        };
        let refused = |refusal| Turn::Found(Found::Refused(self.answer(refusal)));
        let Some((own, _)) = collection_of(&found.body) else { return refused(refusal) };
        let logical = self.sequencer().logical(self.node, own);
        match (logical, self.entry.effect()) {
            (Some(id), Some(Effect::Collection { id: meant })) if id == *meant => {
                Turn::Found(self.created(place, found))
            }
            (Some(_), _) => refused(refusal),
            (None, _) => {
                let path = format!("{}/count", records_path(&place.tenant, &place.database, own));
                ask(place, Question::Count { found }, self.request("GET", path, Bytes::new()))
            }
        }
    }

    fn counted(&self, place: Place, found: NodeResponse, response: Response) -> Found {
        let empty = match self.accepted(response) {
            Ok(count) => count.body.trim_ascii() == b"0",
            Err(found) => return found,
        };
        match self.entry.effect() {
            _ if empty => self.created(place, found),
            // Left alone: the collection is copied here, or the conflict reported.
            Some(Effect::Collection { id }) => {
                let effect = Effect::Collection { id: *id };
                self.done(Answer::json(200, "{}"), effect, Vec::new(), Some((*id, None)))
            }
            _ => refuse(
                409,
                "ConflictError",
                "a Chroma server holds records under this name that did not come through chroma-ha; \
                 remove them there, or choose another name",
            ),
        }
    }

    fn created(&self, place: Place, response: NodeResponse) -> Found {
        let Some((own, name)) = collection_of(&response.body) else {
            return lost("the answer to a create has no id");
        };
        let known = self.sequencer().logical(self.node, own);
        let (id, moves) = match (self.entry.effect(), known) {
            (Some(Effect::Collection { id }), _) => (*id, Vec::new()),
            (_, Some(existing)) => (existing, Vec::new()),
            (_, None) if self.known(&place.tenant, &place.database).is_some() => {
                // It lost the one that the catalog knows, unnoticed so far, and made another.
                return lost("the node made anew a collection that it should hold");
            }
            (_, None) => {
                let id = CollectionId(self.entry.draft.target.unwrap_or_default());
                let Place { tenant, database } = place;
                (id, vec![Move::CollectionCreated { id, tenant, database, name }])
            }
        };
        if known.is_some_and(|known| known != id) {
            return refuse(409, "ConflictError", "the node holds another collection of this name");
        }
        let body = with_id(&response.body, own, id.0);
        let answer = Answer { status: response.status, headers: response.headers, body };
        self.done(answer, Effect::Collection { id }, moves, Some((id, Some(own))))
    }
}

fn ask(place: Place, answer: Question, request: crate::port::NodeRequest) -> Turn {
    Turn::Ask(super::Awaited::Create(Awaited { place, answer }), request)
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
