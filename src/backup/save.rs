//! A backup: every collection read through the balancer while writes go on, then the log from before the first
//! read to after the last. The manifest comes last; a folder without one is no backup.

use std::path::Path;
use std::time::Instant;

use chroma_ha_core::backup::{Base, Described, FORMAT, File, LogIdentity, Manifest, Saved, shown};
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::route::{collection_by_id_path, records_path};

use super::folder::{Folder, Writer};
use super::positions::{Beginning, decided_end, is_whole_after};
use super::{Cluster, count, tail, tell};
use crate::failure::Failure;
use crate::progress::Progress;

/// A part of a collection's records ends after so much text.
const PART_BYTES: usize = 64 << 20;
/// An answer with records should not be larger, nor hold more.
const ANSWER_BYTES: usize = 4 << 20;
const MOST: usize = 1_000;

/// Returns what to tell.
pub(crate) async fn save(mut cluster: Cluster, path: &Path) -> Result<String, Failure> {
    let begun = Instant::now();
    let beginning = Beginning::of(&mut cluster).await?;
    // Only now: who tries again needs no other folder.
    let folder = Folder::create(path)?;
    let _alone = folder.lock()?;
    let names = cluster.archive.names().await?;
    let mut collections = Vec::new();
    let mut gone = Vec::new();
    for (at, (id, tenant, database, name)) in names.collections.iter().enumerate() {
        tell(&format!("collection {} of {}: {tenant}/{database}/{name}", at + 1, names.collections.len()));
        match copy(&cluster, &folder, *id, tenant, database).await? {
            Some(saved) => collections.push(saved),
            None => gone.push(*id),
        }
    }
    let end = decided_end(&mut cluster).await?;
    let from = beginning.from(&mut cluster).await?;
    is_deleted(&mut cluster, &gone).await?;
    let behind = |why| Failure::Later(format!("{why}; try again when every node that is up has caught up"));
    is_whole_after(&mut cluster, from, behind).await?;
    let records: u64 = collections.iter().map(|saved: &Saved| saved.records).sum();
    let mut manifest = Manifest {
        format: FORMAT,
        program: format!("chroma-ha {}", env!("CARGO_PKG_VERSION")),
        log: LogIdentity { id: beginning.marks.log, last_write: None },
        base: Base { from, through: end.head, at: end.at.clone(), names, collections },
        segments: Vec::new(),
    };
    tail::append(&mut cluster, &folder, &mut manifest, &end).await?;
    folder.finish(&manifest)?;
    Ok(format!(
        "{records} records of {} collections at position {} ({}), {} bytes, in {} s",
        manifest.base.collections.len(),
        end.head,
        end.at.text,
        manifest.files().map(|file| file.bytes).sum::<u64>(),
        begun.elapsed().as_secs()
    ))
}

/// What a balancer says is not there must be deleted in the log: it could be another cluster's balancer.
async fn is_deleted(cluster: &mut Cluster, gone: &[CollectionId]) -> Result<(), Failure> {
    let names = cluster.archive.names().await?;
    match names.collections.iter().find(|(id, ..)| gone.contains(id)) {
        None => Ok(()),
        Some((id, _, _, name)) => Err(Failure::Problem(format!(
            "the balancer does not have the collection {name} ({id}) of this database: DATABASE_URL and the \
             balancer's URL must belong together"
        ))),
    }
}

/// `None`: it was deleted meanwhile.
async fn copy(
    cluster: &Cluster,
    folder: &Folder,
    id: CollectionId,
    tenant: &str,
    database: &str,
) -> Result<Option<Saved>, Failure> {
    let balancer = &cluster.balancer;
    let described = balancer.described(&collection_by_id_path(tenant, database, id.0)).await?;
    let Some((_, described)) = described else { return Ok(None) };
    let path = records_path(tenant, database, id.0);
    let Some(ids) = balancer.ids(&path).await? else { return Ok(None) };
    let mut parts = Parts { folder, id, described, open: None, done: Vec::new(), records: 0 };
    let (mut rest, mut size) = (ids.as_slice(), 100);
    let mut progress = Progress::of_records();
    while !rest.is_empty() {
        let (page, left) = rest.split_at(size.min(rest.len()));
        rest = left;
        let Some(answer) = balancer.records(&path, page).await? else { return Ok(None) };
        size = (page.len() * ANSWER_BYTES / answer.len().max(1)).clamp(1, MOST);
        parts.write(&answer)?;
        let (done, total) = (ids.len() - rest.len(), ids.len());
        progress.tell(count(done), Some(count(total)), &format!("  {done} of {total} records"));
    }
    Ok(Some(parts.end()?))
}

/// The files of one collection.
struct Parts<'a> {
    folder: &'a Folder,
    id: CollectionId,
    described: Described,
    open: Option<Writer>,
    done: Vec<File>,
    records: u64,
}

impl Parts<'_> {
    fn write(&mut self, answer: &[u8]) -> Result<(), String> {
        let found = shown(answer)?;
        self.records += count(found.len());
        for record in found {
            let writer = match &mut self.open {
                Some(writer) => writer,
                None => {
                    let path = format!("records/{}-{:05}.jsonl.gz", self.id, self.done.len() + 1);
                    self.open.insert(self.folder.writer(&path)?)
                }
            };
            writer.line(&record.line().map_err(|error| error.to_string())?)?;
            if writer.plain() >= PART_BYTES
                && let Some(full) = self.open.take()
            {
                self.done.push(full.end()?);
            }
        }
        Ok(())
    }

    fn end(mut self) -> Result<Saved, String> {
        if let Some(last) = self.open.take() {
            self.done.push(last.end()?);
        }
        Ok(Saved { id: self.id, records: self.records, described: self.described, parts: self.done })
    }
}
