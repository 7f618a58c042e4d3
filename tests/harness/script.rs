//! How do clients in other languages fare against the balancer? Runs what is in `tests/clients` and in
//! `examples` with the Python and the Node.js of the toolbox, and shows all that it printed when it fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chroma_ha::dev::{Launch, Process};
use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::{Place, toolbox, until};

/// No client may hang for ever.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// What a client in Python printed; panics with that when it does not end with 0.
pub(crate) async fn run(place: &Place, python: PathBuf, name: &str, args: &[&str]) -> String {
    Script::start(place, python, &client(name), args, &[]).ended().await
}

/// Node.js, and where the script is that it shall run: beside the packages that the example's lock file pins.
pub(crate) async fn javascript(place: &Place, script: &Path) -> (PathBuf, PathBuf) {
    let (toolbox, project) = (toolbox(), example("javascript"));
    let node = toolbox.node().await.unwrap_or_else(|reason| panic!("{reason}"));
    let modules = toolbox.node_modules(&project).await.unwrap_or_else(|reason| panic!("{reason}"));
    let copy = place.join(&script.file_name().expect("a file").to_string_lossy());
    fs::copy(project.join("package.json"), place.join("package.json")).expect("a copy");
    fs::copy(script, &copy).expect("a copy of the script");
    symlink(modules, place.join("node_modules")).expect("a link");
    (node, copy)
}

/// One that runs.
pub(crate) struct Script {
    process: Process,
    name: String,
    printed: PathBuf,
}

impl Script {
    pub(crate) fn start(
        place: &Place,
        program: PathBuf,
        script: &Path,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let name = script.file_name().expect("a file").to_string_lossy().into_owned();
        let printed = place.join(&format!("{name}.txt"));
        let mut launch = Launch::new(program, &printed).args([script]).args(args);
        launch.without_env = vec!["CHROMA_", "PYTHON", "NODE_"];
        launch = launch.env("ANONYMIZED_TELEMETRY", "FALSE").env("PYTHONDONTWRITEBYTECODE", "1");
        for (name, value) in env {
            launch = launch.env(*name, *value);
        }
        let process = launch.start().unwrap_or_else(|reason| panic!("{name}: {reason}"));
        Self { process, name, printed }
    }

    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.printed).unwrap_or_default()
    }

    /// Until it has printed so many more lines with the word; it must not end before that.
    pub(crate) async fn prints(&mut self, more: usize, word: &str, deadline: Duration) {
        let lines = |text: &str| text.lines().filter(|line| line.contains(word)).count();
        let before = lines(&self.printed());
        let what = format!("{} prints {more} more lines with {word:?}", self.name);
        until(deadline, &what, async || {
            let ended = self.process.exit();
            assert!(ended.is_none(), "{} ended ({ended:?}):\n{}", self.name, self.printed());
            lines(&self.printed()) >= before + more
        })
        .await;
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&mut self) {
        self.process.signal(Signal::SIGINT);
    }

    /// All that it printed, once it has ended well.
    pub(crate) async fn ended(mut self) -> String {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.process.exit() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "{} did not end in {PATIENCE:?}", self.name);
            sleep(Duration::from_millis(50)).await;
        };
        assert!(status.success(), "{}: {status}\n{}", self.name, self.printed());
        self.printed()
    }
}
