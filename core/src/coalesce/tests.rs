//! Rows are spliced as they are spelt; what is spelt in an unusual way goes alone.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn bodies(values: &[Value]) -> Vec<Bytes> {
    values.iter().map(|value| Bytes::from(value.to_string())).collect()
}

fn joined(op: Op, values: &[Value]) -> (usize, RunEnd, Value) {
    let Joined { count, end, body } = join(op, &bodies(values), Bounds::default());
    (count, end, serde_json::from_slice(&body).unwrap())
}

#[test]
fn fields_that_one_write_lacks_are_null_in_its_rows() {
    let both = [
        json!({ "ids": ["a"], "embeddings": [[1.0]], "documents": ["x"] }),
        json!({ "ids": ["b", "c"], "embeddings": [[2.0], [3.0]], "metadatas": [null, { "k": 1 }] }),
    ];
    let one = json!({
        "ids": ["a", "b", "c"],
        "embeddings": [[1.0], [2.0], [3.0]],
        "metadatas": [null, null, { "k": 1 }],
        "documents": ["x", null, null],
    });
    assert_eq!(joined(Op::Upsert, &both), (2, RunEnd::Drained, one));
}

#[test]
fn numbers_and_escapes_are_taken_over_byte_by_byte() {
    let spelt =
        [r#"{ "ids" : ["\u00e4"] , "embeddings" : [[1.00, 1e-3]] }"#, r#"{"ids":["b"],"embeddings":[[2]]}"#];
    let spelt: Vec<Bytes> = spelt.iter().map(|body| Bytes::from(*body)).collect();
    let body = join(Op::Add, &spelt, Bounds::default()).body;
    assert_eq!(body, r#"{"ids":["\u00e4","b"],"embeddings":[[1.00, 1e-3],[2]]}"#);
}

#[test]
fn a_lone_write_stays_as_it_came() {
    let odd = Bytes::from(r#"{ "ids": ["a"], "more": 1 }"#);
    assert_eq!(
        join(Op::Add, std::slice::from_ref(&odd), Bounds::default()),
        Joined { count: 0, end: RunEnd::Shape, body: odd }
    );
    let plain = Bytes::from(r#"{ "ids": ["a"], "embeddings": [[1]] }"#);
    let alone = join(Op::Add, std::slice::from_ref(&plain), Bounds::default());
    assert_eq!(alone, Joined { count: 1, end: RunEnd::Drained, body: plain });
}

#[test]
fn encodings_are_not_mixed() {
    let numbers = json!({ "ids": ["a"], "embeddings": [[1.0]] });
    let text = json!({ "ids": ["b"], "embeddings": ["AACAPw=="] });
    let unsaid = json!({ "ids": ["c"], "documents": ["x"] });
    let of = |values: &[&Value]| {
        let values: Vec<Value> = values.iter().copied().cloned().collect();
        let (count, end, _) = joined(Op::Update, &values);
        (count, end)
    };
    assert_eq!(of(&[&numbers, &unsaid, &text]), (2, RunEnd::Encoding));
    assert_eq!(of(&[&text, &unsaid, &text]), (3, RunEnd::Drained));
    let mixed = json!({ "ids": ["d", "e"], "embeddings": [[1.0], "AACAPw=="] });
    assert_eq!(of(&[&numbers, &mixed]), (1, RunEnd::Shape));
}

#[test]
fn what_chroma_may_refuse_goes_alone() {
    let sound = json!({ "ids": ["a"], "embeddings": [[1.0]] });
    for odd in [
        json!({ "ids": [], "embeddings": [] }),
        json!({ "ids": [""], "embeddings": [[1.0]] }),
        json!({ "ids": [7], "embeddings": [[1.0]] }),
        json!({ "ids": ["b"], "embeddings": [[1.0], [2.0]] }),
        json!({ "ids": ["b"], "embeddings": [null] }),
        json!({ "ids": ["b"], "documents": ["x"] }),
        json!({ "ids": ["b"], "embeddings": [[1.0]], "documents": [5] }),
        json!({ "ids": ["b"], "embeddings": [[1.0]], "metadatas": [[]] }),
        json!({ "ids": ["b"], "embeddings": [[1.0]], "where": null }),
        json!(["b"]),
    ] {
        let (count, end, _) = joined(Op::Upsert, &[sound.clone(), odd.clone()]);
        assert_eq!((count, end), (1, RunEnd::Shape), "{odd}");
    }
    let doubled = Bytes::from(r#"{"ids":["b"],"ids":["c"],"embeddings":[[1]]}"#);
    // A struct may be spelt as a list, in Chroma's order.
    let list = Bytes::from_static(br#"[["b"],[[1.0]],null,["u"],null]"#);
    assert_eq!(join(Op::Add, &[list.clone(), list], Bounds::default()).count, 0);
    assert_eq!(join(Op::Add, &[bodies(&[sound])[0].clone(), doubled], Bounds::default()).count, 1);
}

#[test]
fn deletions_are_joined_by_ids_only() {
    let ids = |id: &str| json!({ "ids": [id], "where": null, "where_document": null });
    let filter = json!({ "ids": ["c"], "where": { "k": 1 } });
    let all = [ids("a"), ids("b"), filter];
    assert_eq!(joined(Op::Delete, &all), (2, RunEnd::Shape, json!({ "ids": ["a", "b"] })));
    for odd in [
        json!({ "ids": ["c"], "where_document": { "$contains": "x" } }),
        json!({ "ids": ["c"], "limit": 1 }),
        json!({ "ids": ["c"], "unknown": 1 }),
    ] {
        assert_eq!(joined(Op::Delete, &[ids("a"), odd.clone()]).0, 1, "{odd}");
    }
}

#[test]
fn bounds_end_a_request_but_never_leave_it_empty() {
    let writes = bodies(&[
        json!({ "ids": ["a", "b", "c"], "embeddings": [[1], [2], [3]] }),
        json!({ "ids": ["d"], "embeddings": [[4]] }),
        json!({ "ids": ["e"], "embeddings": [[5]] }),
    ]);
    let of = |bounds| {
        let Joined { count, end, .. } = join(Op::Add, &writes, bounds);
        (count, end)
    };
    let wide = Bounds::default();
    assert_eq!(of(wide), (3, RunEnd::Drained));
    assert_eq!(of(Bounds { records: 4, ..wide }), (2, RunEnd::Records));
    assert_eq!(of(Bounds { records: 1, ..wide }), (1, RunEnd::Records));
    assert_eq!(of(Bounds { bytes: 1, ..wide }), (1, RunEnd::Bytes));
}

#[test]
fn a_node_that_takes_more_than_usual_gets_as_usual() {
    let records = |told| Bounds::of_node(told).records;
    assert_eq!((records(None), records(Some(5_461)), records(Some(5))), (1_000, 1_000, 5));
}

proptest! {
    /// Whatever is thrown in: some go, they are the first, and every row of theirs is there in order.
    #[test]
    fn every_row_is_there_once(sizes in prop::collection::vec(1usize..4, 1..20), most in 1usize..30, texts in any::<u32>()) {
        let mut next = 0;
        let writes: Vec<Value> = sizes.iter().enumerate().map(|(at, size)| {
            let ids: Vec<String> = (0..*size).map(|_| { next += 1; format!("r{next}") }).collect();
            let mut body = json!({ "ids": ids, "embeddings": vec![[at]; *size] });
            if texts >> (at % 32) & 1 == 1 {
                body["documents"] = json!(ids);
            }
            body
        }).collect();
        let bounds = Bounds { records: most, ..Bounds::default() };
        let Joined { count, body, .. } = join(Op::Upsert, &bodies(&writes), bounds);
        prop_assert!(count >= 1);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let rows = |field: &str| -> Vec<Value> {
            writes[..count].iter().flat_map(|one| {
                let unsaid = vec![Value::Null; one["ids"].as_array().unwrap().len()];
                one[field].as_array().cloned().unwrap_or(unsaid)
            }).collect()
        };
        prop_assert_eq!(&body["ids"], &json!(rows("ids")));
        prop_assert_eq!(&body["embeddings"], &json!(rows("embeddings")));
        if !body["documents"].is_null() {
            prop_assert_eq!(&body["documents"], &json!(rows("documents")));
        }
        prop_assert!(count == 1 || body["ids"].as_array().unwrap().len() <= most);
    }
}
