//! Which release of the Chroma server is started, and how. The pinned one is as users have it, beside its client; of
//! another one only what its server needs is installed. It starts nothing.

use std::path::{Path, PathBuf};

use super::process::Launch;
use super::toolbox::CHROMA_PIN;
use super::{Result, Toolbox};

/// The server in Python; the newest of what it is made of that it was seen to run with.
const IN_PYTHON: &str = "chromadb==0.6.3 numpy==1.26.4 fastapi==0.115.14 uvicorn==0.34.3 pydantic==2.11.10 posthog==3.25.0 \
     opentelemetry-instrumentation-fastapi==0.57b0";

/// What the program `chroma` does, without the imports that only its client needs.
const ENTRY: &str = "import sys, chromadb_rust_bindings; chromadb_rust_bindings.cli(sys.argv)";

/// How a server of a release is started.
#[derive(Clone, Debug)]
pub(super) enum Server {
    /// 1.0.0 and later, with its client: the program `chroma`, which reads its settings from a file.
    Whole(PathBuf),
    /// 1.0.0 and later, alone: the same, from a Python that has nothing else.
    Alone(PathBuf),
    /// Before 1.0.0: the program `chroma`, which takes its settings as options.
    Old(PathBuf),
}

impl Toolbox {
    /// The pinned server, installed if it is not there yet.
    pub async fn chroma(&self) -> Result<()> {
        self.server(None).await.map(drop)
    }

    /// A version such as "1.0.0"; the pinned one if not given.
    pub(super) async fn server(&self, release: Option<&str>) -> Result<Server> {
        let pin = release.map_or_else(|| CHROMA_PIN.to_owned(), |version| format!("chromadb=={version}"));
        if pin == CHROMA_PIN {
            return Ok(Server::Whole(self.environment(CHROMA_PIN).await?.join("bin/chroma")));
        }
        if IN_PYTHON.starts_with(&pin) {
            return Ok(Server::Old(self.environment(IN_PYTHON).await?.join("bin/chroma")));
        }
        let name = format!("{}-server", pin.replace("==", "-"));
        let environment = self.environment_in(&name, &format!("{pin} --no-deps")).await?;
        Ok(Server::Alone(environment.join("bin/python")))
    }
}

impl Server {
    pub(super) fn program(&self) -> &Path {
        let (Self::Whole(program) | Self::Alone(program) | Self::Old(program)) = self;
        program
    }

    /// `config` names the same data and port as the options.
    pub(super) fn launch(&self, log: PathBuf, config: &Path, data: &Path, port: u16) -> Launch {
        let launch = Launch::new(self.program(), log);
        match self {
            Self::Whole(_) => launch.args(["run"]).args([config]),
            Self::Alone(_) => launch.args(["-c", ENTRY, "run"]).args([config]),
            Self::Old(_) => {
                let launch = launch.args(["run", "--host", "127.0.0.1", "--port", &port.to_string()]);
                launch.args(["--path"]).args([data])
            }
        }
    }
}
