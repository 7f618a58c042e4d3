//! What does a short-lived program say? Its whole output, for probing what is installed. It is not
//! for anything that runs long or must be ended: that is `process`.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// A probe that takes longer than this has hung (a shim waiting for input, a dead network mount).
const PATIENCE: Duration = Duration::from_secs(20);

/// Standard output of a program that ended well; else the last line that it complained with.
pub(super) async fn output(program: &Path, args: &[&str]) -> Result<String, String> {
    output_within(PATIENCE, program, args).await
}

/// The same for a program that has work to do.
pub(super) async fn output_within(
    patience: Duration,
    program: &Path,
    args: &[&str],
) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(args).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let done = match timeout(patience, command.output()).await {
        Err(_) => return Err(format!("no answer in {} s", patience.as_secs())),
        Ok(Err(reason)) => return Err(reason.to_string()),
        Ok(Ok(done)) => done,
    };
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&done.stderr);
    let last = complaint.lines().rev().map(str::trim).find(|line| !line.is_empty());
    Err(last.map_or_else(|| done.status.to_string(), str::to_owned))
}
