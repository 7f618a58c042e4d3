//! Is a backup whole? Every file's size and checksum, every line read, every count and position compared with
//! the manifest. It asks no server and changes nothing.

use std::path::Path;

use chroma_ha_core::backup::{File, Logged, Manifest, Stored};
use chroma_ha_core::ids::Seq;

use super::folder::Folder;

/// Returns what to tell.
pub(crate) fn check(path: &Path) -> Result<String, String> {
    let (folder, manifest) = Folder::open(path)?;
    whole(&folder, &manifest)?;
    Ok(format!(
        "{} files are as they were written; {} records of {} collections; {} can be restored",
        manifest.files().count(),
        manifest.base.collections.iter().map(|saved| saved.records).sum::<u64>(),
        manifest.base.collections.len(),
        manifest.span()
    ))
}

/// Checksums first, so that nothing is unpacked that was not written by us.
pub(super) fn whole(folder: &Folder, manifest: &Manifest) -> Result<(), String> {
    for file in manifest.files() {
        folder.check(file)?;
    }
    for saved in &manifest.base.collections {
        let mut records = 0;
        for part in &saved.parts {
            records += lines(folder, part, |line| Stored::parse(line).map(drop))?;
        }
        if records != saved.records {
            return Err(format!(
                "collection {} has {records} records instead of {}",
                saved.id, saved.records
            ));
        }
    }
    for segment in &manifest.segments {
        let Some(file) = &segment.file else { continue };
        let mut last = segment.after;
        lines(folder, file, |line| {
            let seq = parse(line)?.seq;
            let fits = last < seq && seq <= segment.through;
            last = seq;
            if fits { Ok(()) } else { Err(format!("entry {seq} is out of place")) }
        })?;
    }
    Ok(())
}

fn lines(
    folder: &Folder,
    file: &File,
    mut each: impl FnMut(&str) -> Result<(), String>,
) -> Result<u64, String> {
    let mut found = 0;
    folder
        .lines(file, |line| {
            found += 1;
            each(line)
        })
        .map_err(|error| format!("{}: {error}", file.path))?;
    if found != file.lines {
        return Err(format!("{} has {found} lines instead of {}", file.path, file.lines));
    }
    Ok(found)
}

pub(super) fn parse(line: &str) -> Result<Logged, String> {
    serde_json::from_str(line).map_err(|error| format!("a line of the log cannot be read: {error}"))
}

/// Entries of the log up to a position, in order.
pub(super) fn log(
    folder: &Folder,
    manifest: &Manifest,
    through: Seq,
    mut each: impl FnMut(Logged) -> Result<(), String>,
) -> Result<(), String> {
    for file in manifest.segments.iter().filter(|s| s.after < through).filter_map(|s| s.file.as_ref()) {
        folder.lines(file, |line| {
            let logged = parse(line)?;
            if logged.seq <= through { each(logged) } else { Ok(()) }
        })?;
    }
    Ok(())
}
