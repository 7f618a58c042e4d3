//! Does anybody notice when a replica is killed? Not the clients: reads under way on it move on, every
//! request is answered; and the replica comes back by itself to everything it missed.

use std::time::Instant;

use crate::harness::stack::Options;
use crate::harness::status::{PATIENCE, applied, state};
use crate::harness::{Load, Stack, until};

#[tokio::test]
async fn no_request_fails_when_the_replica_is_killed_and_it_catches_up() {
    let mut stack = Stack::start(Options::default()).await;
    let load = Load::start(&stack.url(), 16, 8).await;
    load.a_round(PATIENCE).await;
    let begun = Instant::now();
    stack.replica().kill9();
    load.a_round(PATIENCE).await;
    load.print_gap("replica killed", begun);
    until(PATIENCE, "the replica is seen to be down", async || state(&stack, "replica-1").await == "down")
        .await;
    load.a_round(PATIENCE).await;
    stack.replica().start_again().await.expect("a second start");
    let before = applied(&stack, "following", "replica-1").await;
    until(PATIENCE, "the replica is up under load", async || state(&stack, "replica-1").await == "up").await;
    until(PATIENCE, "the replica follows again under load", async || {
        applied(&stack, "following", "replica-1").await > before + 16.0
    })
    .await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}
