//! Must Chroma see the rows that an update would drop? A row of a missing id has no effect, so it is
//! not sent; but a request that Chroma refuses because of such a row must be refused. What is surely
//! sound is dropped; whatever might be refused goes to the acting node as the client wrote it.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Effect, PER_RECORD, object};
use crate::entry::{Entry, Op};

/// Who judges the rows that an update drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// Nobody: nothing is dropped, or a row that stays is as good a witness.
    Nobody,
    /// Chroma, with the client's own request.
    Chroma,
    /// Chroma, if this is not the dimension of the collection.
    Dimension(usize),
}

/// For the acting node, once the entry's effect is known.
pub fn judge(entry: &Entry) -> Judge {
    let (Op::Update, Some(Effect::Ids { ids: existing })) = (entry.draft.op, entry.effect()) else {
        return Judge::Nobody;
    };
    let Some(fields) = object(&entry.draft.body) else { return Judge::Nobody };
    let existing: HashSet<&str> = existing.iter().map(String::as_str).collect();
    let Some(Value::Array(ids)) = fields.get("ids") else { return Judge::Nobody };
    let kept = |id: &Value| id.as_str().is_some_and(|id| existing.contains(id));
    let dropped: Vec<bool> = ids.iter().map(|id| !kept(id)).collect();
    if !dropped.contains(&true) {
        return Judge::Nobody;
    }
    if !ids.iter().all(is_text) || !shapes(&fields, ids.len()) || !metadata(&fields) {
        return Judge::Chroma;
    }
    match embeddings(&fields) {
        None => Judge::Chroma,
        Some(dimensions) => dimension(&dimensions, &dropped),
    }
}

/// All rows of one length; a kept one shows it to Chroma.
fn dimension(rows: &[Option<usize>], dropped: &[bool]) -> Judge {
    let mut lengths = rows.iter().flatten();
    let Some(first) = lengths.next() else { return Judge::Nobody };
    if lengths.any(|length| length != first) {
        return Judge::Chroma;
    }
    let shown = rows.iter().zip(dropped).any(|(row, dropped)| row.is_some() && !dropped);
    if shown { Judge::Nobody } else { Judge::Dimension(*first) }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// As many values as ids in every field, texts where texts belong.
fn shapes(fields: &Map<String, Value>, count: usize) -> bool {
    let even = |field: &str| match fields.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::Array(rows)) => rows.len() == count,
        Some(_) => false,
    };
    let texts = |field: &str| rows(fields, field).iter().all(|row| row.is_null() || row.is_string());
    PER_RECORD.iter().all(|field| even(field)) && texts("documents") && texts("uris")
}

fn rows<'a>(fields: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    fields.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Plain keys with plain values.
fn metadata(fields: &Map<String, Value>) -> bool {
    let plain = |(key, value): (&String, &Value)| {
        !key.is_empty() && !key.starts_with(['#', '$']) && !value.is_array() && !value.is_object()
    };
    rows(fields, "metadatas").iter().all(|row| match row {
        Value::Null => true,
        Value::Object(fields) => fields.iter().all(plain),
        _ => false,
    })
}

/// The length of each row; `None` if Chroma may refuse one for anything else.
fn embeddings(fields: &Map<String, Value>) -> Option<Vec<Option<usize>>> {
    let rows = rows(fields, "embeddings");
    let coded = rows.iter().filter(|row| row.is_string()).count();
    let listed = rows.iter().filter(|row| row.is_array()).count();
    if coded > 0 && listed > 0 {
        return None;
    }
    rows.iter().map(|row| if row.is_null() { Some(None) } else { length(row).map(Some) }).collect()
}

fn length(row: &Value) -> Option<usize> {
    let length = match row {
        Value::Array(numbers) => numbers.iter().all(fits).then_some(numbers.len()),
        Value::String(text) => {
            let bytes = STANDARD.decode(text).ok()?;
            let numbers = bytes.chunks_exact(4).filter_map(|chunk| chunk.try_into().ok());
            let finite = numbers.map(f32::from_le_bytes).all(f32::is_finite);
            (bytes.len() % 4 == 0 && finite).then_some(bytes.len() / 4)
        }
        _ => None,
    };
    length.filter(|length| *length > 0)
}

/// A number that stays one as `f32`.
fn fits(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.abs() <= f64::from(f32::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::entry::Draft;
    use crate::ids::Seq;

    /// With "a" the only id that exists.
    fn judged(body: Value) -> Judge {
        let draft = Draft {
            write_id: "w".into(),
            op: Op::Update,
            target: None,
            method: "POST".into(),
            path: "/".into(),
            body: super::super::bytes(&body),
            headers: Vec::new(),
        };
        judge(&Entry::new(Seq(1), draft, 0).recovered(Some(Effect::Ids { ids: vec!["a".into()] }), None))
    }

    #[test]
    fn sound_rows_need_no_judge() {
        for body in [
            json!({"ids": ["a"], "embeddings": [["x"]], "metadatas": [7]}),
            json!({"ids": ["m"]}),
            json!({"ids": ["m"], "documents": ["x"], "uris": [null], "metadatas": [{"k": 1, "n": null}]}),
            json!({"ids": ["a", "m"], "embeddings": [[1, 2], [3, 4]]}),
            json!({"ids": ["m", "n"], "embeddings": [null, null], "unknown": 1}),
        ] {
            assert_eq!(judged(body.clone()), Judge::Nobody, "{body}");
        }
    }

    #[test]
    fn the_dimension_is_asked_when_no_row_stays_that_shows_it() {
        assert_eq!(judged(json!({"ids": ["m"], "embeddings": [[1, 2, 3]]})), Judge::Dimension(3));
        assert_eq!(judged(json!({"ids": ["m"], "embeddings": ["AACAPwAAAEA="]})), Judge::Dimension(2));
        let kept_is_silent = json!({"ids": ["a", "m"], "embeddings": [null, [1, 2]]});
        assert_eq!(judged(kept_is_silent), Judge::Dimension(2));
    }

    #[test]
    fn what_chroma_may_refuse_it_sees() {
        for body in [
            json!({"ids": ["a", "m"], "embeddings": [[1, 2], [1, 2, 3]]}),
            json!({"ids": ["m"], "embeddings": [[]]}),
            json!({"ids": ["m"], "embeddings": []}),
            json!({"ids": ["m"], "embeddings": ["x!"]}),
            json!({"ids": ["m"], "embeddings": [[1e300]]}),
            json!({"ids": ["m"], "embeddings": [[null]]}),
            json!({"ids": ["a", "m"], "embeddings": [[1, 2], "AACAPwAAAEA="]}),
            json!({"ids": ["m"], "embeddings": "x"}),
            json!({"ids": ["m"], "metadatas": [{"#k": 1}]}),
            json!({"ids": ["m"], "metadatas": [{"k": [1, "x"]}]}),
            json!({"ids": ["m"], "metadatas": {}}),
            json!({"ids": ["m"], "documents": [7]}),
            json!({"ids": [""]}),
        ] {
            assert_eq!(judged(body.clone()), Judge::Chroma, "{body}");
        }
    }
}
