//! What lies in the folder of a PostgreSQL server of ours: made by which version, left behind by
//! whom. It removes nothing but a lock file that no living server holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::sleep;

use super::super::error::At;
use super::super::{Result, command};
use super::{Error, Postgres};

const POLL: Duration = Duration::from_millis(50);

/// A server whose owner was killed is ended by its watcher well within this time.
const GONE_IN: Duration = Duration::from_secs(10);

pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// The major version that made the data; `None` when there is no data yet.
pub(super) fn made_by(folder: &Path) -> Option<u32> {
    let version = fs::read_to_string(data(folder).join("PG_VERSION")).ok()?;
    version.trim().parse().ok()
}

impl Postgres {
    /// Makes the data beside its place and moves it there, so that half-made data is never used.
    pub(super) async fn initialise(&mut self) -> Result<()> {
        let part = self.folder.join("data-part");
        if part.exists() {
            fs::remove_dir_all(&part).at(&part, "removing half-made data")?;
        }
        let launch =
            self.tool("initdb").args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"]);
        let started = launch.args([part.as_path()]).start();
        let status = started.at(&self.binaries.folder, "starting initdb")?.wait().await;
        if !status.success() {
            return Err(self.failed(reason(&self.log)));
        }
        let data = self.data();
        fs::rename(&part, &data).at(&data, "moving the new data")
    }
}

/// The last complaint in the log, for an error.
pub(super) fn reason(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let complaint =
        |line: &&str| ["FATAL:", "PANIC:", "ERROR:", "error:"].iter().any(|word| line.contains(word));
    let line = text.lines().rev().take(20).find(complaint);
    line.map_or_else(|| super::last_line(log), |line| line.trim().to_owned())
}

/// PostgreSQL takes any living process with the number in its lock file for itself. A server that
/// still runs on this data is ended; a number that belongs to somebody else is forgotten.
pub(super) async fn clear_stale_lock(data: &Path) -> Result<()> {
    let lock = data.join("postmaster.pid");
    let begun = Instant::now();
    while let Some(pid) = holder(&lock) {
        if !is_server(pid, data).await {
            return fs::remove_file(&lock).at(&lock, "removing the lock of a server that is gone");
        }
        if begun.elapsed() > GONE_IN {
            let reason = format!("process {pid} still runs on this data");
            return Err(Error::Start { name: "PostgreSQL".to_owned(), reason, log: lock });
        }
        let _gone = kill(Pid::from_raw(pid), Signal::SIGINT);
        sleep(POLL).await;
    }
    Ok(())
}

fn holder(lock: &Path) -> Option<i32> {
    let text = fs::read_to_string(lock).ok()?;
    text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 0)
}

async fn is_server(pid: i32, data: &Path) -> bool {
    let words = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(words) => String::from_utf8_lossy(&words).into_owned(),
        Err(_) if Path::new("/proc/self").exists() => return false,
        Err(_) => {
            let said = command::output(Path::new("ps"), &["-o", "command=", "-p", &pid.to_string()]).await;
            said.unwrap_or_default()
        }
    };
    words.contains("postgres") && words.contains(&*data.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_lock_of_a_stranger_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("postmaster.pid");
        fs::write(&lock, format!("{}\n/elsewhere\n", std::process::id())).unwrap();
        clear_stale_lock(folder.path()).await.unwrap();
        assert!(!lock.exists());
        clear_stale_lock(folder.path()).await.unwrap();
    }

    #[test]
    fn a_failure_is_told_by_its_complaint() {
        let log = tempfile::NamedTempFile::new().unwrap();
        fs::write(log.path(), "LOG:  starting\nFATAL:  could not bind\nLOG:  database system is shut down\n")
            .unwrap();
        assert_eq!(reason(log.path()), "FATAL:  could not bind");
    }
}
