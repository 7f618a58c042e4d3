//! What a node tells of records, one by one, as the core compares them.

use chroma_ha_core::likeness::{self, Record};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::peer::{PeerError, Records};

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
