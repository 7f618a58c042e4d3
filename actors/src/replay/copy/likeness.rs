//! Does a node hold what the source holds, although the source is written meanwhile? The target stands
//! still: nothing is applied to its collection before it is served. So a record that differs is different
//! data, unless the log has written it since the copy's position: then it is the log's, and is brought
//! over. It replaces nothing else.

use std::collections::{BTreeSet, HashSet};

use chroma_ha_core::effect::touched;
use chroma_ha_core::ids::{Seq, Stream};
use chroma_ha_core::likeness::differing;
use chroma_ha_core::port::Page;
use chroma_ha_core::portion::Portion;
use chroma_ha_core::sequencer::CopyTask;

use super::super::apply::Delivery;
use super::super::contents::{Records, by_id};
use super::super::peer::PeerError;
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
            differing.extend(different(left, right)?);
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
    carry(source, target, &differing, &mut Portion::new(CHUNK), |_| Ok(())).await?;
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
fn different(left: Records, right: Records) -> Result<Vec<String>, PeerError> {
    let (left, right) = (by_id(left)?, by_id(right)?);
    let ids: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    Ok(differing(ids, &left, &right))
}
