//! What a node tells of records: passed on as it is, or one by one as the core compares them. It asks
//! for nothing.

use chroma_ha_core::likeness::{self, Record};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::peer::PeerError;

/// Records as `get` answers them, passed on as they are.
#[derive(Debug, Deserialize)]
pub struct Records {
    pub ids: Vec<String>,
    pub embeddings: Option<Box<RawValue>>,
    pub metadatas: Option<Box<RawValue>>,
    pub documents: Option<Box<RawValue>>,
    pub uris: Option<Box<RawValue>>,
}

impl Records {
    /// Chroma shows a record that is being written or deleted without its embedding, and then says nothing
    /// about whose it is.
    pub(super) fn is_whole(&self) -> bool {
        let shown = self.embeddings.as_ref().map_or(0, |raw| rows(raw.get()));
        shown == self.ids.len()
    }
}

/// How many lists a list of lists of numbers has.
fn rows(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'[').count().saturating_sub(1)
}

pub(super) fn by_id(records: Records) -> Result<likeness::Records, PeerError> {
    let Records { ids, embeddings, metadatas, documents, uris } = records;
    let mut embeddings = column::<Option<Vec<f32>>>(embeddings)?.into_iter();
    let [mut metadatas, mut documents, mut uris] =
        [column::<Value>(metadatas)?, column(documents)?, column(uris)?].map(Vec::into_iter);
    let mut record = || Record {
        embedding: embeddings.next().flatten(),
        metadata: metadatas.next().unwrap_or_default(),
        document: documents.next().unwrap_or_default(),
        uri: uris.next().unwrap_or_default(),
    };
    Ok(ids.into_iter().map(|id| (id, record())).collect())
}

fn column<T: for<'a> Deserialize<'a>>(raw: Option<Box<RawValue>>) -> Result<Vec<T>, PeerError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
    serde_json::from_str(raw.get())
        .map_err(|error| PeerError::Unreadable { what: "comparing records", cause: error.to_string() })
}
