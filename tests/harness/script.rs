//! How do the clients in `tests/clients` fare against the balancer? Runs one with the Python of the
//! toolbox and shows all that it printed when it fails.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chroma_ha::dev::Launch;
use tokio::time::sleep;

use super::Place;

/// No client may hang for ever.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// What it printed; panics with that when it does not end with 0.
pub(crate) async fn run(place: &Place, python: PathBuf, name: &str, args: &[&str]) -> String {
    let log = place.join(&format!("{name}.txt"));
    let mut launch = Launch::new(python, &log).args([client(name)]).args(args);
    launch.without_env = vec!["CHROMA_", "PYTHON"];
    launch = launch.env("ANONYMIZED_TELEMETRY", "FALSE").env("PYTHONDONTWRITEBYTECODE", "1");
    let mut running = launch.start().unwrap_or_else(|reason| panic!("{name}: {reason}"));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.exit() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "{name} did not end in {PATIENCE:?}");
        sleep(Duration::from_millis(50)).await;
    };
    let printed = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(status.success(), "{name}: {status}\n{printed}");
    printed
}
