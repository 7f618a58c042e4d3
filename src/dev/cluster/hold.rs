//! Who uses a data folder: one `chroma-ha dev` at a time. The operating system releases the hold
//! when its owner dies; a mark left in the file then tells that the end was not clean.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::super::error::At;
use super::super::{Error, Result};

/// Servers whose owner was killed are ended by their watchers; their ports are free by then.
const FORMER_GONE_IN: Duration = Duration::from_secs(8);

const POLL: Duration = Duration::from_millis(100);

/// Holds the folder as long as it lives.
#[derive(Debug)]
pub(super) struct Hold {
    path: PathBuf,
    file: File,
    former_was_killed: bool,
}

impl Hold {
    pub(super) fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).at(folder, "making the folder")?;
        let path = folder.join("dev.lock");
        let mut options = File::options();
        let mut file = options.create(true).append(true).open(&path).at(&path, "opening the lock")?;
        let mark = fs::read_to_string(&path).unwrap_or_default();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { folder: folder.to_owned(), holder: mark.trim().to_owned() });
            }
            Err(TryLockError::Error(reason)) => return Err(reason).at(&path, "locking"),
        }
        file.set_len(0).at(&path, "writing")?;
        writeln!(file, "{}", std::process::id()).at(&path, "writing")?;
        Ok(Self { path, file, former_was_killed: !mark.is_empty() })
    }

    /// Returns at once after a clean end, and as soon as `ready` after another.
    pub(super) async fn wait_for_former_owner(&self, ready: impl Fn() -> bool) {
        let begun = Instant::now();
        while self.former_was_killed && !ready() && begun.elapsed() < FORMER_GONE_IN {
            sleep(POLL).await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Err(reason) = self.file.set_len(0) {
            tracing::warn!(path = %self.path.display(), %reason, "the mark in the lock file stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_and_a_killed_one_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let first = Hold::take(folder.path()).unwrap();
        let told = Hold::take(folder.path()).unwrap_err().to_string();
        assert!(told.contains(&std::process::id().to_string()) && told.contains("--data"), "{told}");
        drop(first);
        assert!(!Hold::take(folder.path()).unwrap().former_was_killed);
        fs::write(folder.path().join("dev.lock"), "1\n").unwrap();
        assert!(Hold::take(folder.path()).unwrap().former_was_killed);
    }
}
