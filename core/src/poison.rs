//! Which writes must not be logged because a node dies on them unanswered? Chroma's handler panics and
//! closes the connection, as if the node were at fault, and would do so again on every node. They are
//! known one by one and refused here; everything else Chroma judges itself.

use std::collections::HashMap;

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::entry::Op;
use crate::route::Write;

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow, default)]
    metadatas: Option<Vec<Option<HashMap<String, &'a RawValue>>>>,
}

/// The metadata under which Chroma itself keeps a record's document.
const DOCUMENT: &str = "chroma:document";

/// Why the request is refused (501), in Chroma's words for the same values in records.
pub fn poison(op: Op, body: &[u8]) -> Option<String> {
    let field = match op {
        Op::CreateCollection => "metadata",
        Op::ModifyCollection => "new_metadata",
        Op::Add | Op::Upsert | Op::Update => return hidden_document(body),
        _ => return None,
    };
    let body: Value = serde_json::from_slice(body).ok()?;
    let metadata = body.get(field)?.as_object()?;
    metadata.iter().find_map(|(key, value)| match value {
        Value::Object(vector) if vector.get("#type").is_some_and(|kind| kind == "sparse_vector") => {
            Some(format!("Unimplemented: Sparse vector is not supported for local chroma: {key}"))
        }
        Value::Array(_) if op == Op::ModifyCollection => {
            Some(format!("Unimplemented: Array is not supported in a collection's metadata: {key}"))
        }
        _ => None,
    })
}

/// Anything but text there stops 1.5.9 for good: every collection is answered 500, and after a restart this one.
fn hidden_document(body: &[u8]) -> Option<String> {
    // Seldom there, and then perhaps spelt with escapes; only then the body is read.
    let said = |words: &[u8]| memmem::find(body, words).is_some();
    if !said(DOCUMENT.as_bytes()) && !said(b"\\u") {
        return None;
    }
    // Chroma reads a list of the fields' values, too, which no client sends.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Some(format!("Unimplemented: metadata `{DOCUMENT}` in a body that is spelt as a list"));
    }
    let rows = serde_json::from_slice::<Rows<'_>>(body).ok()?.metadatas?;
    let hidden = |row: &HashMap<String, &RawValue>| {
        row.get(DOCUMENT).is_some_and(|value| !value.get().starts_with('"'))
    };
    rows.iter().flatten().any(hidden).then(|| {
        format!("Unimplemented: metadata `{DOCUMENT}` must hold text: Chroma stops answering on anything else; use `documents`")
    })
}

/// Longest tenant or database name, in bytes: the catalog keeps them in an index.
const LONGEST_NAME: usize = 1_000;

/// Why a name in a catalog write could not be kept (400). Chroma checks database and collection names
/// but takes any tenant name, in a path as in a body.
pub fn unkeepable_name(route: &Write, body: &[u8]) -> Option<String> {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let field = if matches!(route, Write::ModifyCollection { .. }) { "new_name" } else { "name" };
    let named = body.as_ref().and_then(|body| body.get(field)?.as_str()).unwrap_or_default();
    let names: [&str; 3] = match route {
        Write::CreateTenant => [named, "", ""],
        Write::CreateDatabase { tenant } => [tenant, named, ""],
        Write::CreateCollection { tenant, database } => [tenant, database, named],
        Write::ModifyCollection { .. } => ["", "", named],
        _ => return None,
    };
    let bad = names.into_iter().find(|name| name.len() > LONGEST_NAME || name.contains('\0'))?;
    let shown: String = bad.chars().take(40).collect();
    Some(format!("a name must be at most {LONGEST_NAME} bytes long and hold no NUL. Got: {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_catalog_cannot_keep_are_refused() {
        let body = |name: &str| serde_json::json!({ "name": name }).to_string();
        let tenant = |name: &str| unkeepable_name(&Write::CreateTenant, body(name).as_bytes());
        assert_eq!(tenant("acme"), None);
        assert_eq!(tenant(&"x".repeat(LONGEST_NAME)), None);
        assert!(tenant(&"x".repeat(LONGEST_NAME + 1)).is_some());
        assert!(tenant("a\0b").is_some());
        let under = Write::CreateDatabase { tenant: "x".repeat(5_000) };
        assert!(unkeepable_name(&under, body("docs").as_bytes()).is_some());
        let renamed = |name: &str| {
            let body = serde_json::json!({ "new_name": name }).to_string();
            let collection = crate::ids::CollectionId(uuid::Uuid::nil());
            unkeepable_name(&Write::ModifyCollection { collection }, body.as_bytes())
        };
        assert!(renamed(&"x".repeat(LONGEST_NAME + 1)).is_some() && renamed("b").is_none());
        assert_eq!(unkeepable_name(&Write::Reset, b""), None);
    }

    #[test]
    fn only_what_kills_is_refused() {
        let sparse = br##"{"metadata": {"a": {"#type": "sparse_vector", "indices": [1], "values": [1.0]}}}"##;
        assert!(poison(Op::CreateCollection, sparse).is_some());
        assert_eq!(poison(Op::ModifyCollection, sparse), None);
        assert!(poison(Op::ModifyCollection, br#"{"new_metadata": {"a": []}}"#).is_some());
        assert_eq!(poison(Op::CreateCollection, br#"{"metadata": {"a": [1]}}"#), None);
        assert_eq!(poison(Op::CreateCollection, br#"{"metadata": {"a": {}}}"#), None);
        assert_eq!(poison(Op::ModifyCollection, br#"{"new_metadata": {"a": 1}, "new_name": "b"}"#), None);
        assert_eq!(poison(Op::Upsert, br#"{"metadatas": [{"a": [1]}]}"#), None);
    }

    #[test]
    fn what_stops_a_node_for_good_is_refused_however_it_is_spelt() {
        for op in [Op::Add, Op::Upsert, Op::Update] {
            for value in ["7", "null", "[]", "true"] {
                for key in ["chroma:document", r"chroma\u003adocument"] {
                    let body = format!(r#"{{"ids": ["a", "b"], "metadatas": [null, {{"{key}": {value}}}]}}"#);
                    assert!(poison(op, body.as_bytes()).is_some(), "{body}");
                    let list = format!(r#" [["a"], [[1, 2]], null, null, [{{"{key}": {value}}}]]"#);
                    assert!(poison(op, list.as_bytes()).is_some(), "{list}");
                }
            }
            assert_eq!(poison(op, br#"{"metadatas": [{"chroma:document": "text"}]}"#), None);
            assert_eq!(poison(op, br#"[["a"], [[1, 2]], null, null, [{"a": 7}]]"#), None);
            assert_eq!(poison(op, br#"{"documents": ["chroma:document"], "metadatas": [{"a": 7}]}"#), None);
        }
    }
}
