//! Is the body of a record write of a form that Chroma surely takes? It is read as Chroma reads it, only
//! stricter, and nothing is kept of it but how many records there are and what their embeddings look like.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;

use super::{Doubt, Embeddings, Profile};
use crate::entry::Op;

pub(super) fn read(op: Op, body: &[u8]) -> Result<Profile, Doubt> {
    // A list of the values in the right order would be read, too.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Doubt::Form);
    }
    if op == Op::Delete { deletion(body) } else { records(op, body) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    #[serde(default)]
    ids: Option<Vec<String>>,
    #[serde(default, rename = "where")]
    filter: Option<IgnoredAny>,
    #[serde(default)]
    where_document: Option<IgnoredAny>,
    #[serde(default)]
    limit: Option<IgnoredAny>,
}

fn deletion(body: &[u8]) -> Result<Profile, Doubt> {
    let Deletion { ids, filter, where_document, limit } =
        serde_json::from_slice(body).map_err(|_| Doubt::Form)?;
    if filter.is_some() || where_document.is_some() || limit.is_some() {
        return Err(Doubt::Deletion);
    }
    let ids = ids.unwrap_or_default();
    named(&ids)?;
    Ok(Profile { op: Op::Delete, records: ids.len(), embeddings: None })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    ids: Vec<String>,
    #[serde(default)]
    embeddings: Option<Vec<Option<Row>>>,
    #[serde(default)]
    metadatas: Option<Vec<Option<BTreeMap<String, Value>>>>,
    #[serde(default)]
    documents: Option<Vec<Option<String>>>,
    #[serde(default)]
    uris: Option<Vec<Option<String>>>,
}

fn records(op: Op, body: &[u8]) -> Result<Profile, Doubt> {
    let records: Records = serde_json::from_slice(body).map_err(|_| Doubt::Form)?;
    named(&records.ids)?;
    if !records.is_even() {
        return Err(Doubt::Rows);
    }
    let texts = [&records.documents, &records.uris];
    if texts.into_iter().flatten().flatten().flatten().any(|text| text.contains('\0')) {
        return Err(Doubt::Form);
    }
    let metadatas = records.metadatas.unwrap_or_default();
    if !metadatas.iter().flatten().flatten().all(|(key, value)| is_plain(op, key, value)) {
        return Err(Doubt::Form);
    }
    let embeddings = embeddings(op, records.embeddings.as_deref())?;
    Ok(Profile { op, records: records.ids.len(), embeddings })
}

impl Records {
    /// As many values as ids in every field that is there.
    fn is_even(&self) -> bool {
        let lengths = [
            self.embeddings.as_ref().map(Vec::len),
            self.metadatas.as_ref().map(Vec::len),
            self.documents.as_ref().map(Vec::len),
            self.uris.as_ref().map(Vec::len),
        ];
        lengths.into_iter().flatten().all(|length| length == self.ids.len())
    }
}

/// There are some, and none is empty. NUL is not taken by everything that keeps an id.
fn named(ids: &[String]) -> Result<(), Doubt> {
    let sound = !ids.is_empty() && ids.iter().all(|id| !id.is_empty());
    match ids.iter().any(|id| id.contains('\0')) {
        true => Err(Doubt::Form),
        false => sound.then_some(()).ok_or(Doubt::Rows),
    }
}

/// Chroma refuses some keys, keeps others for itself, and takes lists and objects only sometimes. `null`
/// takes a key away, which an `add` cannot.
fn is_plain(op: Op, key: &str, value: &Value) -> bool {
    let free = !key.is_empty() && !key.starts_with(['#', '$']) && !key.starts_with("chroma:");
    let kept = match value {
        Value::Null => op != Op::Add,
        Value::Bool(_) => true,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::String(text) => !text.contains('\0'),
        Value::Array(_) | Value::Object(_) => false,
    };
    free && kept && !key.contains('\0')
}

/// All of one length and in one encoding; only an update may leave some out.
fn embeddings(op: Op, rows: Option<&[Option<Row>]>) -> Result<Option<Embeddings>, Doubt> {
    let rows = rows.unwrap_or_default();
    let mut given = rows.iter().flatten().map(|row| row.0);
    let first = given.next();
    let like_the_first = given.all(|other| Some(other) == first);
    let left_out = rows.is_empty() || rows.iter().any(Option::is_none);
    let whole = op == Op::Update || !left_out;
    if whole && like_the_first { Ok(first) } else { Err(Doubt::Embeddings) }
}

/// One embedding that is finite in `f32`, and not empty.
struct Row(Embeddings);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_any(RowVisitor)
    }
}

struct RowVisitor;

impl RowVisitor {
    fn row<E: Error>(dimension: Option<usize>, coded: bool) -> Result<Row, E> {
        match dimension {
            Some(dimension) if dimension > 0 => Ok(Row(Embeddings { dimension, coded })),
            _ => Err(E::custom("an embedding is empty, or not finite, or no base64")),
        }
    }
}

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an embedding")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Row, A::Error> {
        let (mut dimension, mut finite) = (0, true);
        while let Some(number) = numbers.next_element::<f64>()? {
            dimension += 1;
            finite &= number.abs() <= f64::from(f32::MAX);
        }
        RowVisitor::row(finite.then_some(dimension), false)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Row, E> {
        let bytes = STANDARD.decode(text).map_err(E::custom)?;
        let numbers = bytes.chunks_exact(4).filter_map(|chunk| chunk.try_into().ok());
        let finite = numbers.map(f32::from_le_bytes).all(f32::is_finite);
        let whole = bytes.len() % 4 == 0 && finite;
        RowVisitor::row(whole.then_some(bytes.len() / 4), true)
    }
}
