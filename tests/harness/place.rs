//! Where a test keeps its files, and what is shown of them when it fails. `CHROMA_HA_KEEP=1` keeps
//! the folders of a run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

const TAIL: usize = 30;

/// A folder that others may look into (PostgreSQL does not run as root), removed at the end.
pub(crate) struct Place {
    folder: Option<TempDir>,
    path: PathBuf,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let mut builder = tempfile::Builder::new();
        let prefix = format!("chroma-ha-{name}-");
        builder.prefix(&prefix).permissions(Permissions::from_mode(0o755));
        let folder = builder.tempdir_in(super::shared::root()).expect("a folder for the test");
        Self { path: folder.path().to_owned(), folder: Some(folder) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in logs(&self.path) {
                eprintln!("--- the end of {} ---\n{}", log.display(), tail(&log));
            }
        }
        if keeps()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("kept: {}", folder.keep().display());
        }
    }
}

pub(crate) fn keeps() -> bool {
    std::env::var_os("CHROMA_HA_KEEP").is_some_and(|value| value != "0")
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "data") {
            found.extend(logs(&path));
        } else if path.extension().is_some_and(|end| end == "log") {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    // Chroma greets with a coloured picture.
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.contains('\u{1b}')).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
