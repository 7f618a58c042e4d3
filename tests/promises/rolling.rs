//! Does a deploy lose anything? Asked to stop, the balancer answers what is under way, lets go of the
//! lease and ends well; the one that was started beside it takes over.

use std::time::{Duration, Instant};

use chroma_ha::dev::http_status;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::sleep;

use crate::harness::nodes::collections_url;
use crate::harness::stack::Options;
use crate::harness::status::PATIENCE;
use crate::harness::{Balancer, Load, Stack, get, until};

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

/// Who has not read the log may be silent, but must not deny what is there.
async fn assert_tells_nothing_wrong(holder: &str, standby: &str) {
    let one = |url: &str| format!("{}/load-0", collections_url(url));
    let (status, known) = get(&one(holder)).await;
    assert_eq!(status, 200, "{known}");
    for (asked, answer) in [
        (one(standby), &known["id"]),
        (
            format!("{}/{}/count", collections_url(standby), known["id"].as_str().expect("an id")),
            &Value::Null,
        ),
        (collections_url(standby), &known["id"]),
    ] {
        let (status, told) = get(&asked).await;
        let names_it = answer.as_str().is_none_or(|id| told.to_string().contains(id));
        assert!(status == 503 || status == 200 && names_it, "{asked}: {status} {told}");
    }
}

#[tokio::test]
async fn the_one_beside_takes_over_when_the_holder_stops() {
    let mut stack = Stack::start(Options::default()).await;
    let load = Load::start(&stack.url(), 8, 2).await;
    load.a_round(PATIENCE).await;
    let mut beside = stack.launch_beside();
    let (url, port) = (beside.url(), beside.port());
    until(PATIENCE, "the second one stands by", async || {
        http_status(port, "/livez").await == Some(200)
            && get(&format!("{url}/status")).await.1["role"] == "standby"
    })
    .await;
    assert_eq!(http_status(port, "/readyz").await, Some(503));
    assert_tells_nothing_wrong(&stack.url(), &url).await;
    load.a_round(PATIENCE).await;
    assert_eq!(get(&format!("{}/status", stack.url())).await.1["role"], "holder");
    let epoch = get(&format!("{}/status", stack.url())).await.1["epoch"].as_u64().expect("a number");
    ends(&mut stack.balancer, PATIENCE).await;
    let begun = Instant::now();
    while http_status(port, "/readyz").await != Some(200) {
        assert!(begun.elapsed() < PATIENCE, "the second one is not ready");
        sleep(Duration::from_millis(10)).await;
    }
    println!("ready {} ms after the end of the first", begun.elapsed().as_millis());
    assert_eq!(get(&format!("{url}/status")).await.1["epoch"].as_u64(), Some(epoch + 1));
    load.end(&stack, PATIENCE).await;
    let load = Load::start_in(&url, "after", 8, 2).await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
    beside.stop().await;
}
