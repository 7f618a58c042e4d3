//! Are two records the same? Chroma itself rounds what it is given back: a normalised embedding by one
//! step of `f32`, metadata numbers of 16 and 17 digits by one step of `f64`. A copy of such a record
//! differs by that from its original and is the same record; anything more is a difference. It
//! decides nothing about which of two is right.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

/// Relative difference up to which two components of an embedding are equal: some eight steps of `f32`.
const EMBEDDING: f32 = 1e-6;

/// Steps of `f64` up to which two numbers of metadata are equal.
const STEPS: u64 = 2;

/// What a node tells of one record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub embedding: Option<Vec<f32>>,
    pub metadata: Value,
    pub document: Value,
    pub uri: Value,
}

/// Records by their id.
pub type Records = BTreeMap<String, Record>;

/// Those of the ids that one side lacks or holds differently.
pub fn differing<'a>(
    ids: impl IntoIterator<Item = &'a String>,
    left: &Records,
    right: &Records,
) -> Vec<String> {
    let equal = |id: &&String| match (left.get(*id), right.get(*id)) {
        (Some(left), Some(right)) => alike(left, right),
        (None, None) => true,
        _ => false,
    };
    ids.into_iter().filter(|id| !equal(id)).cloned().collect()
}

pub fn alike(left: &Record, right: &Record) -> bool {
    left.document == right.document
        && left.uri == right.uri
        && embeddings(left.embedding.as_deref(), right.embedding.as_deref())
        && metadata(&left.metadata, &right.metadata)
}

fn embeddings(left: Option<&[f32]>, right: Option<&[f32]>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return left == right };
    let close = |(a, b): (&f32, &f32)| a == b || (a - b).abs() <= EMBEDDING * a.abs().max(b.abs());
    left.len() == right.len() && left.iter().zip(right).all(close)
}

/// No metadata, and metadata without a value, are the same.
fn metadata(left: &Value, right: &Value) -> bool {
    let nothing = Map::new();
    let fields = |value: &Value| match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Null => Some(nothing.clone()),
        _ => None,
    };
    let (Some(left), Some(right)) = (fields(left), fields(right)) else { return left == right };
    let has = |other: &Map<String, Value>, (key, value): (&String, &Value)| {
        value.is_null() || other.get(key).is_some_and(|theirs| values(value, theirs))
    };
    left.iter().all(|field| has(&right, field)) && right.iter().all(|field| has(&left, field))
}

fn values(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => numbers(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| values(a, b))
        }
        _ => left == right,
    }
}

fn numbers(left: &Number, right: &Number) -> bool {
    match (left.is_f64(), right.is_f64()) {
        (true, true) => {
            let (a, b) = (left.as_f64().unwrap_or_default(), right.as_f64().unwrap_or_default());
            a == b
                || (a.is_sign_negative() == b.is_sign_negative()
                    && a.to_bits().abs_diff(b.to_bits()) <= STEPS)
        }
        (false, false) => left == right,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn record(embedding: &[f32], metadata: Value) -> Record {
        Record { embedding: Some(embedding.to_vec()), metadata, document: json!("text"), uri: Value::Null }
    }

    #[test]
    fn rounding_is_no_difference_and_anything_more_is() {
        let base = record(&[0.6, -0.8], json!({ "share": 0.142_857_142_857_142_85, "n": 7 }));
        let rounded = record(
            &[0.6_f32.next_up(), (-0.8_f32).next_down()],
            json!({ "share": 0.142_857_142_857_142_85_f64.next_up(), "n": 7, "gone": null }),
        );
        assert!(alike(&base, &rounded));
        for other in [
            record(&[0.600_01, -0.8], base.metadata.clone()),
            record(&[0.6], base.metadata.clone()),
            record(&[0.6, -0.8], json!({ "share": 0.142_857_142_858, "n": 7 })),
            record(&[0.6, -0.8], json!({ "share": 0.142_857_142_857_142_85, "n": 8 })),
            record(&[0.6, -0.8], json!({ "share": 0.142_857_142_857_142_85, "n": 7.0 })),
            record(&[0.6, -0.8], json!({ "share": 0.142_857_142_857_142_85 })),
            record(&[0.6, -0.8], Value::Null),
            Record { document: json!("other"), ..base.clone() },
            Record { uri: json!("file:///a"), ..base.clone() },
            Record { embedding: None, ..base.clone() },
        ] {
            assert!(!alike(&base, &other) && !alike(&other, &base), "{other:?}");
        }
    }

    #[test]
    fn a_record_that_only_one_side_has_differs() {
        let one = Records::from([("a".to_owned(), record(&[1.0], Value::Null))]);
        let ids = ["a".to_owned(), "b".to_owned()];
        assert_eq!(differing(&ids, &one, &Records::new()), ["a"]);
        assert_eq!(differing(&ids, &Records::new(), &one), ["a"]);
        assert!(differing(&ids, &one, &one).is_empty());
    }

    proptest! {
        /// What Chroma makes of a vector in the cosine space, once and once more.
        #[test]
        fn normalised_once_more_is_the_same(vector in prop::collection::vec(-1e3_f32..1e3, 1..40)) {
            let normal = |v: &[f32]| -> Vec<f32> {
                let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-32);
                v.iter().map(|x| x / norm).collect()
            };
            let once = normal(&vector);
            prop_assert!(alike(&record(&once, Value::Null), &record(&normal(&once), Value::Null)));
        }
    }
}
