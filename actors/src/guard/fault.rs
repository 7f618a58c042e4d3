//! Faults for tests, armed from outside of the process: a file named like an actor (`wal`), or like its
//! tasks (`wal task`), in the folder that `CHROMA_HA_FAULTS` names, strikes the next time that it works.
//! The file says how: `panic` and `stop` strike once and remove it; `hang` lasts as long as it is there. A
//! task only panics.

use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::watched::{Blow, Watched};

const _: () = assert!(cfg!(debug_assertions), "faults are for builds that nobody runs in earnest");

static FOLDER: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("CHROMA_HA_FAULTS").map(PathBuf::from));

/// What an actor that is named so meets now.
pub(super) fn strike(watched: &Watched) {
    let Some(folder) = FOLDER.as_deref() else { return };
    match armed(&folder.join(&watched.name)).as_deref() {
        Some("stop") => watched.strike(Blow::Stop),
        Some("panic") => panic!("a fault for a test"),
        _ => {}
    }
}

/// The same in the middle of a task: not before it had to wait.
pub(super) async fn within<T>(watched: Arc<Watched>, task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    let mut begun = false;
    poll_fn(|cx| {
        let struck = || {
            let file = FOLDER.as_deref()?.join(format!("{} task", watched.name));
            armed(&file)
        };
        if std::mem::replace(&mut begun, true) && struck().as_deref() == Some("panic") {
            panic!("a fault for a test, in a task");
        }
        task.as_mut().poll(cx)
    })
    .await
}

/// Disarms it, or waits for that.
fn armed(file: &Path) -> Option<String> {
    let fate = std::fs::read_to_string(file).ok()?;
    if fate == "hang" {
        while file.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
    } else {
        std::fs::remove_file(file).ok()?;
    }
    Some(fate)
}
