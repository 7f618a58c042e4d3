//! How a child process is kept from outliving its owner, whatever ends the owner: stop, panic or
//! kill -9. Each child is the leader of a process group of its own that also holds a small shell;
//! the shell waits for the end of a pipe that only the owner holds open, and then ends the group.
//! It does not know what the child is, when it is ready or whether it should run again.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Account;

/// `$$` stays the child's process id: the shell becomes the child by `exec`. While the watcher
/// lives, the number of its group cannot be given to another process, so it never hits a stranger.
/// Of all ways to name a group, `kill -9 -$$` is the one that every shell understands.
const WATCH: &str = r#"
signal=$1 grace=$2
shift 2
exec 3<&0 </dev/null
( {
  trap '' HUP INT TERM QUIT
  while read -r _ <&3; do :; done
  kill -s "$signal" $$
  while [ "$grace" -gt 0 ] && kill -0 $$; do sleep 1; grace=$((grace - 1)); done
  kill -9 -$$
} >/dev/null 2>&1 & )
exec 3<&-
exec "$@"
"#;

/// How often an exit is looked for.
const POLL: Duration = Duration::from_millis(10);

/// What to start, and how it is ended when its owner goes.
#[derive(Debug)]
pub struct Launch {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(String, String)>,
    /// Variables that start with one of these are kept from the child.
    pub without_env: Vec<&'static str>,
    pub folder: PathBuf,
    pub account: Option<Account>,
    /// Both outputs are appended here.
    pub log: PathBuf,
    pub parting: Signal,
    /// From the parting signal to SIGKILL, in whole seconds.
    pub grace: Duration,
}

impl Launch {
    /// In the folder `/`, as the current user, ended by SIGKILL.
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            without_env: Vec::new(),
            folder: PathBuf::from("/"),
            account: None,
            log: log.into(),
            parting: Signal::SIGKILL,
            grace: Duration::ZERO,
        }
    }

    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn start(self) -> io::Result<Process> {
        let mut command = self.command()?;
        let mut child = command.spawn()?;
        let life = child.stdin.take();
        let group = i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)?;
        Ok(Process { child, group, life, parting: self.parting, grace: self.grace, ended: None })
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(WATCH).arg("chroma-ha-guard");
        command.arg(self.parting.as_str().trim_start_matches("SIG"));
        command.arg(self.grace.as_secs().to_string());
        command.arg(&self.program).args(&self.args);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if self.without_env.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.folder).process_group(0).stdin(Stdio::piped());
        let log = File::options().create(true).append(true).open(&self.log)?;
        command.stdout(log.try_clone()?).stderr(log);
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid).env("HOME", &self.folder);
        }
        Ok(command)
    }
}

/// A running child, or one that has ended. Dropping it ends it and waits for that.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
    life: Option<ChildStdin>,
    parting: Signal,
    grace: Duration,
    ended: Option<ExitStatus>,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `None` while it runs.
    pub fn exit(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            // The watcher still holds the number of the group here, so nobody else is hit.
            self.ended = self.child.try_wait().ok().flatten();
            if self.ended.is_some() {
                let _gone = killpg(self.group, Signal::SIGKILL);
                self.life = None;
            }
        }
        self.ended
    }

    /// To the child alone; what it started itself ends with it, see `kill9`.
    pub fn signal(&mut self, signal: Signal) {
        if self.exit().is_none() {
            let _gone = nix::sys::signal::kill(self.group, signal);
        }
    }

    pub async fn wait(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.exit() {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks with `signal`, and insists with SIGKILL after `patience`.
    pub async fn stop(&mut self, signal: Signal, patience: Duration) {
        self.signal(signal);
        // A paused process would not hear the signal.
        self.signal(Signal::SIGCONT);
        if tokio::time::timeout(patience, self.wait()).await.is_err() {
            self.kill9();
        }
    }

    /// SIGKILL to the whole group; the child is gone when this returns.
    pub fn kill9(&mut self) {
        if self.exit().is_none() {
            let _gone = killpg(self.group, Signal::SIGKILL);
            self.ended = self.child.wait().ok();
            self.life = None;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.parting != Signal::SIGKILL {
            self.signal(self.parting);
            self.signal(Signal::SIGCONT);
            let begun = Instant::now();
            while self.exit().is_none() && begun.elapsed() < self.grace {
                thread::sleep(POLL);
            }
        }
        self.kill9();
    }
}

/// The last line of a log that says something, for an error.
pub(super) fn last_line(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("it said nothing").to_owned()
}
