//! Which writes must not be logged because a node dies on them unanswered? Chroma's handler panics and
//! closes the connection, as if the node were at fault, and would do so again on every node. They are
//! known one by one and refused here; everything else Chroma judges itself.

use serde_json::Value;

use crate::entry::Op;
use crate::route::Write;

/// Why the request is refused (501), in Chroma's words for the same values in records.
pub fn poison(op: Op, body: &[u8]) -> Option<String> {
    let field = match op {
        Op::CreateCollection => "metadata",
        Op::ModifyCollection => "new_metadata",
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

/// Longest tenant or database name, in bytes: the catalog keeps them in an index.
const LONGEST_NAME: usize = 1_000;

/// Why a name in a catalog write could not be kept (400). Chroma checks database and collection names
/// but takes any tenant name, in a path as in a body.
pub fn unkeepable_name(route: &Write, body: &[u8]) -> Option<String> {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let named = body.as_ref().and_then(|body| body.get("name")?.as_str()).unwrap_or_default();
    let names: [&str; 3] = match route {
        Write::CreateTenant => [named, "", ""],
        Write::CreateDatabase { tenant } => [tenant, named, ""],
        Write::CreateCollection { tenant, database } => [tenant, database, named],
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
}
