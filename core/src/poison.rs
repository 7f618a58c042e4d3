//! Which writes must not be logged because a node dies on them unanswered? Chroma's handler panics and
//! closes the connection, as if the node were at fault, and would do so again on every node. They are
//! known one by one and refused here; everything else Chroma judges itself.

use serde_json::Value;

use crate::entry::Op;

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

#[cfg(test)]
mod tests {
    use super::*;

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
