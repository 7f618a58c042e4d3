//! What do clients notice of a PostgreSQL that restarts or is away? Writes are answered 503 with
//! `Retry-After`, never acknowledged without the log; reads go on; all resumes by itself.

use std::time::Instant;

use chroma_ha::dev::free_port;
use nix::sys::signal::Signal;

use crate::harness::stack::Options;
use crate::harness::status::PATIENCE;
use crate::harness::{Balancer, Load, Place, Stack, until};

async fn stack() -> Stack {
    Stack::start(Options { own_postgres: true, ..Options::default() }).await
}

/// Only writes may fail, and only in the one way that tells the client what to do.
fn assert_only_writes_were_put_off(load: &Load) {
    let (failed, asked_to_wait) = load.failures();
    assert_eq!(failed.len(), asked_to_wait, "{:#?}", &failed[..failed.len().min(5)]);
    let reads = failed.iter().filter(|line| line.starts_with("get") || line.starts_with("query"));
    assert_eq!(reads.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn a_restart_loses_no_acknowledged_write_and_needs_nobody() {
    let mut stack = stack().await;
    let load = Load::start(&stack.url(), 16, 4).await;
    for _ in 0..3 {
        load.a_round(PATIENCE).await;
        let begun = Instant::now();
        stack.postgres.as_mut().expect("its own").restart_immediate().await.expect("a restart");
        load.a_round(PATIENCE).await;
        load.print_gap("PostgreSQL restarted", begun);
    }
    assert_only_writes_were_put_off(&load);
    assert!(stack.balancer.is_running());
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn reads_go_on_while_it_is_away_and_writes_when_it_is_back() {
    let mut stack = stack().await;
    let load = Load::start(&stack.url(), 16, 4).await;
    load.a_round(PATIENCE).await;
    stack.postgres.as_mut().expect("its own").stop_immediate().await;
    until(PATIENCE, "every writer has been put off again and again", async || load.failures().1 > 64).await;
    let (acknowledged, reads) = (load.acknowledged(), load.reads_answered());
    until(PATIENCE, "reads go on", async || load.reads_answered() > reads + 100).await;
    assert_eq!(load.acknowledged(), acknowledged, "a write was acknowledged without the log");
    let begun = Instant::now();
    stack.postgres.as_mut().expect("its own").start_again().await.expect("a start");
    load.a_round(PATIENCE).await;
    load.print_gap("PostgreSQL back", begun);
    assert_only_writes_were_put_off(&load);
    assert!(stack.balancer.is_running());
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn a_balancer_that_waits_for_it_at_its_start_hears_that_it_shall_stop() {
    let place = Place::new("waiting");
    let nowhere = || free_port().expect("a free port");
    let env = [
        ("BIND_ADDRESS", "127.0.0.1".to_owned()),
        ("PRIMARY_URL", format!("http://127.0.0.1:{}", nowhere())),
        ("DATABASE_URL", format!("postgresql://nobody@127.0.0.1:{}/none", nowhere())),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let mut balancer = Balancer::launched(env, place.join("balancer.log"));
    until(PATIENCE, "it waits", async || balancer.log().contains("waiting for PostgreSQL")).await;
    balancer.signal(Signal::SIGTERM);
    let begun = Instant::now();
    while balancer.is_running() {
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(balancer.exit_code(), Some(0), "the signal itself ended it: process 1 would go on");
}
