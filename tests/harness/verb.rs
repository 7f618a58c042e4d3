//! A verb as a person types it: with these variables and no other, run to its end. It knows what no verb does.

use std::ffi::OsStr;
use std::process::{Output, Stdio};

use tokio::process::Command;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_chroma-ha");

/// Not run yet.
pub(crate) struct Verb(pub(crate) Command);

impl Verb {
    pub(crate) fn of(words: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(words).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        Self(command)
    }

    pub(crate) fn env(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.envs([(name, value)])
    }

    pub(crate) fn envs(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        self.0.envs(variables);
        self
    }

    pub(crate) async fn ended(self) -> Ended {
        Ended::of(self.0).await
    }
}

/// How it ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) async fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().await.expect("the program");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: status.code().expect("an end by itself"), out: text(stdout), err: text(stderr) }
    }

    /// On both outputs.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}
