//! The rules one by one; `tests/promises/validation.rs` compares them with Chroma.

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::ids::CollectionId;

const ID: CollectionId = CollectionId(Uuid::from_u128(7));

fn place() -> Collection {
    let [tenant, database, name] = ["default_tenant", "default_database", "docs"].map(str::to_owned);
    Collection { tenant, database, name }
}

fn draft(op: Op, body: impl Into<Bytes>) -> Draft {
    let path = format!("{}/{}", records_path("default_tenant", "default_database", ID.0), op.name());
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let body = body.into();
    Draft { write_id: "w".into(), op, target: Some(ID.0), method: "POST".into(), path, body, headers }
}

/// In a collection of two dimensions that has taken base64.
fn judged(op: Op, body: impl Into<Bytes>) -> Result<(u16, String), Doubt> {
    let mut dimensions = Dimensions::default();
    dimensions.learn(ID, Embeddings { dimension: 2, coded: true });
    match examine(&draft(op, body), &place())?.judge(dimensions.of(ID)) {
        Judgement::Sound(answer) => Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned())),
        Judgement::Ask(doubt) => Err(doubt),
    }
}

fn of(op: Op, body: Value) -> Result<(u16, String), Doubt> {
    judged(op, body.to_string())
}

#[test]
fn what_is_plain_is_sound_and_answered_as_chroma_does() {
    let done = || Ok((200, "{}".to_owned()));
    let added = || Ok((201, "{}".to_owned()));
    assert_eq!(of(Op::Add, json!({"ids": ["a", "a"], "embeddings": [[1, 2.5], [-3e4, 0]]})), added());
    assert_eq!(of(Op::Add, json!({"ids": ["a"], "embeddings": ["AACAPwAAAEA="], "uris": [null]})), added());
    let whole = json!({"ids": ["a"], "embeddings": [[1, 2]], "documents": [""], "uris": ["u"],
        "metadatas": [{"i": 1, "f": 0.1, "b": true, "s": "x", "gone": null}]});
    assert_eq!(of(Op::Upsert, whole), done());
    assert_eq!(of(Op::Upsert, json!({"ids": ["a"], "embeddings": [[1, 2]], "metadatas": null})), done());
    assert_eq!(of(Op::Update, json!({"ids": ["a"]})), done());
    let some = json!({"ids": ["a", "b"], "embeddings": [null, [1, 2]], "metadatas": [null, {}]});
    assert_eq!(of(Op::Update, some), done());
    assert_eq!(of(Op::Delete, json!({"ids": ["a", "b", "a"]})), Ok((200, r#"{"deleted":3}"#.to_owned())));
    let nulls = json!({"ids": ["a"], "where": null, "where_document": null, "limit": null});
    assert_eq!(of(Op::Delete, nulls), Ok((200, r#"{"deleted":1}"#.to_owned())));
}

#[test]
fn what_chroma_refuses_or_may_refuse_it_is_asked() {
    let add = |field: &str, value: Value| {
        let mut body = json!({"ids": ["a"], "embeddings": [[1, 2]]});
        body[field] = value;
        of(Op::Add, body)
    };
    for (field, value, doubt) in [
        ("ids", json!([]), Doubt::Rows),
        ("ids", json!([""]), Doubt::Rows),
        ("ids", json!(["a", "b"]), Doubt::Rows),
        ("ids", json!([7]), Doubt::Form),
        ("ids", json!("a"), Doubt::Form),
        ("ids", json!(["a\0"]), Doubt::Form),
        ("embeddings", json!(null), Doubt::Embeddings),
        ("embeddings", json!([null]), Doubt::Embeddings),
        ("embeddings", json!([]), Doubt::Rows),
        ("embeddings", json!([[]]), Doubt::Form),
        ("embeddings", json!([[1, null]]), Doubt::Form),
        ("embeddings", json!([["1", 2]]), Doubt::Form),
        ("embeddings", json!([[1, 1e39]]), Doubt::Form),
        ("embeddings", json!(["AADAfwAAgD8="]), Doubt::Form), // NaN
        ("embeddings", json!(["AACAPwAAAEA"]), Doubt::Form),
        ("embeddings", json!(["AACA"]), Doubt::Form),
        ("embeddings", json!(["AACAPwAAAEAA"]), Doubt::Form), // nine bytes
        ("embeddings", json!([[1]]), Doubt::Dimension),
        ("metadatas", json!([{"k": null}]), Doubt::Form),
        ("metadatas", json!([{"k": [1]}]), Doubt::Form),
        ("metadatas", json!([{"k": {}}]), Doubt::Form),
        ("metadatas", json!([{"k": u64::MAX}]), Doubt::Form),
        ("metadatas", json!([{"k": "a\0"}]), Doubt::Form),
        ("metadatas", json!([{"k\0": 1}]), Doubt::Form),
        ("metadatas", json!([{"": 1}]), Doubt::Form),
        ("metadatas", json!([{"#k": 1}]), Doubt::Form),
        ("metadatas", json!([{"$k": 1}]), Doubt::Form),
        ("metadatas", json!([{"chroma:document": "x"}]), Doubt::Form),
        ("metadatas", json!([{}, {}]), Doubt::Rows),
        ("metadatas", json!({}), Doubt::Form),
        ("documents", json!([7]), Doubt::Form),
        ("documents", json!(["a\0"]), Doubt::Form),
        ("documents", json!([]), Doubt::Rows),
        ("uris", json!(["u", "v"]), Doubt::Rows),
        ("uris", json!(["a\0"]), Doubt::Form),
        ("unknown", json!(1), Doubt::Form),
    ] {
        assert_eq!(add(field, value.clone()), Err(doubt), "{field}: {value}");
    }
    let mixed = json!({"ids": ["a", "b"], "embeddings": [[1, 2], "AACAPwAAAEA="]});
    assert_eq!(of(Op::Upsert, mixed), Err(Doubt::Embeddings));
    let uneven = json!({"ids": ["a", "b"], "embeddings": [[1, 2], [1]]});
    assert_eq!(of(Op::Update, uneven), Err(Doubt::Embeddings));
    for (body, doubt) in [
        (json!({"ids": []}), Doubt::Rows),
        (json!({}), Doubt::Rows),
        (json!({"where": {"k": 1}}), Doubt::Deletion),
        (json!({"ids": ["a"], "where_document": {"$contains": "x"}}), Doubt::Deletion),
        (json!({"ids": ["a"], "limit": 1}), Doubt::Deletion),
        (json!({"ids": ["a"], "unknown": 1}), Doubt::Form),
    ] {
        assert_eq!(of(Op::Delete, body.clone()), Err(doubt), "{body}");
    }
}

#[test]
fn json_is_read_as_strictly_as_chroma_reads_it() {
    for body in [
        "",
        "{",
        r#"[["a"],[[1,2]],null,null,null]"#,
        r#"{"ids":["a"],"embeddings":[[1,2]]} x"#,
        r#"{"ids":["a"],"ids":["b"],"embeddings":[[1,2]]}"#,
        r#"{"ids":["a\ud83d"],"embeddings":[[1,2]]}"#,
        r#"{"ids":["a"],"embeddings":[[1,2]],"documents":["\u0000"]}"#,
    ] {
        assert_eq!(judged(Op::Upsert, body), Err(Doubt::Form), "{body}");
    }
    assert!(judged(Op::Upsert, " {\"ids\":[\"a\"],\"embeddings\":[[1,2]]}\n").is_ok());
}

#[test]
fn an_unusual_request_is_not_judged_here() {
    let body = json!({"ids": ["a"], "embeddings": [[1, 2]]}).to_string();
    let doubt = |change: fn(&mut Draft)| {
        let mut draft = draft(Op::Upsert, body.clone());
        change(&mut draft);
        examine(&draft, &place()).err()
    };
    assert_eq!(doubt(|_| ()), None);
    assert_eq!(doubt(|draft| draft.headers.clear()), None);
    assert_eq!(doubt(|draft| draft.headers[0].1 = "application/json; charset=UTF-8".into()), None);
    assert_eq!(doubt(|draft| draft.headers[0].1 = "text/plain".into()), Some(Doubt::Spelling));
    assert_eq!(doubt(|draft| draft.path = draft.path.to_uppercase()), Some(Doubt::Spelling));
    assert_eq!(doubt(|draft| draft.path.push_str("?x=1")), Some(Doubt::Spelling));
    // Chroma refuses names of databases that are too short.
    assert_eq!(
        doubt(|draft| draft.path = draft.path.replace("default_database", "a")),
        Some(Doubt::Spelling)
    );
    assert_eq!(doubt(|draft| draft.target = None), Some(Doubt::Catalog));
    assert_eq!(doubt(|draft| draft.method = "PUT".into()), Some(Doubt::Spelling));
    assert_eq!(doubt(|draft| draft.op = Op::Reset), Some(Doubt::Catalog));
    assert_eq!(doubt(|draft| draft.body = vec![b' '; BYTES + 1].into()), Some(Doubt::Size));
}

#[test]
fn no_more_records_are_looked_through_than_every_server_takes() {
    let ids = |count| json!({"ids": vec!["a"; count]});
    assert!(of(Op::Delete, ids(RECORDS)).is_ok());
    assert_eq!(of(Op::Delete, ids(RECORDS + 1)), Err(Doubt::Size));
}

#[test]
fn a_dimension_counts_once_it_was_learnt_from_an_accepted_write() {
    let profile = |op, body: Value| examine(&draft(op, body.to_string()), &place()).unwrap();
    let doubt = |profile: Profile, dimensions: &Dimensions| match profile.judge(dimensions.of(ID)) {
        Judgement::Sound(_) => None,
        Judgement::Ask(doubt) => Some(doubt),
    };
    let mut dimensions = Dimensions::default();
    let add = profile(Op::Add, json!({"ids": ["a"], "embeddings": [[1, 2, 3]]}));
    let update = profile(Op::Update, json!({"ids": ["a"], "embeddings": [[1, 2]]}));
    assert_eq!(doubt(add, &dimensions), Some(Doubt::Dimension));
    assert_eq!((update.teaches(), doubt(update, &dimensions)), (None, Some(Doubt::Dimension)));
    let silent = profile(Op::Update, json!({"ids": ["a"], "documents": ["x"]}));
    assert_eq!(doubt(silent, &dimensions), None);
    dimensions.learn(ID, add.teaches().unwrap());
    assert_eq!((doubt(add, &dimensions), doubt(update, &dimensions)), (None, Some(Doubt::Dimension)));
}

#[test]
fn every_doubt_has_its_own_name() {
    let names: std::collections::BTreeSet<_> = Doubt::ALL.iter().map(|doubt| doubt.name()).collect();
    assert_eq!(names.len(), Doubt::ALL.len());
}
