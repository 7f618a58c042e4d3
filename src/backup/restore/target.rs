//! Which position is meant? The end of the backup, a position, a time, or just before a write. It refuses what
//! the backup does not reach, and says what it does.

use std::collections::HashSet;

use chroma_ha_core::backup::{Logged, Manifest};
use chroma_ha_core::entry::Op;
use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::port::StoreError;

use super::super::folder::Folder;
use super::super::{Cluster, check};
use super::Work;
use crate::failure::Failure;

/// What is asked for.
pub(crate) enum When {
    End,
    Position(u64),
    /// As PostgreSQL understands times; UTC where it names no zone.
    Time(String),
    /// The position before this write.
    BeforeWrite(String),
}

pub(super) async fn resolve(
    cluster: &mut Cluster,
    folder: &Folder,
    manifest: &Manifest,
    when: &When,
) -> Result<Seq, Failure> {
    let target = match when {
        When::End => manifest.through(),
        When::Position(position) => Seq(*position),
        When::Time(text) => {
            let ms = cluster.archive.moment(text).await.map_err(|error| match error {
                StoreError::Refused(_) => Failure::Usage(format!("--to-time: {error}")),
                _ => error.into(),
            })?;
            at(folder, manifest, ms, text)?
        }
        When::BeforeWrite(write) => match written(folder, manifest, write)? {
            Some(logged) => logged.seq.prev(),
            None => {
                return Err(Failure::Problem(format!(
                    "the saved log has no write {write}; if it is later, save the log first: chroma-ha backup-log; \
                     the backup holds {}",
                    manifest.span()
                )));
            }
        },
    };
    if target < manifest.base.through || target > manifest.through() {
        let why = format!("position {target} cannot be restored; the backup holds {}", manifest.span());
        return Err(Failure::Problem(why));
    }
    Ok(target)
}

/// The last position before anything was logged after that time.
fn at(folder: &Folder, manifest: &Manifest, ms: u64, text: &str) -> Result<Seq, String> {
    if ms < manifest.base.at.ms || ms > manifest.until().ms {
        return Err(format!("{text} cannot be restored; the backup holds {}", manifest.span()));
    }
    let mut target = manifest.through();
    check::log(folder, manifest, manifest.through(), |logged| {
        if logged.seq > manifest.base.through && logged.at_ms > ms && logged.seq <= target {
            target = logged.seq.prev();
        }
        Ok(())
    })?;
    Ok(target)
}

fn written(folder: &Folder, manifest: &Manifest, write: &str) -> Result<Option<Logged>, String> {
    let mut found = None;
    check::log(folder, manifest, manifest.through(), |logged| {
        if logged.write_id == write {
            found = Some(logged);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The records that the named write deleted, if a delete was named: nothing else is put back then.
pub(super) fn deleted_by(
    work: &Work,
    when: &When,
    from: CollectionId,
) -> Result<Option<HashSet<String>>, String> {
    let When::BeforeWrite(write) = when else { return Ok(None) };
    let logged = written(&work.folder, &work.manifest, write)?;
    let deletion = logged.filter(|logged| logged.op == Op::Delete && logged.is_accepted());
    if deletion.as_ref().is_some_and(|logged| logged.collection() != Some(from)) {
        return Err(format!(
            "write {write} deleted records of another collection; name that one in --collection"
        ));
    }
    deletion.map(|logged| Ok(logged.touched()?.into_iter().collect())).transpose()
}
