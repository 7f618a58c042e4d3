//! Do two nodes hold the same records of a collection? Compared by content, page by page; it changes
//! nothing.

use serde_json::Value;

use super::copy::PAGE;
use super::peer::{Peer, PeerError, Records};

/// Whether both hold the same records.
pub(super) async fn same(
    a: &Peer<'_>,
    from: &str,
    ids: &[String],
    b: &Peer<'_>,
    to: &str,
    held: &[String],
) -> Result<bool, PeerError> {
    let sorted = |ids: &[String]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    let ids = sorted(ids);
    if ids != sorted(held) {
        return Ok(false);
    }
    for chunk in ids.chunks(PAGE) {
        let (left, right) = (a.records(from, chunk).await?, b.records(to, chunk).await?);
        if by_id(left) != by_id(right) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn by_id(records: Records) -> Vec<(String, Vec<Value>)> {
    let Records { ids, embeddings, metadatas, documents, uris } = records;
    let columns = [embeddings, metadatas, documents, uris];
    let columns: Vec<Vec<Value>> = columns
        .iter()
        .map(|column| {
            column.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
        })
        .collect();
    let row = |at: usize| columns.iter().map(|c| c.get(at).cloned().unwrap_or_default()).collect();
    let mut rows: Vec<_> = ids.into_iter().enumerate().map(|(at, id)| (id, row(at))).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}
