//! One entry on one node at one moment: how it is asked about, and what an answer means for it. It sorts
//! answers and changes nothing; `conclusion` decides what follows.

use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::{Found, Terms};
use crate::answer::{Answer, Meaning, meaning, with_id};
use crate::entry::Entry;
use crate::health::Failure;
use crate::ids::NodeId;
use crate::port::{NodeFault, NodeRequest, NodeResponse};
use crate::route;
use crate::sequencer::{Role, Sequencer, Shared, Task};

/// One entry, one node, and what is known at this moment.
pub(super) struct Case<'a> {
    pub(super) node: NodeId,
    pub(super) task: &'a Task,
    pub(super) terms: &'a Terms,
    pub(super) entry: &'a Arc<Entry>,
    pub(super) sequencer: &'a Shared,
}

impl Case<'_> {
    pub(super) fn sequencer(&self) -> MutexGuard<'_, Sequencer> {
        self.sequencer.lock()
    }

    pub(super) fn acting(&self) -> bool {
        self.task.role == Role::Acting
    }

    /// Its failures are enough: it is not sent again, only judged by what the node holds.
    pub(super) fn is_exhausted(&self) -> bool {
        self.task.failures >= self.terms.attempts
    }

    /// One more failure is enough.
    pub(super) fn is_nearly_exhausted(&self) -> bool {
        self.task.failures + 1 >= self.terms.attempts
    }

    pub(super) fn request(&self, method: &'static str, path: String, body: Bytes) -> NodeRequest {
        let headers = self.entry.draft.headers.clone();
        NodeRequest { method, path, headers, body, timeout: self.terms.timeout }
    }

    /// The path with the node's own id of the collection.
    pub(super) fn own_path(&self, path: &str) -> String {
        self.task.node_collection.map_or_else(|| path.to_owned(), |own| route::with_collection(path, own))
    }

    /// Sorts an answer; ids in it become the client's. `name_taken`: see `answer::meaning`.
    pub(super) fn judge(&self, response: Result<NodeResponse, NodeFault>, name_taken: bool) -> Found {
        let response = match response {
            Ok(response) => response,
            Err(fault) => return Found::Failed(Failure::Fault(fault), None),
        };
        let status = response.status;
        let answer = self.answer(response);
        let gone = || status == 404 && self.sequencer().taken_along(self.entry);
        match meaning(self.entry.draft.op, status, name_taken) {
            Meaning::Accepted => Found::Done { answer, catalog: None },
            Meaning::Refused if gone() => Found::Gone,
            // What stands before the node refuses it, say: its credentials are wrong.
            Meaning::Refused if self.task.is_promised() && !is_judgement(status) => {
                Found::Failed(Failure::Status(status), Some(answer))
            }
            Meaning::Refused => Found::Refused(answer),
            Meaning::Trouble => Found::Failed(Failure::Status(status), Some(answer)),
        }
    }

    /// The response if it is a success, else what else it is.
    pub(super) fn accepted(&self, response: Result<NodeResponse, NodeFault>) -> Result<NodeResponse, Found> {
        match (self.judge(response.clone(), false), response) {
            (Found::Done { .. }, Ok(response)) => Ok(response),
            (found, _) => Err(found),
        }
    }

    pub(super) fn answer(&self, response: NodeResponse) -> Answer {
        let NodeResponse { status, headers, body } = response;
        let body = match (self.task.node_collection, self.task.subject) {
            (Some(own), Some(logical)) => with_id(&body, own, logical.0),
            _ => body,
        };
        Answer { status, headers, body }
    }
}

/// What Chroma answers to a write for what is in it.
fn is_judgement(status: u16) -> bool {
    matches!(status, 400 | 404 | 409 | 422 | 501)
}

pub(super) fn lost(what: &str) -> Found {
    Found::Failed(Failure::Fault(NodeFault::Lost(what.to_owned())), None)
}

/// The connection broke each time that this write was tried.
pub(super) fn gave_up() -> NodeResponse {
    let message = "Chroma closed the connection each time that this write was tried: it was not applied and is \
        not tried again; change the write, or look for the cause in the Chroma server's log";
    let body = serde_json::json!({ "error": "InternalError", "message": message });
    let Answer { status, headers, body } = Answer::json(500, body.to_string());
    NodeResponse { status, headers, body }
}

/// The id and the name of the collection that a node's answer describes.
pub(super) fn collection_of(body: &Bytes) -> Option<(Uuid, String)> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let id = Uuid::parse_str(value.get("id")?.as_str()?).ok()?;
    Some((id, value.get("name")?.as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server or a proxy says about itself judges no write.
    #[test]
    fn only_what_is_said_about_the_write_judges_it() {
        let judge = (100..600).filter(|status| is_judgement(*status)).collect::<Vec<u16>>();
        assert_eq!(judge, [400, 404, 409, 422, 501]);
    }
}
