//! Is a large collection brought onto an emptied node while it is written and deleted from, without a
//! client noticing, whatever is killed in the middle? `CHROMA_HA_REBUILD_RECORDS` sets its size.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::status::{PATIENCE, pending, state, status};
use crate::harness::{Churn, Options, Stack, until};

const DIMENSIONS: usize = 384;
const WRITERS: usize = 4;

/// How many records the collection has.
fn size() -> usize {
    let wanted = std::env::var("CHROMA_HA_REBUILD_RECORDS").ok();
    wanted.map_or(3_000, |text| text.parse().expect("CHROMA_HA_REBUILD_RECORDS is a number"))
}

/// A hundred records a second is slow even for a busy machine.
fn patience(records: usize) -> Duration {
    PATIENCE + Duration::from_secs(records as u64 / 100)
}

/// What the balancer shows of the copy onto this node.
async fn copying(stack: &Stack, node: usize) -> Value {
    status(stack).await["nodes"][node]["copying"].clone()
}

async fn is_filled(stack: &Stack, deadline: Duration) {
    until(deadline, "every node has everything", async || {
        state(stack, "replica-1").await == "up" && pending(stack).await == 0
    })
    .await;
}

/// After a copy was seen: until nothing is left to be copied. What was written meanwhile is still replayed.
async fn is_copied(stack: &Stack, node: usize, deadline: Duration) {
    until(deadline, "nothing is left to be copied", async || {
        let shown = &status(stack).await["nodes"][node];
        shown["copying"].is_null() && shown["quarantined_collections"] == 0
    })
    .await;
}

#[tokio::test]
async fn an_emptied_replica_is_rebuilt_under_load_and_no_request_fails() {
    let records = size();
    let mut stack = Stack::start(Options::default()).await;
    let mut churn = Churn::filled(&stack, "large", records, DIMENSIONS).await;
    is_filled(&stack, patience(records)).await;
    stack.replica().wipe().unwrap();
    stack.replica().start_again().await.unwrap();
    let begun = Instant::now();
    churn.start(WRITERS);
    let mut last = Value::Null;
    until(patience(records), "the copy is shown with its rate and the time it takes", async || {
        let shown = copying(&stack, 1).await;
        let told = ["records_per_second", "remaining_seconds"]
            .iter()
            .all(|field| shown[*field].as_f64() > Some(0.0));
        let whole = shown["total"].as_u64() >= Some(records as u64 / 2) && shown["collections_total"] == 1;
        if told {
            last = shown;
        }
        told && whole
    })
    .await;
    let before = churn.writes();
    is_copied(&stack, 1, patience(records)).await;
    let seconds = begun.elapsed().as_secs_f64();
    let during = churn.writes();
    println!(
        "{records} records of {DIMENSIONS} dimensions copied in {seconds:.1} s under load, {during} writes meanwhile; shown: {last}"
    );
    assert!(during > before, "the load went on");
    churn.end(&stack, patience(records)).await;
}

/// Until records are being written to the node by a copy.
async fn is_in_the_middle(stack: &Stack, node: usize) {
    until(PATIENCE, "a copy is in the middle", async || {
        let shown = copying(stack, node).await;
        let done = shown["done"].as_u64().unwrap_or_default();
        done > 0 && done < shown["total"].as_u64().unwrap_or_default()
    })
    .await;
}

#[tokio::test]
async fn whatever_is_killed_in_the_middle_of_a_copy_the_nodes_become_equal() {
    const RECORDS: usize = 3_000;
    let mut stack = Stack::start(Options::default()).await;
    let mut churn = Churn::filled(&stack, "large", RECORDS, DIMENSIONS).await.patient();
    is_filled(&stack, PATIENCE).await;
    stack.replica().wipe().unwrap();
    stack.replica().start_again().await.unwrap();
    churn.start(WRITERS);
    is_in_the_middle(&stack, 1).await;
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    is_in_the_middle(&stack, 1).await;
    stack.replica().kill9();
    stack.replica().start_again().await.unwrap();
    is_in_the_middle(&stack, 1).await;
    stack.primary().kill9();
    stack.primary().start_again().await.unwrap();
    is_in_the_middle(&stack, 1).await;
    is_copied(&stack, 1, PATIENCE).await;
    let log = stack.balancer.log();
    let resumed = log.lines().filter(|line| line.contains("goes on where it broke off")).count();
    assert!(resumed > 0, "a copy that broke off begins where it ended");
    let writes = churn.writes();
    until(PATIENCE, "the load went on", async || churn.writes() > writes + 10).await;
    churn.end(&stack, PATIENCE).await;
}
