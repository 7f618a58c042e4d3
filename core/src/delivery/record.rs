//! A record entry on one node: its effect is resolved where it depends on what is there, made durable,
//! and sent. Does the acting node get the client's own request or the effect? Rows of missing ids are not
//! sent, unless Chroma would refuse the request because of one: then it sees all and refuses it.

use bytes::Bytes;
use serde_json::Value;

use super::case::{Case, gave_up, lost};
use super::{Found, Turn};
use crate::answer::Answer;
use crate::effect::{self, Effect, Judge, Question, Send};
use crate::entry::{Entry, Op};
use crate::health::Failure;
use crate::port::{NodeFault, NodeResponse};
use crate::route::collection_by_id_path;

#[derive(Debug)]
pub(super) enum Awaited {
    /// The ids that the entry reaches.
    Effect,
    /// The collection's description, for its dimension; the entry's rows have this one.
    Dimension { rows: usize },
    /// The write itself.
    Write,
    /// The records that the write was for: it was answered by an error, or failed too often to be sent
    /// again. Was it applied? If they are as it leaves them it was accepted.
    Records { refusal: NodeResponse, written: Bytes },
}

type Response = Result<NodeResponse, NodeFault>;

impl Case<'_> {
    pub(super) fn begin_record(&self) -> Turn {
        if self.is_exhausted() && !self.is_open_deletion() {
            return self.look_back(gave_up());
        }
        if let Some(turn) = self.begin_deletion() {
            return turn;
        }
        if self.acting() && self.entry.effect().is_none() {
            let draft = &self.entry.draft;
            if let Question::Get(body) = effect::question(draft.op, &draft.body) {
                let path = self.own_path(&get_path(&draft.path));
                let request = self.request("POST", path, body);
                return Turn::Ask(super::Awaited::Record(Awaited::Effect), request);
            }
        }
        self.fix()
    }

    pub(super) fn record_answered(&self, awaited: Awaited, response: Response) -> Turn {
        match awaited {
            Awaited::Effect => self.resolve(response),
            Awaited::Dimension { rows } => self.measured(rows, response),
            Awaited::Write => match response {
                Ok(refusal) if refusal.status == 500 => self.look_back(refusal),
                response => Turn::Found(match self.judge(response, false) {
                    Found::Done { answer, catalog } => Found::Done { answer: self.as_asked(answer), catalog },
                    other => other,
                }),
            },
            Awaited::Records { refusal, written } => {
                Turn::Found(self.looked_back((refusal, &written), response))
            }
        }
    }

    fn resolve(&self, response: Response) -> Turn {
        match self.judge(response, false) {
            Found::Done { answer, .. } => match effect::resolved(&answer.body) {
                Some(effect) => {
                    self.entry.resolve(effect);
                    self.fix()
                }
                None => Turn::Found(lost("the answer to a get has no ids")),
            },
            other => Turn::Found(other),
        }
    }

    /// No node gets the entry before its effect is durable.
    pub(super) fn fix(&self) -> Turn {
        match self.entry.effect() {
            Some(effect) if self.acting() && !self.entry.effect_is_durable() => Turn::Fix(effect.clone()),
            _ => self.write(),
        }
    }

    pub(super) fn effect_recorded(&self) -> Turn {
        self.entry.effect_made_durable();
        self.write()
    }

    pub(super) fn write(&self) -> Turn {
        if let Some(Effect::Deletion(deletion)) = self.entry.effect() {
            return self.send(self.deletion_sent(deletion));
        }
        match if self.acting() { effect::judge(self.entry) } else { Judge::Nobody } {
            Judge::Nobody => self.send(effect::send(self.entry)),
            Judge::Chroma => self.send(effect::whole(self.entry)),
            Judge::Dimension(rows) => match self.by_id_path() {
                Some(path) => {
                    let request = self.request("GET", path, Bytes::new());
                    Turn::Ask(super::Awaited::Record(Awaited::Dimension { rows }), request)
                }
                None => self.send(effect::send(self.entry)),
            },
        }
    }

    /// The dimension of the collection, once a record has fixed it and where the node can tell.
    fn measured(&self, rows: usize, response: Response) -> Turn {
        let body = match self.accepted(response) {
            Ok(response) => response.body,
            // The node cannot tell.
            Err(Found::Refused(_)) => Bytes::new(),
            Err(found) => return Turn::Found(found),
        };
        let collection: Value = serde_json::from_slice(&body).unwrap_or_default();
        let dimension = collection.get("dimension").and_then(Value::as_u64);
        let refusable = dimension.is_some_and(|own| usize::try_from(own) != Ok(rows));
        self.send(if refusable { effect::whole(self.entry) } else { effect::send(self.entry) })
    }

    /// Was it applied after all? A write that would change nothing is accepted.
    fn look_back(&self, refusal: NodeResponse) -> Turn {
        let written = match self.sent() {
            None => return Turn::Found(self.not_applied(refusal)),
            // The client's own request was sent for Chroma to judge: it is asked again while it may be.
            Some(Send::Empty) if !self.is_nearly_exhausted() => {
                return Turn::Found(self.not_applied(refusal));
            }
            Some(Send::Empty) => return self.send(Send::Empty),
            Some(Send::Body(written)) => written,
        };
        match effect::look(&written) {
            Some(body) => {
                let request = self.request("POST", self.own_path(&get_path(&self.entry.draft.path)), body);
                Turn::Ask(super::Awaited::Record(Awaited::Records { refusal, written }), request)
            }
            None => Turn::Found(self.not_applied(refusal)),
        }
    }

    /// What this node got for the entry, if it got anything.
    fn sent(&self) -> Option<Send> {
        match self.entry.effect() {
            Some(Effect::Deletion(_)) if self.has_other_ids() => {
                self.entry.converted(&self.node.name()).map(|ids| effect::deletion_of(&ids))
            }
            Some(Effect::Deletion(deletion)) => Some(self.deletion_sent(deletion)),
            _ => effect::sent(self.entry),
        }
    }

    fn looked_back(&self, (refusal, written): (NodeResponse, &Bytes), response: Response) -> Found {
        let op = self.entry.draft.op;
        match self.judge(response, false) {
            // An `add` of ids that exist may be one that Chroma refuses: it is asked again while it may be.
            Found::Done { answer, .. }
                if effect::holds(op, written, &answer.body)
                    && (op != Op::Add || self.is_nearly_exhausted()) =>
            {
                Found::Done { answer: applied_answer(self.entry), catalog: None }
            }
            Found::Done { .. }
                if self.is_exhausted() && self.sequencer().had_passed(self.node, self.entry) =>
            {
                Found::Done { answer: applied_answer(self.entry), catalog: None }
            }
            Found::Done { .. } if self.sequencer().is_masked(self.node, self.entry) => self.unread(refusal),
            Found::Done { .. } => self.not_applied(refusal),
            // What is asked here is not the write: only that the collection is gone says something about it.
            Found::Refused(answer) if answer.status != 404 => self.unread(refusal),
            Found::Failed(Failure::Status(_), _) => self.unread(refusal),
            other => other,
        }
    }

    /// A follower may get the collection anew, whatever it holds; the verdict needs to know.
    fn unread(&self, refusal: NodeResponse) -> Found {
        if self.acting() { Found::Unread(self.answer(refusal)) } else { self.not_applied(refusal) }
    }

    fn not_applied(&self, refusal: NodeResponse) -> Found {
        let answer = self.answer(refusal);
        // Errors do not reject what was promised; connections that break under it at last do.
        let enough = if self.task.is_promised() { self.is_exhausted() } else { self.is_nearly_exhausted() };
        if self.acting() && enough {
            Found::Refused(answer)
        } else {
            Found::Failed(Failure::Status(answer.status), Some(answer))
        }
    }

    pub(super) fn send(&self, send: Send) -> Turn {
        match send {
            Send::Empty => {
                Turn::Found(Found::Done { answer: Answer::accepted(self.entry.draft.op, 0), catalog: None })
            }
            Send::Body(body) => {
                let request = self.request("POST", self.own_path(&self.entry.draft.path), body);
                Turn::Ask(super::Awaited::Record(Awaited::Write), request)
            }
        }
    }

    fn by_id_path(&self) -> Option<String> {
        let sequencer = self.sequencer();
        let place = sequencer.catalog.collection(self.task.subject?)?;
        Some(collection_by_id_path(&place.tenant, &place.database, self.task.node_collection?))
    }
}

/// What Chroma would have answered to a write that was applied.
pub(super) fn applied_answer(entry: &Entry) -> Answer {
    let deleted = match entry.effect() {
        _ if entry.draft.op != Op::Delete => 0,
        Some(Effect::Ids { ids }) => ids.len(),
        Some(Effect::Deletion(deletion)) => deletion.deleted,
        _ => effect::named_ids(&entry.draft.body).map_or(0, |ids| ids.len()),
    };
    Answer::accepted(entry.draft.op, deleted)
}

/// The `get` beside an `update` or `delete` of the same collection.
pub(super) fn get_path(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parent = path.rsplit_once('/').map_or(path, |(parent, _)| parent);
    format!("{parent}/get")
}
