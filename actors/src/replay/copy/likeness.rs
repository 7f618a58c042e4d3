//! Does a node hold what the source holds, although the source is written meanwhile? The target stands
//! still: nothing is applied to its collection before it is served. So a record that differs is different
//! data, unless the log has written it since the copy's position: then it is the log's, and is brought
//! over. It replaces nothing else.

use std::collections::HashSet;

use chroma_ha_core::effect::touched;
use chroma_ha_core::ids::{Seq, Stream};
use chroma_ha_core::port::Page;
use chroma_ha_core::portion::Portion;
use chroma_ha_core::sequencer::CopyTask;
use serde_json::Value;

use super::super::apply::Delivery;
use super::super::peer::{PeerError, Records};
use super::records::{Ids, Side, carry};
use crate::board::DeleteWatch;

/// Records compared with one request to each node.
const CHUNK: usize = 250;

/// Records that may differ because they are being written; more are taken for other data.
const WRITTEN: usize = 10_000;

const PAGE_ENTRIES: usize = 256;
const PAGE_BYTES: usize = 8 << 20;

/// Whether the target holds the source's records, up to what the log has written since: that is mended.
pub(super) async fn alike(
    delivery: &Delivery,
    task: &CopyTask,
    source: &Side<'_>,
    deletes: DeleteWatch,
    target: &Side<'_>,
) -> Result<bool, PeerError> {
    let mut differing = Vec::new();
    let mut ids = Ids::of(source, Some(deletes));
    while let Some(page) = ids.next().await? {
        for chunk in page.chunks(CHUNK) {
            let (left, right) = tokio::try_join!(source.records(chunk), target.records(chunk))?;
            differing.extend(different(left, right));
            if hopeless(delivery, task, &differing) {
                return Ok(false);
            }
        }
    }
    let mut ids = Ids::of(target, None);
    while let Some(page) = ids.next().await? {
        let held = source.held(&page).await?;
        differing.extend(page.into_iter().filter(|id| !held.contains(id)));
        if hopeless(delivery, task, &differing) {
            return Ok(false);
        }
    }
    if differing.is_empty() {
        return Ok(true);
    }
    let written = written_since(delivery, task).await?;
    if differing.iter().any(|id| !written.contains(id)) {
        return Ok(false);
    }
    target.delete(&differing).await?;
    carry(source, target, &differing, &mut Portion::new(CHUNK), |_| {}).await?;
    Ok(true)
}

/// Whether there is too much, or nothing was written that could explain it.
fn hopeless(delivery: &Delivery, task: &CopyTask, differing: &[String]) -> bool {
    let position = || {
        let sequencer = delivery.board.sequencer();
        let stream = Stream::Collection(task.collection);
        (sequencer.head() == task.position, sequencer.node(task.source).first(stream).is_none())
    };
    differing.len() > WRITTEN || (!differing.is_empty() && position() == (true, true))
}

/// Every record that the log has written after the copy's position.
async fn written_since(delivery: &Delivery, task: &CopyTask) -> Result<HashSet<String>, PeerError> {
    let through = delivery.board.sequencer().head();
    let mut written = HashSet::new();
    let mut from = task.position.next();
    while from <= through {
        let page = Page {
            stream: Some(Stream::Collection(task.collection)),
            from,
            through,
            max_entries: PAGE_ENTRIES,
            max_bytes: PAGE_BYTES,
        };
        let page = delivery.log.page(page).await.map_err(|_| PeerError::LogAway)?;
        for entry in &page.entries {
            let unresolved = || PeerError::Conflict("a delete is being resolved".to_owned());
            written.extend(touched(entry).ok_or_else(unresolved)?);
        }
        if page.complete_through < from {
            return Err(PeerError::LogAway);
        }
        from = Seq(page.complete_through.0 + 1);
    }
    Ok(written)
}

/// Ids whose records are not the same in both.
fn different(left: Records, right: Records) -> Vec<String> {
    let (left, right) = (by_id(left), by_id(right));
    let ids: HashSet<&String> = left.keys().chain(right.keys()).collect();
    let same = |id: &&String| match (left.get(*id), right.get(*id)) {
        (Some(left), Some(right)) => left.iter().zip(right).all(|(left, right)| close(left, right)),
        _ => false,
    };
    ids.into_iter().filter(|id| !same(id)).cloned().collect()
}

/// Equal but for the last digits of numbers: with the cosine space Chroma reads embeddings back a rounding
/// step off, so a copy of them is, too; and so are metadata floats of 17 digits.
fn close(left: &Value, right: &Value) -> bool {
    const STEPS: f64 = 1e-5;
    match (left, right) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else { return false };
            (a - b).abs() <= STEPS * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| close(a, b)))
        }
        _ => left == right,
    }
}

fn by_id(records: Records) -> std::collections::HashMap<String, Vec<Value>> {
    let Records { ids, embeddings, metadatas, documents, uris } = records;
    let columns = [embeddings, metadatas, documents, uris];
    let columns: Vec<Vec<Value>> = columns
        .iter()
        .map(|column| {
            column.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
        })
        .collect();
    let row = |at: usize| columns.iter().map(|c| c.get(at).cloned().unwrap_or_default()).collect();
    ids.into_iter().enumerate().map(|(at, id)| (id, row(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_rounding_is_overlooked() {
        let record = json!({ "share": 0.1, "n": 3, "list": [1.5, null] });
        assert!(close(&record, &json!({ "list": [1.500_000_1, null], "n": 3, "share": 0.100_000_001 })));
        for other in [json!({ "share": 0.1 }), json!({ "share": 0.2, "n": 3, "list": [1.5, null] })] {
            assert!(!close(&record, &other), "{other}");
        }
        assert!(
            !close(&json!(3), &json!(4))
                && !close(&json!("a"), &json!("b"))
                && !close(&json!([1]), &json!([1, 2]))
        );
    }
}
