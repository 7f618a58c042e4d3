//! How is an actor of a running balancer made to fail? By a file in a folder that builds with debug
//! assertions look into. It knows the actors by name and nothing else of them.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::status::{PATIENCE, status};
use super::{Options, Stack, until};

pub(crate) struct Faults {
    folder: TempDir,
}

impl Faults {
    pub(crate) fn unarmed() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn env(&self, options: Options) -> Options {
        options.env("CHROMA_HA_FAULTS", self.folder.path().to_str().expect("a path"))
    }

    fn file(&self, victim: &str) -> PathBuf {
        self.folder.path().join(victim)
    }

    /// `victim` is an actor, or `<actor> task`; `fate` is `panic`, `stop` or `hang`.
    pub(crate) fn arm(&self, victim: &str, fate: &str) {
        let whole = self.folder.path().join(".whole");
        fs::write(&whole, fate).expect("a file");
        fs::rename(whole, self.file(victim)).expect("its name");
    }

    pub(crate) fn is_armed(&self, victim: &str) -> bool {
        self.file(victim).exists()
    }

    /// Whoever hangs goes on.
    pub(crate) fn disarm(&self, victim: &str) {
        fs::remove_file(self.file(victim)).expect("a fault");
    }

    /// Until the actor has met it, was restarted and is heard again.
    pub(crate) async fn strike(&self, stack: &Stack, actor: &str, fate: &str) {
        self.strike_in(stack, actor, actor, fate).await;
    }

    pub(crate) async fn strike_task(&self, stack: &Stack, actor: &str) {
        self.strike_in(stack, actor, &format!("{actor} task"), "panic").await;
    }

    async fn strike_in(&self, stack: &Stack, actor: &str, victim: &str, fate: &str) {
        let restarts = async || {
            let row = row(stack, actor).await;
            let counts = ["restarts_after_panic", "restarts_after_stop", "errors"];
            counts.map(|count| row[count].as_u64().unwrap_or_else(|| panic!("{actor} is gone for good")))
        };
        let before = restarts().await;
        self.arm(victim, fate);
        until(PATIENCE, &format!("{victim} meets a {fate}"), async || !self.is_armed(victim)).await;
        until(PATIENCE, &format!("the {fate} of {victim} is counted"), async || restarts().await != before)
            .await;
        until(PATIENCE, &format!("{actor} runs"), async || is_heard(stack, actor).await).await;
    }
}

/// What `/status` says of one actor; null if it is not there.
pub(crate) async fn row(stack: &Stack, actor: &str) -> serde_json::Value {
    let page = status(stack).await;
    let mut rows = page["actors"].as_array().into_iter().flatten();
    rows.find(|row| row["name"] == actor).cloned().unwrap_or_default()
}

/// It runs, and answered a moment ago.
async fn is_heard(stack: &Stack, actor: &str) -> bool {
    let row = row(stack, actor).await;
    row["state"] == "running" && row["last_heard_ms"].as_u64().is_some_and(|ms| ms < 500)
}
