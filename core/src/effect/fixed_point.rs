//! Would a write change anything about these records? Where it would not, the node holds its effect, and
//! to call it accepted is right whatever happened; where it would, the node has not applied it, because
//! Chroma takes a request whole or not at all. It compares what a `get` showed and asks nothing.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Effect, Send, bytes, object, send};
use crate::entry::{Entry, Op};

/// One record as a write wants it, or as a node shows it: only what is said.
#[derive(Debug, Default, PartialEq)]
struct Record {
    fields: BTreeMap<&'static str, Value>,
    /// `null`: the key is to go.
    metadata: Map<String, Value>,
}

const WHOLE: [&str; 2] = ["documents", "uris"];

/// What any node got for the entry, if it got anything; `None`: nothing was ever sent, because its effect
/// is durable before that.
pub fn sent(entry: &Entry) -> Option<Send> {
    let resolved = matches!(entry.effect(), Some(Effect::Ids { .. } | Effect::Deletion(_)));
    (resolved || super::question(entry.draft.op, &entry.draft.body) == super::Question::Nothing)
        .then(|| send(entry))
}

/// The body of the `get` that shows the records of a write; `None`: Chroma takes no such write.
pub fn look(written: &Bytes) -> Option<Bytes> {
    let ids = object(written)?.remove("ids").filter(Value::is_array)?;
    let include = ["embeddings", "metadatas", "documents", "uris"];
    Some(bytes(&json!({ "ids": ids, "include": include })))
}

/// Whether the records that the node showed are as the write leaves them.
pub fn holds(op: Op, written: &[u8], shown: &[u8]) -> bool {
    let (Some(wanted), Some(shown)) = (object(written), object(shown)) else { return false };
    let (wanted, shown) = (records(&wanted), records(&shown));
    match op {
        Op::Delete => shown.is_empty(),
        // What existed stays as it is, but Chroma refuses another dimension all the same.
        Op::Add => wanted.iter().all(|(id, want)| shown.get(id).is_some_and(|there| as_long(want, there))),
        _ => wanted.iter().all(|(id, want)| shown.get(id).is_some_and(|there| agrees(want, there))),
    }
}

/// Rows by id; a later row of the same id goes over an earlier one.
fn records(fields: &Map<String, Value>) -> BTreeMap<String, Record> {
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    let ids = fields.get("ids").and_then(Value::as_array).into_iter().flatten();
    for (row, id) in ids.enumerate() {
        let record = records.entry(id.as_str().unwrap_or_default().to_owned()).or_default();
        let at = |field: &str| fields.get(field).and_then(|rows| rows.get(row)).filter(|v| !v.is_null());
        for field in WHOLE.into_iter().chain(["embeddings"]) {
            at(field).map(|value| record.fields.insert(field, value.clone()));
        }
        let metadata = at("metadatas").and_then(Value::as_object);
        record
            .metadata
            .extend(metadata.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    }
    records
}

fn agrees(want: &Record, there: &Record) -> bool {
    let field = |(name, value): (&&str, &Value)| {
        let shown = there.fields.get(name);
        if *name == "embeddings" {
            shown.is_some_and(|shown| close(embedding(shown), embedding(value)))
        } else {
            shown == Some(value)
        }
    };
    let key = |(key, value): (&String, &Value)| match there.metadata.get(key) {
        None => value.is_null(),
        Some(shown) => same(shown, value),
    };
    want.fields.iter().all(field) && want.metadata.iter().all(key)
}

/// A long float comes back a little off; an integer does not.
fn same(shown: &Value, value: &Value) -> bool {
    match (shown, value) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ if !shown.is_f64() && !value.is_f64() => shown == value,
        _ => match (shown.as_f64(), value.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * 4.0 * a.abs().max(b.abs()),
            _ => false,
        },
    }
}

/// By cosine Chroma keeps a direction and a length: what it shows is off in the last digits.
fn close(shown: Option<Vec<f32>>, wanted: Option<Vec<f32>>) -> bool {
    let (Some(shown), Some(wanted)) = (shown, wanted) else { return false };
    let length = wanted.iter().map(|number| number * number).sum::<f32>().sqrt();
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= length * 1e-5;
    shown.len() == wanted.len() && shown.iter().zip(&wanted).all(near)
}

/// Where both say something.
fn as_long(want: &Record, there: &Record) -> bool {
    let length = |record: &Record| record.fields.get("embeddings").and_then(embedding).map(|all| all.len());
    match (length(want), length(there)) {
        (Some(want), Some(there)) => want == there,
        _ => true,
    }
}

fn embedding(value: &Value) -> Option<Vec<f32>> {
    #[expect(clippy::cast_possible_truncation, reason = "Chroma keeps f32")]
    let number = |number: &Value| number.as_f64().map(|number| number as f32);
    match value {
        Value::Array(numbers) => numbers.iter().map(number).collect(),
        Value::String(text) => {
            let coded = STANDARD.decode(text).ok()?;
            let numbers = coded.chunks_exact(4).filter_map(|chunk| chunk.try_into().ok());
            Some(numbers.map(f32::from_le_bytes).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversion::Deletion;
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

    fn held(op: Op, body: Value, shown: Value) -> bool {
        holds(op, &bytes(&body), shown.to_string().as_bytes())
    }

    #[test]
    fn an_upsert_holds_where_every_word_of_it_is_there() {
        let body = json!({"ids": ["a", "a"], "embeddings": [[9, 9], "AACAPwAAAEA="], "documents": [null, "x"],
            "metadatas": [{"k": 1, "n": 7}, {"n": null, "f": 0.1}]});
        let shown = |embedding: Value, metadata: Value| {
            json!({"ids": ["a"], "embeddings": [embedding], "documents": ["x"], "metadatas": [metadata],
                "uris": [null]})
        };
        let right = json!({"k": 1, "f": 0.1, "old": true});
        assert!(held(Op::Upsert, body.clone(), shown(json!([1.0, 2.0]), right.clone())));
        assert!(!held(Op::Upsert, body.clone(), shown(json!([1.0, 2.5]), right)));
        assert!(!held(Op::Upsert, body.clone(), shown(json!([1.0, 2.0]), json!({"k": 1, "f": 0.1, "n": 7}))));
        assert!(!held(Op::Upsert, body, json!({"ids": []})));
    }

    /// As Chroma 1.5.9 showed `[30, 40]` in a collection that compares by cosine.
    #[test]
    fn what_comes_back_a_little_off_is_the_same() {
        let body = json!({"ids": ["a"], "embeddings": [[30, 40]],
            "metadatas": [{"f": 123_456_789.123_456_79, "l": [0.1, 1.0], "i": 1_u64 << 60}]});
        let shown = |embedding: Value, i: u64| {
            json!({"ids": ["a"], "embeddings": [embedding],
                "metadatas": [{"f": 123_456_789.123_456_8, "l": [0.1, 1.0], "i": i}]})
        };
        assert!(held(Op::Upsert, body.clone(), shown(json!([29.999_998, 39.999_996]), 1 << 60)));
        assert!(!held(Op::Upsert, body.clone(), shown(json!([29.99, 39.999_996]), 1 << 60)));
        assert!(!held(Op::Upsert, body, shown(json!([30, 40]), (1 << 60) + 1)));
    }

    #[test]
    fn an_add_holds_where_the_ids_exist_and_a_delete_where_none_does() {
        let body = json!({"ids": ["a", "b"], "documents": ["x", "y"]});
        assert!(held(Op::Add, body.clone(), json!({"ids": ["b", "a"], "documents": ["1", "2"]})));
        assert!(!held(Op::Add, body.clone(), json!({"ids": ["a"], "documents": ["x"]})));
        let long = json!({"ids": ["a"], "embeddings": [[1, 2]]});
        assert!(held(Op::Add, long.clone(), json!({"ids": ["a"], "embeddings": [[7, 8]]})));
        assert!(!held(Op::Add, long, json!({"ids": ["a"], "embeddings": [[7, 8, 9]]})));
        assert!(held(Op::Delete, json!({"ids": ["a"]}), json!({"ids": []})));
        assert!(!held(Op::Delete, json!({"ids": ["a"]}), json!({"ids": ["a"]})));
    }

    #[test]
    fn what_was_never_resolved_was_never_sent() {
        let update = |effect: Option<&[&str]>| {
            entry(Op::Update, json!({"ids": ["a", "m"], "documents": ["x", "y"]}), effect)
        };
        assert_eq!(sent(&update(None)), None);
        let Some(Send::Body(body)) = sent(&update(Some(&["a"]))) else { panic!("nothing is sent") };
        let ask: Value = serde_json::from_slice(&look(&body).unwrap()).unwrap();
        assert_eq!(ask["ids"], json!(["a"]));
        assert!(holds(Op::Update, &body, br#"{"ids": ["a"], "documents": ["x"]}"#));
    }

    #[test]
    fn a_deletion_is_looked_for_by_what_went() {
        let deletion = Deletion { ids: vec!["a".into(), "of-document".into()], ..Deletion::default() };
        let body = json!({"ids": ["a", "document"]});
        let entry = entry(Op::Delete, body, None).recovered(Some(Effect::Deletion(deletion)), None);
        let Some(Send::Body(body)) = sent(&entry) else { panic!("nothing is sent") };
        assert_eq!(look(&body), look(&bytes(&json!({"ids": ["a", "of-document"]}))));
        assert!(!holds(Op::Delete, &body, br#"{"ids": ["of-document"]}"#));
        assert!(holds(Op::Delete, &body, br#"{"ids": []}"#));
    }
}
