//! The log in a backup: what follows the last position that was saved, up to the log's end, added to it. It
//! refuses another log, a log that was put back to an earlier state, and one with a gap.

use std::collections::HashMap;
use std::path::Path;

use chroma_ha_core::backup::{Manifest, Segment};
use chroma_ha_core::ids::{CollectionId, Seq};

use super::Cluster;
use super::folder::Folder;
use super::positions::{decided_end, is_whole_after};
use crate::failure::Failure;
use crate::postgres::Marks;

/// Returns what to tell.
pub(crate) async fn save_log(mut cluster: Cluster, path: &Path) -> Result<String, Failure> {
    // Locked first: the manifest must be the last one.
    let (folder, _) = Folder::open(path)?;
    let _alone = folder.lock()?;
    let (folder, mut manifest) = Folder::open(path)?;
    let before = manifest.through();
    is_same_log(&mut cluster, &manifest).await?;
    let end = decided_end(&mut cluster).await?;
    append(&mut cluster, &folder, &mut manifest, &end).await?;
    folder.finish(&manifest)?;
    Ok(format!("positions {} to {} ({}) were added", before.next(), end.head, end.at.text))
}

async fn is_same_log(cluster: &mut Cluster, manifest: &Manifest) -> Result<(), Failure> {
    let now = cluster.archive.marks().await?;
    let ours = manifest.through();
    if now.log != manifest.log.id {
        return Err(Failure::Problem(format!(
            "the backup is of the log {}, this database holds {}: make a new backup",
            manifest.log.id, now.log
        )));
    }
    let reused = match &manifest.log.last_write {
        Some((seq, write)) => {
            let there = cluster.archive.write_at(*seq).await?;
            there.is_some_and(|there| there != *write)
        }
        None => false,
    };
    if now.head < ours || reused {
        return Err(Failure::Problem(format!(
            "the log was put back to a state before position {ours}, to which the backup reaches: make a new backup"
        )));
    }
    is_whole_after(cluster, ours, anew).await
}

fn anew(why: String) -> Failure {
    Failure::Problem(format!("{why}; make a new backup"))
}

/// Everything after the last segment, up to a position that is decided.
pub(super) async fn append(
    cluster: &mut Cluster,
    folder: &Folder,
    manifest: &mut Manifest,
    end: &Marks,
) -> Result<(), Failure> {
    let after = manifest.through();
    let mut segment = Segment { after, through: end.head, at: end.at.clone(), file: None };
    if end.head <= after {
        // Nothing was written: what can be restored is known for longer.
        match manifest.segments.last_mut() {
            Some(last) => last.at = end.at.clone(),
            None => manifest.segments.push(segment),
        }
        return Ok(());
    }
    let mut writer = folder.writer(&format!("log/{:020}-{:020}.jsonl.gz", after.next().0, end.head.0))?;
    let (mut position, mut unknown) = (after, HashMap::new());
    while position < end.head {
        let page = cluster.archive.entries(position, end.head).await?;
        for logged in &page.entries {
            writer.line(&serde_json::to_string(logged).map_err(|error| error.to_string())?)?;
            manifest.log.last_write = Some((logged.seq, logged.write_id.clone()));
            if let (Some(id), Err(why)) = (logged.collection(), logged.known()) {
                unknown.entry(id).or_insert(why);
            }
        }
        position = forward(position, page.through)?;
    }
    are_gone(cluster, &unknown).await?;
    // Nothing was removed while it was read.
    is_whole_after(cluster, after, anew).await?;
    segment.file = Some(writer.end()?);
    manifest.segments.push(segment);
    Ok(())
}

/// What nobody knows of a collection matters to no position after its deletion; without one it would to all.
async fn are_gone(cluster: &mut Cluster, unknown: &HashMap<CollectionId, String>) -> Result<(), Failure> {
    if unknown.is_empty() {
        return Ok(());
    }
    let names = cluster.archive.names().await?;
    let why = names.collections.iter().find_map(|(id, ..)| unknown.get(id));
    why.map_or(Ok(()), |why| Err(anew(why.clone())))
}

fn forward(from: Seq, to: Seq) -> Result<Seq, String> {
    if to > from { Ok(to) } else { Err(format!("the log does not go on after position {from}")) }
}
