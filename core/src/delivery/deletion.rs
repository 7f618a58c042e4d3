//! A deletion in a collection that was there before the log: what it means is looked up on the acting node
//! and made durable with the entry; on a node with other record ids it is turned into that node's own ids,
//! and those are durable before the node gets them, so that a repeated delivery takes nothing more.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::case::{Case, lost};
use super::record::get_path;
use super::{Attempt, Awaited as Asked, Found, Turn};
use crate::answer::Answer;
use crate::conversion::{self, Deletion, Seen, Tally};
use crate::effect::{self, Effect, Send};
use crate::entry::Op;
use crate::port::{NodeFault, NodeResponse};
use crate::sequencer::Role;

#[derive(Debug)]
pub(super) enum Awaited {
    /// The records that the request names, on the acting node.
    Named,
    /// The records of their documents, on the acting node.
    Documents(Deletion),
    /// On a node with other ids: its records under the same ids.
    SameIds,
    /// On a node with other ids: its records of the documents.
    Others { same_ids: Vec<Seen> },
}

type Response = Result<NodeResponse, NodeFault>;

impl Case<'_> {
    /// `None`: an ordinary write.
    pub(super) fn begin_deletion(&self) -> Option<Turn> {
        let id = self.entry.collection().filter(|_| self.entry.draft.op == Op::Delete)?;
        match self.entry.effect() {
            None if self.acting() => {
                self.key().filter(|_| self.sequencer().is_adopted(id))?;
                let fields = effect::object(&self.entry.draft.body)?;
                let named = fields.get("ids").is_some_and(Value::is_array) || effect::filters(&fields);
                named.then(|| self.find(Awaited::Named, conversion::named(&fields)))
            }
            Some(Effect::Deletion(deletion)) if self.has_other_ids() => {
                Some(match self.entry.converted(&self.node.name()) {
                    Some(ids) => self.send(effect::deletion_of(&ids)),
                    None => {
                        let fields = serde_json::json!({ "ids": deletion.ids });
                        self.find(Awaited::SameIds, conversion::named(fields.as_object()?))
                    }
                })
            }
            _ => None,
        }
    }

    /// The node holds the entry's collection under other record ids.
    pub(super) fn has_other_ids(&self) -> bool {
        self.entry.collection().is_some_and(|id| self.sequencer().has_other_ids(self.node, id))
    }

    /// What it means is not known, and a holder of the lease that converted no deletions may have sent it:
    /// to read the client's ids back would settle nothing.
    pub(super) fn is_open_deletion(&self) -> bool {
        let adopted = || self.entry.collection().is_some_and(|id| self.sequencer().is_adopted(id));
        let by_ids =
            || !effect::object(&self.entry.draft.body).is_some_and(|fields| effect::filters(&fields));
        let open = self.entry.draft.op == Op::Delete && self.entry.effect().is_none();
        open && self.acting() && self.key().is_some() && by_ids() && adopted()
    }

    fn key(&self) -> Option<Arc<str>> {
        self.terms.deletion_key.clone()
    }

    fn find(&self, awaited: Awaited, body: Bytes) -> Turn {
        let path = self.own_path(&get_path(&self.entry.draft.path));
        Turn::Ask(Asked::Deletion(awaited), self.request("POST", path, body))
    }

    pub(super) fn deletion_answered(&self, awaited: Awaited, response: Response) -> Turn {
        let answer = match self.judge(response, false) {
            Found::Done { answer, .. } => answer,
            other => return Turn::Found(other),
        };
        // A key that was taken away since is no key to anything.
        let key = self.key().unwrap_or_default();
        let Some(seen) = conversion::seen(&answer.body, &key) else {
            return Turn::Found(lost("the answer to a get cannot be read"));
        };
        match awaited {
            Awaited::Named => {
                let deletion = Deletion::of(&self.asked(), &seen);
                let open = deletion.open();
                if open.is_empty() {
                    return self.meant(deletion);
                }
                self.find(Awaited::Documents(deletion), conversion::of_documents(&key, &open))
            }
            Awaited::Documents(deletion) => self.meant(deletion.completed(&seen)),
            Awaited::SameIds => match self.entry.effect() {
                Some(Effect::Deletion(deletion)) if !deletion.open().is_empty() => {
                    let body = conversion::of_documents(&key, &deletion.open());
                    self.find(Awaited::Others { same_ids: seen }, body)
                }
                _ => self.turned(&seen, &[]),
            },
            Awaited::Others { same_ids } => self.turned(&same_ids, &seen),
        }
    }

    /// Ids that the client wrote down; none if it deletes by a filter alone.
    fn asked(&self) -> Vec<String> {
        let fields = effect::object(&self.entry.draft.body).unwrap_or_default();
        if effect::filters(&fields) {
            return Vec::new();
        }
        let ids = fields.get("ids").and_then(Value::as_array).into_iter().flatten();
        ids.filter_map(|id| id.as_str().map(str::to_owned)).collect()
    }

    fn meant(&self, deletion: Deletion) -> Turn {
        self.entry.resolve(Effect::Deletion(deletion));
        self.fix()
    }

    fn turned(&self, same_ids: &[Seen], of_documents: &[Seen]) -> Turn {
        match self.entry.effect() {
            Some(Effect::Deletion(deletion)) => Turn::Convert(deletion.on(same_ids, of_documents)),
            _ => self.write(),
        }
    }

    pub(super) fn conversion_recorded(&self, ids: Vec<String>) -> Turn {
        self.entry.convert(self.node.name(), ids.clone());
        self.send(effect::deletion_of(&ids))
    }

    /// What the acting node gets: the client's own request where that says the same.
    pub(super) fn deletion_sent(&self, deletion: &Deletion) -> Send {
        let by_ids = !effect::object(&self.entry.draft.body).is_some_and(|fields| effect::filters(&fields));
        if self.acting() && by_ids && deletion.documents.is_empty() {
            Send::Body(self.entry.draft.body.clone())
        } else {
            effect::send(self.entry)
        }
    }

    /// Chroma counts the ids it was sent; the client knows only its own.
    pub(super) fn as_asked(&self, answer: Answer) -> Answer {
        match self.entry.effect() {
            Some(Effect::Deletion(deletion)) if self.acting() && !deletion.documents.is_empty() => {
                let body = serde_json::json!({ "deleted": deletion.deleted }).to_string();
                Answer { body: Bytes::from(body), ..answer }
            }
            _ => answer,
        }
    }
}

impl Attempt {
    /// With the acting node's records that went because of their document.
    pub(super) fn counted(&self) -> Tally {
        let acting = self.task.role == Role::Acting;
        match self.task.entries.first().and_then(|entry| entry.effect()) {
            Some(Effect::Deletion(deletion)) if acting => {
                Tally { by_document: deletion.by_document, ..self.tally }
            }
            _ => self.tally,
        }
    }
}
