//! Does anybody notice when a node hangs with its connections open? Not the clients: what was under way
//! there moves on. When it wakes up it runs what is still in its sockets, late, and must end equal.

use std::time::Instant;

use crate::harness::stack::Options;
use crate::harness::status::{PATIENCE, applied, state};
use crate::harness::{Load, Stack, until};

async fn hang_and_wake(node: usize, name: &str) {
    let mut stack = Stack::start(Options::default()).await;
    let load = Load::start(&stack.url(), 16, 8).await;
    load.a_round(PATIENCE).await;
    let begun = Instant::now();
    stack.nodes[node].sigstop();
    load.a_round(PATIENCE).await;
    load.print_gap(&format!("{name} hung"), begun);
    until(PATIENCE, "the node is seen to be down", async || state(&stack, name).await == "down").await;
    load.a_round(PATIENCE).await;
    let role = if node == 0 { "acting" } else { "following" };
    let before = applied(&stack, role, name).await;
    stack.nodes[node].sigcont();
    until(PATIENCE, "the node is up under load", async || state(&stack, name).await == "up").await;
    until(PATIENCE, "the node has its role again under load", async || {
        applied(&stack, role, name).await > before + 16.0
    })
    .await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn no_request_fails_when_the_primary_hangs_and_late_writes_change_nothing() {
    hang_and_wake(0, "primary").await;
}

#[tokio::test]
async fn no_request_fails_when_the_replica_hangs_and_reads_move_on() {
    hang_and_wake(1, "replica-1").await;
}
