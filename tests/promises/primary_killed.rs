//! Does anybody notice when the primary is killed? Not the clients: every request is answered; and
//! the primary comes back by itself, to everything it missed and to its role.

use std::time::Instant;

use crate::harness::stack::Options;
use crate::harness::status::{PATIENCE, applied, state};
use crate::harness::{Load, Stack, until};

#[tokio::test]
async fn no_request_fails_when_the_primary_is_killed_and_it_returns_to_its_role() {
    let mut stack = Stack::start(Options::default()).await;
    let load = Load::start(&stack.url(), 16, 4).await;
    load.a_round(PATIENCE).await;
    let begun = Instant::now();
    stack.primary().kill9();
    load.a_round(PATIENCE).await;
    load.print_gap("primary killed", begun);
    until(PATIENCE, "the primary is seen to be down", async || state(&stack, "primary").await == "down")
        .await;
    assert!(applied(&stack, "acting", "replica-1").await > 0.0);
    load.a_round(PATIENCE).await;
    stack.primary().start_again().await.expect("a second start");
    let before = applied(&stack, "acting", "primary").await;
    until(PATIENCE, "the primary is up under load", async || state(&stack, "primary").await == "up").await;
    until(PATIENCE, "the primary acts again under load", async || {
        applied(&stack, "acting", "primary").await > before + 16.0
    })
    .await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}
