//! What an entry does to records, independent of when it is applied. `update` and `delete` by filter
//! depend on what is there, so at their place in the acting node's lane they are resolved to ids,
//! once; after that every node gets the same ids. It asks and sends nothing itself.

mod fixed_point;
mod judgement;
mod touched;

use std::collections::HashSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::conversion::Deletion;
use crate::entry::{Entry, Op};
use crate::ids::CollectionId;

pub use fixed_point::{holds, look, sent};
pub use judgement::{Judge, judge};
pub(crate) use touched::named_ids;
pub use touched::touched;

/// Resolved once, at the entry's place in the acting node's lane, and durable before any node
/// gets the entry. Applying any suffix of the log again, from any earlier position, must end in
/// the same state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// `update`: the ids that existed; `delete` by filter: the ids that matched.
    Ids { ids: Vec<String> },
    /// `delete` in a collection whose records may have other ids on some node.
    Deletion(Deletion),
    /// Catalog entries about one collection: which one.
    Collection { id: CollectionId },
    /// Catalog entries that need no resolution.
    Plain,
}

/// What must be read from the acting node before the entry's effect is known: the body of a `get`.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The request is its own effect, or it is not even JSON and the node will refuse it.
    Nothing,
    Get(Bytes),
}

/// What goes to a node for an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Send {
    /// This body.
    Body(Bytes),
    /// The effect is empty: there is nothing to do, and this is the answer.
    Empty,
}

const PER_RECORD: [&str; 4] = ["embeddings", "metadatas", "documents", "uris"];

pub fn question(op: Op, body: &[u8]) -> Question {
    if !matches!(op, Op::Update | Op::Delete) {
        return Question::Nothing;
    }
    let Some(fields) = object(body) else { return Question::Nothing };
    match op {
        Op::Update => match fields.get("ids") {
            Some(ids @ Value::Array(list)) if !list.is_empty() => get(json!({ "ids": ids, "include": [] })),
            _ => Question::Nothing,
        },
        Op::Delete if filters(&fields) => {
            let mut ask = Map::new();
            for field in ["ids", "where", "where_document", "limit"] {
                fields.get(field).map(|value| ask.insert(field.to_owned(), value.clone()));
            }
            ask.insert("include".to_owned(), json!([]));
            get(Value::Object(ask))
        }
        _ => Question::Nothing,
    }
}

/// The effect that the node's answer to the question means.
pub fn resolved(answer: &[u8]) -> Option<Effect> {
    let ids = object(answer)?.remove("ids")?;
    serde_json::from_value(ids).ok().map(|ids| Effect::Ids { ids })
}

/// What to send for an entry. A delete by filter goes to every node by its ids, to the acting one, too:
/// delivered again over a later state, the filter would spare a record that an `add` brought back.
pub fn send(entry: &Entry) -> Send {
    let body = &entry.draft.body;
    let ids = match entry.effect() {
        Some(Effect::Ids { ids }) => ids,
        Some(Effect::Deletion(deletion)) => return deletion_of(&deletion.ids),
        _ => return Send::Body(body.clone()),
    };
    match entry.draft.op {
        Op::Update => update_of(body, ids),
        Op::Delete => deletion_of(ids),
        _ => Send::Body(body.clone()),
    }
}

/// The client's own request, for Chroma to judge every row of it. Records that were missing have another
/// name in it, which no record bears: asked again after a later entry made one of them, it reaches none.
pub fn whole(entry: &Entry) -> Send {
    let body = &entry.draft.body;
    let (Some(Effect::Ids { ids: existing }), Some(mut fields)) = (entry.effect(), object(body)) else {
        return Send::Body(body.clone());
    };
    for id in fields.get_mut("ids").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(missing) = id.as_str().filter(|id| !id.is_empty() && !existing.iter().any(|e| e == id)) {
            *id = Value::from(format!("{missing} ({})", entry.draft.write_id));
        }
    }
    Send::Body(bytes(&Value::Object(fields)))
}

/// A delete of just these.
pub fn deletion_of(ids: &[String]) -> Send {
    if ids.is_empty() { Send::Empty } else { Send::Body(bytes(&json!({ "ids": ids }))) }
}

/// The rows of an update whose ids exist. A request that Chroma would refuse stays as it is.
fn update_of(body: &Bytes, existing: &[String]) -> Send {
    let Some(mut fields) = object(body) else { return Send::Body(body.clone()) };
    let Some(ids) = fields.get("ids").and_then(Value::as_array) else { return Send::Body(body.clone()) };
    let existing: HashSet<&str> = existing.iter().map(String::as_str).collect();
    let keep: Vec<bool> = ids.iter().map(|id| id.as_str().is_some_and(|id| existing.contains(id))).collect();
    let even = PER_RECORD.iter().all(|field| {
        fields.get(*field).and_then(Value::as_array).is_none_or(|rows| rows.len() == keep.len())
    });
    if keep.iter().all(|k| *k) || !even {
        return Send::Body(body.clone());
    }
    if !keep.contains(&true) {
        return Send::Empty;
    }
    for field in PER_RECORD.into_iter().chain(["ids"]) {
        if let Some(Value::Array(rows)) = fields.get_mut(field) {
            let mut row = keep.iter();
            rows.retain(|_| *row.next().unwrap_or(&true));
        }
    }
    Send::Body(bytes(&Value::Object(fields)))
}

pub(crate) fn filters(fields: &Map<String, Value>) -> bool {
    ["where", "where_document"].iter().any(|field| fields.get(*field).is_some_and(|value| !value.is_null()))
}

pub(crate) fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

fn get(ask: Value) -> Question {
    Question::Get(bytes(&ask))
}

fn bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Draft;
    use crate::ids::Seq;

    fn entry(op: Op, body: Value, effect: Option<&[&str]>) -> Entry {
        let draft = Draft {
            write_id: "w".into(),
            op,
            target: None,
            method: "POST".into(),
            path: "/".into(),
            body: bytes(&body),
            headers: Vec::new(),
        };
        let ids = |ids: &[&str]| Effect::Ids { ids: ids.iter().map(|s| s.to_string()).collect() };
        Entry::new(Seq(1), draft, 0).recovered(effect.map(ids), None)
    }

    fn sent(op: Op, body: Value, effect: &[&str]) -> Option<Value> {
        match send(&entry(op, body, Some(effect))) {
            Send::Body(body) => serde_json::from_slice(&body).unwrap(),
            Send::Empty => None,
        }
    }

    #[test]
    fn only_what_depends_on_the_state_is_asked() {
        let ask = |op, body: Value| match question(op, body.to_string().as_bytes()) {
            Question::Get(body) => serde_json::from_slice(&body).unwrap(),
            Question::Nothing => Value::Null,
        };
        assert_eq!(ask(Op::Add, json!({"ids": ["a"]})), Value::Null);
        assert_eq!(ask(Op::Delete, json!({"ids": ["a"]})), Value::Null);
        // Without a filter Chroma deletes nothing; a `get` would match everything.
        assert_eq!(ask(Op::Delete, json!({"where": null, "limit": 1})), Value::Null);
        assert_eq!(ask(Op::Update, json!({"ids": ["a", "b"]})), json!({"ids": ["a", "b"], "include": []}));
        assert_eq!(
            ask(Op::Delete, json!({"where": {"k": 1}, "limit": 2})),
            json!({"where": {"k": 1}, "limit": 2, "include": []})
        );
        assert_eq!(question(Op::Update, b"{\"ids\":"), Question::Nothing);
    }

    #[test]
    fn an_update_reaches_the_rows_that_existed() {
        let body = json!({"ids": ["a", "b"], "documents": ["x", "y"], "metadatas": null});
        let one = json!({"ids": ["b"], "documents": ["y"], "metadatas": null});
        assert_eq!(sent(Op::Update, body.clone(), &["b"]), Some(one));
        assert_eq!(sent(Op::Update, body.clone(), &["b", "a"]), Some(body.clone()));
        assert_eq!(sent(Op::Update, body, &[]), None);
    }

    #[test]
    fn a_malformed_update_goes_to_chroma_as_it_is() {
        let body = json!({"ids": ["a", "b"], "documents": ["x"]});
        assert_eq!(sent(Op::Update, body.clone(), &["a"]), Some(body));
    }

    #[test]
    fn a_delete_by_filter_reaches_the_same_ids_everywhere() {
        let body = json!({"where": {"k": 1}, "limit": 2});
        assert_eq!(sent(Op::Delete, body.clone(), &["a"]), Some(json!({"ids": ["a"]})));
        assert_eq!(sent(Op::Delete, body, &[]), None);
    }
}
