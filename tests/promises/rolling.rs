//! Does a deploy lose anything? Asked to stop, the balancer answers what is under way, lets go of the
//! lease and ends well; the one that was started beside it takes over, and no client notices.

use std::time::{Duration, Instant};

use chroma_ha::dev::http_status;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::stack::{Options, start_nodes};
use crate::harness::status::PATIENCE;
use crate::harness::{Balancer, Load, Stack, get, post, until};

/// Longer than a connection of ours may stay open, shorter than what an orchestrator waits.
const SHUTDOWN_TIMEOUT: &str = "20";

async fn ends(balancer: &mut Balancer, within: Duration) -> Duration {
    let begun = Instant::now();
    balancer.signal(Signal::SIGTERM);
    until(within, "the balancer ends when asked to", async || !balancer.is_running()).await;
    begun.elapsed()
}

#[tokio::test]
async fn a_stop_under_load_answers_what_is_under_way_and_ends_well() {
    let mut stack = Stack::start(Options::default().env("SHUTDOWN_TIMEOUT", SHUTDOWN_TIMEOUT)).await;
    let load = Load::start(&stack.url(), 16, 4).await;
    load.a_round(PATIENCE).await;
    load.closing();
    let took = ends(&mut stack.balancer, Duration::from_secs(25)).await;
    println!("ended within {} ms", took.as_millis());
    assert_eq!(stack.balancer.exit_code(), Some(0));
    let (failed, _) = load.failures();
    assert_eq!(failed, Vec::<String>::new(), "only new connections may be refused");
    stack.balancer.start_again().await;
    load.a_round(PATIENCE).await;
    load.end(&stack, PATIENCE).await;
}

/// How often this balancer took the lease, by its log.
fn epochs(balancer: &Balancer) -> usize {
    balancer.log().matches("the lease on the log is held").count()
}

async fn role(balancer: &Balancer) -> Value {
    get(&format!("{}/status", balancer.url())).await.1["role"].clone()
}

async fn is_ready_as(balancer: &Balancer, wanted: &str) -> bool {
    http_status(balancer.port(), "/readyz").await == Some(200) && role(balancer).await == wanted
}

#[tokio::test]
async fn a_standby_serves_everything_by_way_of_the_holder() {
    let mut stack = Stack::start(Options::default()).await;
    let mut beside = stack.launch_beside();
    until(PATIENCE, "the second one is ready", async || is_ready_as(&beside, "standby").await).await;
    let (code, health) = get(&format!("{}/health", beside.url())).await;
    assert_eq!((code, &health["status"]), (200, &json!("healthy")));
    let status = get(&format!("{}/status", beside.url())).await.1;
    assert_eq!(status["holder"], json!(stack.url()));
    let load = Load::start_over(&stack.url(), &beside.url(), "load", 4, 2).await;
    load.a_round(PATIENCE).await;
    let (code, known) = get(&format!("{}/load-0", collections_url(&beside.url()))).await;
    assert_eq!(code, 200, "{known}");
    let (code, listed) = get(&collections_url(&beside.url())).await;
    assert_eq!((code, listed.as_array().map(Vec::len)), (200, Some(2)), "{listed}");
    let (code, old) = get(&format!("{}/api/v1/collections", beside.url())).await;
    assert_eq!((code, old.as_array().map(Vec::len)), (200, Some(2)), "{old}");
    let (code, refused) = post(&collections_url(&beside.url()), &json!({"name": "load-0"})).await;
    assert_eq!(code, 409, "{refused}");
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
    assert_eq!((epochs(&stack.balancer), epochs(&beside)), (1, 0));
    beside.stop().await;
}

#[tokio::test]
async fn a_rolling_deploy_fails_no_request() {
    let mut stack = Stack::start(Options::default().env("SHUTDOWN_TIMEOUT", SHUTDOWN_TIMEOUT)).await;
    let load = Load::start(&stack.url(), 8, 4).await;
    load.a_round(PATIENCE).await;
    let mut beside = stack.launch_beside();
    load.also_to(&beside.url());
    until(PATIENCE, "the second one is ready", async || is_ready_as(&beside, "standby").await).await;
    load.a_round(PATIENCE).await;
    let begun = Instant::now();
    let took = ends(&mut stack.balancer, PATIENCE).await;
    assert_eq!(stack.balancer.exit_code(), Some(0));
    until(PATIENCE, "the second one holds the log", async || role(&beside).await == "holder").await;
    load.a_round(PATIENCE).await;
    load.print_gap("handed over", begun);
    println!("the first ended within {} ms", took.as_millis());
    load.assert_nothing_failed();
    assert_eq!((epochs(&stack.balancer), epochs(&beside)), (1, 1));
    let taken = beside.log();
    assert!(taken.contains("quiet=true"), "nothing was in doubt, so no node has to settle:\n{taken}");
    load.end(&stack, PATIENCE).await;
    beside.stop().await;
}

#[tokio::test]
async fn a_third_node_joins_with_a_deploy_and_no_request_fails() {
    let mut stack = Stack::start(Options::default().env("SHUTDOWN_TIMEOUT", SHUTDOWN_TIMEOUT)).await;
    let load = Load::start(&stack.url(), 4, 2).await;
    load.a_round(PATIENCE).await;
    let third = start_nodes(&stack.place, 3, false).await.pop().expect("three");
    let mut beside = stack.launch_beside();
    beside.kill9();
    beside.set_env("REPLICA_URL", "");
    beside.set_env("REPLICA_URLS", &format!("{},{}", stack.nodes[1].url(), third.url()));
    beside.launch();
    until(PATIENCE, "the one that knows the third node is ready", async || {
        is_ready_as(&beside, "standby").await
    })
    .await;
    load.also_to(&beside.url());
    load.a_round(PATIENCE).await;
    ends(&mut stack.balancer, PATIENCE).await;
    let third_state = async || {
        let status = get(&format!("{}/status", beside.url())).await.1;
        status["nodes"][2]["state"].clone()
    };
    until(PATIENCE, "the third node is up", async || third_state().await == "up").await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    stack.nodes.push(third);
    load.end(&stack, PATIENCE).await;
    beside.stop().await;
}

#[tokio::test]
async fn who_asks_the_standby_does_not_notice_that_the_holder_was_killed() {
    let mut stack = Stack::start(Options::default().env("LEASE_TIME", "3")).await;
    let mut beside = stack.launch_beside();
    until(PATIENCE, "the second one is ready", async || is_ready_as(&beside, "standby").await).await;
    let load = Load::start_over(&stack.url(), &beside.url(), "load", 8, 4).await;
    load.a_round(PATIENCE).await;
    let begun = Instant::now();
    stack.balancer.kill9();
    until(PATIENCE, "the second one took over", async || role(&beside).await == "holder").await;
    load.a_round(PATIENCE).await;
    load.print_gap("the holder killed", begun);
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
    assert_eq!((epochs(&stack.balancer), epochs(&beside)), (1, 1));
    beside.stop().await;
}
