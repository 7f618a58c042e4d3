//! What does the balancer say about itself? One figure at a time, as an operator reads it.

use std::time::Duration;

use serde_json::Value;

use super::nodes::until;
use super::{Stack, get};

/// For anything that happens by itself once faults have ended; a busy machine takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) async fn status(stack: &Stack) -> Value {
    get(&format!("{}/status", stack.url())).await.1
}

/// Of one node: "up", "down", ...
pub(crate) async fn state(stack: &Stack, node: &str) -> String {
    let status = status(stack).await;
    let found = status["nodes"].as_array().into_iter().flatten().find(|shown| shown["name"] == node);
    found.and_then(|shown| shown["state"].as_str()).unwrap_or_default().to_owned()
}

pub(crate) async fn until_all_up(stack: &Stack) {
    let up =
        |status: &Value| status["nodes"].as_array().is_some_and(|all| all.iter().all(|n| n["state"] == "up"));
    until(PATIENCE, "every node is up", async || up(&status(stack).await)).await;
}

/// Entries in the log that some node has not applied.
pub(crate) async fn pending(stack: &Stack) -> u64 {
    status(stack).await["write_ahead_log"]["pending_writes"].as_u64().expect("a number")
}

/// Entries that a node applied in a role, "acting" or "following".
pub(crate) async fn applied(stack: &Stack, role: &str, node: &str) -> f64 {
    let (_, stats) = get(&format!("{}/wal/stats", stack.url())).await;
    let counters = stats["chroma_ha_applied_total"].as_array().into_iter().flatten();
    let mut ours = counters.filter(|c| c["labels"]["role"] == role && c["labels"]["node"] == node);
    ours.next().and_then(|counter| counter["value"].as_f64()).unwrap_or_default()
}
