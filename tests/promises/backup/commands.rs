//! The verbs of backups as an operator runs them: exit code, and what was told.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::Stack;

pub(crate) struct Said {
    code: Option<i32>,
    pub(crate) told: String,
}

impl Said {
    pub(crate) fn fine(&self) {
        assert_eq!(self.code, Some(0), "{}", self.told);
    }

    /// With a problem of which one line tells this.
    pub(crate) fn refused(&self, why: &str) {
        self.ended(1, why);
    }

    /// With this code and such a line.
    pub(crate) fn ended(&self, code: i32, why: &str) {
        assert_eq!(self.code, Some(code), "{}", self.told);
        let last = self.told.lines().last().unwrap_or_default();
        assert!(!last.is_empty() && last.contains(why), "`{why}` is not in: {}", self.told);
    }
}

/// The verb as it is typed, not yet run.
pub(crate) fn command(url: &str, database_url: &str, verb: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chroma-ha"));
    command.arg(verb[0]).arg(folder).args(&verb[1..]).stdin(Stdio::null()).kill_on_drop(true);
    if verb[0] != "backup-verify" {
        command.args(["--url", url]).env("DATABASE_URL", database_url);
    }
    command
}

pub(crate) async fn ended(mut command: Command) -> Said {
    let output = command.output().await.expect("the program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), told: text(&output.stdout) + &text(&output.stderr) }
}

pub(crate) async fn said(url: &str, database_url: &str, verb: &[&str], folder: &Path) -> Said {
    ended(command(url, database_url, verb, folder)).await
}

pub(crate) async fn run(stack: &Stack, verb: &[&str], folder: &Path) -> Said {
    said(&stack.url(), &stack.database_url, verb, folder).await
}

pub(crate) async fn backup(stack: &Stack, folder: &Path) -> Said {
    run(stack, &["backup"], folder).await
}

pub(crate) async fn restore(stack: &Stack, folder: &Path, arguments: &[&str]) -> Said {
    run(stack, &[&["restore"], arguments].concat(), folder).await
}

pub(crate) fn manifest(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    serde_json::from_str::<Value>(&text).expect("JSON")["manifest"].clone()
}
