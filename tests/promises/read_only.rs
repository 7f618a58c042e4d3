//! Does the balancer run where no file can be written, as in a container with a read-only root file system?
//! A mount namespace of its own stands for the container; where none can be made the test says so and passes.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::surface::{create, upsert};
use crate::harness::{Options, Stack, get};

const UNSHARE: [&str; 5] = ["unshare", "--map-root-user", "--mount", "sh", "-c"];

/// The program gets its turn only where an attempt to write has failed.
const READ_ONLY: &str = r#"mount -o remount,bind,ro / && ! touch /written 2>/dev/null && exec "$@""#;

fn can_be_made() -> bool {
    let mut unshare = Command::new(UNSHARE[0]);
    unshare.args(&UNSHARE[1..]).args([READ_ONLY, "sh", "true"]).stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn nothing_need_be_written_to_start_to_serve_and_to_stop() {
    if !can_be_made() {
        eprintln!("no mount namespace can be made here: a read-only root file system was not tried");
        return;
    }
    let mut stack = Stack::start(Options { nodes: 1, ..Options::default() }).await;
    stack.balancer.stop().await;
    stack.balancer.run_under(&[&UNSHARE[..], &[READ_ONLY, "sh"]].concat());
    stack.balancer.start_again().await;
    let notes = create(&stack.url(), "notes").await;
    upsert(&stack.url(), &notes, "a", "kept").await;
    assert_eq!(get(&format!("{}/status", stack.url())).await.1["write_ahead_log"]["head"], json!(2));
    stack.balancer.stop().await;
    let log = stack.balancer.log();
    assert!(!log.contains("Read-only file system") && !log.contains("panic"), "{log}");
}
