//! Plain questions to one node, outside of any log entry, as a look at a node and a copy ask them.

use bytes::Bytes;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::listing::Deletes;
use chroma_ha_core::port::NodeRequest;
use chroma_ha_core::sequencer::CopyFailure;
use serde_json::Value;
use uuid::Uuid;

use super::chroma::{COPY, own_id, parsed};
use super::names::Place;
use super::world::{Stage, Work, World};

/// More than any list: a delete by a filter may take everything.
const EVERYTHING: u64 = 1 << 40;

/// What a node answered, or why it did not.
pub type Said = Result<(u16, Value), CopyFailure>;

pub fn broken<T>(reason: impl Into<String>) -> Result<T, CopyFailure> {
    Err(CopyFailure::Broken(reason.into()))
}

pub fn collections((tenant, database): (&str, &str)) -> String {
    format!("/api/v2/tenants/{tenant}/databases/{database}/collections")
}

pub fn by_name(place: &Place) -> String {
    format!("{}/{}", collections((&place.0, &place.1)), place.2)
}

impl World {
    pub async fn say_to(&self, node: NodeId, method: &'static str, path: String, body: Value) -> Said {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let headers = vec![(COPY.to_owned(), String::new())];
        let request = NodeRequest { method, path, headers, body, timeout: Default::default() };
        if self.is_distrusted(node) {
            return broken("the source was lost meanwhile");
        }
        let changes = is_change(&request);
        let response = self.call(node, request).await.map_err(|fault| match fault.to_string() {
            text if changes && fault.in_doubt() => CopyFailure::InDoubt(text),
            text => CopyFailure::Broken(text),
        })?;
        Ok((response.status, parsed(&response.body)))
    }

    /// The answer, if it is a success.
    pub async fn ask(
        &self,
        node: NodeId,
        method: &'static str,
        path: String,
        body: Value,
    ) -> Result<Value, CopyFailure> {
        match self.say_to(node, method, path, body).await? {
            (200..=299, answer) => Ok(answer),
            (status, _) => broken(format!("{node} answered {status}")),
        }
    }

    /// Health hears of a change without an answer.
    pub fn leave_in_doubt(&self, node: NodeId, failure: &CopyFailure) -> bool {
        let in_doubt = matches!(failure, CopyFailure::InDoubt(_));
        if in_doubt {
            self.servers[node.0].suspicion.set(true);
        }
        in_doubt
    }

    pub async fn found(&self, node: NodeId, place: &Place) -> Result<Option<Uuid>, CopyFailure> {
        match self.say_to(node, "GET", by_name(place), Value::Null).await? {
            (200, answer) => Ok(own_id(&answer)),
            (404, _) => Ok(None),
            (status, _) => broken(format!("{node} answered {status}")),
        }
    }

    /// Records that were named in deletes of this collection on this node.
    pub fn deletes(&self, node: NodeId, own: Uuid) -> Deletes {
        let sent = self.deletes_sent.borrow().get(&(node, own)).copied().unwrap_or_default();
        let under_way = |work: &Work| match work {
            Work::Call { stage: Stage::Ghost, .. } => 0,
            Work::Call { node: n, request, .. } if *n == node => named(request, own),
            _ => 0,
        };
        let open: u64 = self.ops.borrow().iter().map(|op| under_way(&op.work)).sum();
        Deletes { sent, done: sent - open }
    }

    pub fn count_delete(&self, node: NodeId, request: &NodeRequest) {
        if let Some((own, records)) = deleted(request) {
            *self.deletes_sent.borrow_mut().entry((node, own)).or_default() += records;
        }
    }
}

pub fn is_change(request: &NodeRequest) -> bool {
    request.method != "GET" && !request.path.ends_with("/get")
}

fn named(request: &NodeRequest, own: Uuid) -> u64 {
    deleted(request).filter(|(other, _)| *other == own).map_or(0, |(_, records)| records)
}

fn deleted(request: &NodeRequest) -> Option<(Uuid, u64)> {
    let own = request.path.strip_suffix("/delete")?.rsplit('/').next()?;
    let body = parsed(&request.body);
    let records = match body["ids"].as_array() {
        Some(ids) if body["where"].is_null() => ids.len() as u64,
        _ => EVERYTHING,
    };
    Some((Uuid::parse_str(own).ok()?, records))
}
