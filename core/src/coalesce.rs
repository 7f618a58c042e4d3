//! Which writes that wait for a collection may go to a node as one request, and how is that spelt? Rows are
//! spliced as they were written; no number is read. Whatever is spelt in an unusual way goes alone, for
//! Chroma to judge as it came. It knows neither nodes nor outcomes.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::entry::Op;

mod end;

pub use end::RunEnd;

/// Bounds of one request; a single larger write still goes, alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub records: usize,
    pub bytes: usize,
}

impl Default for Bounds {
    /// Chroma gains little beyond some hundreds of records.
    fn default() -> Bounds {
        Bounds { records: 1_000, bytes: 8 << 20 }
    }
}

impl Bounds {
    /// For what was sent before, under whatever bounds.
    pub const NONE: Bounds = Bounds { records: usize::MAX, bytes: usize::MAX };

    /// `batch_limit`: the most records that the node takes in one request, where it tells.
    pub fn of_node(batch_limit: Option<usize>) -> Bounds {
        let usual = Bounds::default();
        Bounds { records: batch_limit.map_or(usual.records, |limit| limit.min(usual.records)), ..usual }
    }
}

/// Writes at the front that go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// None: the first one cannot be joined with anything.
    pub count: usize,
    pub end: RunEnd,
    /// Of one write: as it came.
    pub body: Bytes,
}

const FIELDS: [&str; 4] = ["embeddings", "metadatas", "documents", "uris"];

/// As many of these bodies, in order and from the first one on, as make one request of the same meaning.
///
/// Precondition: there is at least one.
pub fn join(op: Op, bodies: &[Bytes], bounds: Bounds) -> Joined {
    let mut parts: Vec<Rows<'_>> = Vec::new();
    let (mut records, mut bytes, mut encoding) = (0, 0, Encoding::None);
    let mut end = RunEnd::Drained;
    for body in bodies {
        let Some(rows) = Rows::of(op, body) else {
            end = RunEnd::Shape;
            break;
        };
        records += rows.ids.len();
        bytes += body.len();
        let reached = match encoding.with(rows.encoding) {
            None => Some(RunEnd::Encoding),
            Some(_) if records > bounds.records => Some(RunEnd::Records),
            Some(_) if bytes > bounds.bytes => Some(RunEnd::Bytes),
            Some(both) => {
                encoding = both;
                None
            }
        };
        if let Some(reached) = reached.filter(|_| !parts.is_empty()) {
            end = reached;
            break;
        }
        parts.push(rows);
    }
    let count = parts.len();
    let body = match bodies {
        [first, ..] if count <= 1 => first.clone(),
        _ => spliced(&parts, bytes),
    };
    Joined { count, end, body }
}

/// How embeddings are spelt; one request must not mix them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    None,
    Numbers,
    Text,
}

impl Encoding {
    fn with(self, other: Encoding) -> Option<Encoding> {
        match (self, other) {
            (Encoding::None, one) | (one, Encoding::None) => Some(one),
            (one, other) => (one == other).then_some(one),
        }
    }
}

/// The rows of one request, as they are spelt.
struct Rows<'a> {
    ids: Vec<&'a RawValue>,
    fields: [Option<Vec<&'a RawValue>>; 4],
    encoding: Encoding,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records<'a> {
    #[serde(borrow)]
    ids: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    embeddings: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    metadatas: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    documents: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    uris: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion<'a> {
    #[serde(borrow)]
    ids: Vec<&'a RawValue>,
    #[serde(default, rename = "where")]
    filter: Option<IgnoredAny>,
    #[serde(default)]
    where_document: Option<IgnoredAny>,
    #[serde(default)]
    limit: Option<IgnoredAny>,
}

impl<'a> Rows<'a> {
    /// `None`: it goes alone.
    fn of(op: Op, body: &'a [u8]) -> Option<Rows<'a>> {
        // A list of the fields' values would do, too; in which order is Chroma's matter.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let rows = match op {
            Op::Delete => Rows::deleted(body)?,
            Op::Add | Op::Upsert | Op::Update => Rows::written(op, body)?,
            _ => return None,
        };
        let named = |id: &&RawValue| id.get().starts_with('"') && id.get() != "\"\"";
        (!rows.ids.is_empty() && rows.ids.iter().all(named)).then_some(rows)
    }

    fn deleted(body: &'a [u8]) -> Option<Rows<'a>> {
        let Deletion { ids, filter, where_document, limit } = serde_json::from_slice(body).ok()?;
        let plain = filter.is_none() && where_document.is_none() && limit.is_none();
        plain.then_some(Rows { ids, fields: [None, None, None, None], encoding: Encoding::None })
    }

    fn written(op: Op, body: &'a [u8]) -> Option<Rows<'a>> {
        let Records { ids, embeddings, metadatas, documents, uris } = serde_json::from_slice(body).ok()?;
        // Only an update leaves an embedding as it is.
        let given = embeddings.as_deref().is_some_and(|rows| rows.iter().all(|row| row.get() != "null"));
        let encoding = encoding(embeddings.as_deref().unwrap_or_default())?;
        let fields = [embeddings, metadatas, documents, uris];
        let even = fields.iter().flatten().all(|rows| rows.len() == ids.len());
        let plain = [b'{', b'"', b'"'];
        let sound = fields[1..].iter().zip(plain).all(|(rows, first)| {
            rows.iter()
                .flatten()
                .all(|row| row.get() == "null" || row.get().as_bytes().first() == Some(&first))
        });
        (even && sound && (given || op == Op::Update)).then_some(Rows { ids, fields, encoding })
    }
}

/// `None`: both ways in one request, or another one.
fn encoding(rows: &[&RawValue]) -> Option<Encoding> {
    rows.iter().try_fold(Encoding::None, |known, row| {
        known.with(match row.get().as_bytes().first()? {
            b'[' => Encoding::Numbers,
            b'"' => Encoding::Text,
            _ if row.get() == "null" => Encoding::None,
            _ => return None,
        })
    })
}

fn spliced(parts: &[Rows<'_>], bytes: usize) -> Bytes {
    let mut body = BytesMut::with_capacity(bytes + 64);
    body.put_slice(b"{\"ids\":[");
    list(&mut body, parts.iter().flat_map(|rows| rows.ids.iter().map(|id| id.get())));
    for (at, name) in
        FIELDS.iter().enumerate().filter(|(at, _)| parts.iter().any(|p| p.fields[*at].is_some()))
    {
        body.put_slice(b"],\"");
        body.put_slice(name.as_bytes());
        body.put_slice(b"\":[");
        list(&mut body, parts.iter().flat_map(|rows| rows.field(at)));
    }
    body.put_slice(b"]}");
    body.freeze()
}

impl<'a> Rows<'a> {
    /// What is not said of a record is `null` where others say it.
    fn field(&self, at: usize) -> impl Iterator<Item = &'a str> + '_ {
        let said = self.fields[at].iter().flatten().map(|row| row.get());
        let unsaid = if self.fields[at].is_none() { self.ids.len() } else { 0 };
        said.chain(std::iter::repeat_n("null", unsaid))
    }
}

fn list<'a>(body: &mut BytesMut, values: impl Iterator<Item = &'a str>) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        body.put_slice(value.as_bytes());
    }
}

#[cfg(test)]
mod tests;
