//! Does a fault in one actor stay its own? Each is made to panic, stop or hang inside a running balancer
//! under load: requests go on, nothing acknowledged is lost, and whoever cannot be mended ends the process.

use std::time::Duration;

use crate::harness::faults::{Faults, row};
use crate::harness::status::{PATIENCE, applied, state};
use crate::harness::webhook::Webhook;
use crate::harness::{Load, Options, Stack, until};

/// What the process ends with when it gives up.
const GAVE_UP: i32 = 70;

/// A hanging actor is told after 10 s, and given up after 30 s.
const HANGS: Duration = Duration::from_secs(25);

async fn under_load(options: Options) -> (Stack, Faults, Load) {
    let faults = Faults::unarmed();
    let stack = Stack::start(faults.env(options)).await;
    let load = Load::start(&stack.url(), 8, 4).await;
    load.a_round(PATIENCE).await;
    (stack, faults, load)
}

async fn restarts(stack: &Stack, actor: &str) -> (u64, u64) {
    let row = row(stack, actor).await;
    let count = |cause: &str| row[format!("restarts_after_{cause}")].as_u64().expect("a number");
    (count("panic"), count("stop"))
}

#[tokio::test]
async fn the_replay_actor_of_one_node_falls_alone() {
    let (stack, faults, load) = under_load(Options::default()).await;
    for fate in ["panic", "stop"] {
        faults.strike(&stack, "replay replica-1", fate).await;
        load.a_round(PATIENCE).await;
    }
    assert_eq!(restarts(&stack, "replay replica-1").await, (1, 1));
    let before = applied(&stack, "following", "replica-1").await;
    until(PATIENCE, "the replica is written to again", async || {
        applied(&stack, "following", "replica-1").await > before
    })
    .await;
    faults.strike(&stack, "replay primary", "panic").await;
    load.a_round(PATIENCE).await;
    assert_eq!(restarts(&stack, "replay primary").await, (1, 0));
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn a_delivery_that_panics_is_made_again_once_its_node_has_settled() {
    let (stack, faults, load) = under_load(Options::default()).await;
    for node in ["replica-1", "primary"] {
        let actor = format!("replay {node}");
        faults.strike_task(&stack, &actor).await;
        load.a_round(PATIENCE).await;
        assert_eq!(restarts(&stack, &actor).await, (1, 0));
        until(PATIENCE, "the node is up again", async || state(&stack, node).await == "up").await;
    }
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}

/// Writes under way are answered 503, or with their verdict; reads do not notice.
fn assert_only_asked_to_wait(load: &Load) {
    let (failed, asked_to_wait) = load.failures();
    assert_eq!(failed.len(), asked_to_wait, "{failed:#?}");
    assert!(failed.iter().all(|line| !line.contains("/get") && !line.contains("/query")), "{failed:#?}");
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_the_log_writer_panics() {
    let (stack, faults, load) = under_load(Options::default()).await;
    for fate in ["panic", "stop", "panic"] {
        faults.strike(&stack, "wal", fate).await;
        load.a_round(PATIENCE).await;
    }
    assert_eq!(restarts(&stack, "wal").await, (2, 1));
    assert_only_asked_to_wait(&load);
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_a_task_of_the_log_writer_panics() {
    let (stack, faults, load) = under_load(Options::default()).await;
    for _ in 0..5 {
        faults.arm("wal task", "panic");
        until(PATIENCE, "a task meets it", async || !faults.is_armed("wal task")).await;
        load.a_round(PATIENCE).await;
    }
    assert!(stack.balancer.log().contains("a fault for a test, in a task"));
    assert_only_asked_to_wait(&load);
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn requests_go_on_when_proxies_panic() {
    let (stack, faults, load) = under_load(Options::default()).await;
    for fate in ["panic", "stop"] {
        faults.strike(&stack, "proxy 0", fate).await;
        load.a_round(PATIENCE).await;
    }
    assert_eq!(restarts(&stack, "proxy 0").await, (1, 1));
    // Only a request that was in the hands of the actor is answered 503.
    let (failed, asked_to_wait) = load.failures();
    assert!(failed.len() == asked_to_wait && failed.len() <= 2, "{failed:#?}");
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn nodes_are_watched_after_the_health_actor_panicked() {
    let (mut stack, faults, load) = under_load(Options::default()).await;
    for fate in ["panic", "stop"] {
        faults.strike(&stack, "health", fate).await;
        load.a_round(PATIENCE).await;
    }
    faults.strike_task(&stack, "health").await;
    assert_eq!(restarts(&stack, "health").await, (2, 1));
    stack.replica().kill9();
    until(PATIENCE, "a dead node is seen", async || state(&stack, "replica-1").await == "down").await;
    stack.replica().start_again().await.expect("the replica again");
    until(PATIENCE, "it is seen again", async || state(&stack, "replica-1").await == "up").await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn the_host_is_sampled_after_the_resources_actor_panicked() {
    let (stack, faults, load) = under_load(Options::default()).await;
    for fate in ["panic", "stop"] {
        faults.strike(&stack, "resources", fate).await;
    }
    assert_eq!(restarts(&stack, "resources").await, (1, 1));
    let handled = async || row(&stack, "resources").await["handled"].as_u64().expect("a number");
    let before = handled().await;
    until(PATIENCE, "it samples again", async || handled().await > before).await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn people_are_told_of_a_panic_even_of_the_actor_that_tells_them() {
    let webhook = Webhook::listen().await;
    let options = Options::default().env("SLACK_WEBHOOK_URL", &webhook.url());
    let (stack, faults, load) = under_load(options).await;
    for (actor, fate) in [("slack", "panic"), ("slack", "stop"), ("supervisor", "panic"), ("health", "panic")]
    {
        faults.strike(&stack, actor, fate).await;
    }
    assert_eq!(restarts(&stack, "slack").await, (1, 1));
    for (actor, times) in [("slack", 2), ("supervisor", 1), ("health", 1)] {
        let words = format!("Actor {actor} was restarted");
        until(PATIENCE, &words, async || webhook.messages_with(&words) == times).await;
    }
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}

async fn until_it_ended(stack: &mut Stack) {
    until(PATIENCE, "the process ends", async || !stack.balancer.is_running()).await;
    assert_eq!(stack.balancer.exit_code(), Some(GAVE_UP));
}

#[tokio::test]
async fn an_actor_that_falls_again_and_again_ends_the_process() {
    let webhook = Webhook::listen().await;
    let faults = Faults::unarmed();
    let options = Options::default().env("SLACK_WEBHOOK_URL", &webhook.url());
    let mut stack = Stack::start(faults.env(options)).await;
    until(PATIENCE, "it gives up", async || {
        if !faults.is_armed("resources") {
            faults.arm("resources", "panic");
        }
        !stack.balancer.is_running()
    })
    .await;
    until_it_ended(&mut stack).await;
    assert!(stack.balancer.log().contains("actor resources fell 11 times within 60 s"));
    assert_eq!(webhook.messages_with("The balancer ends itself"), 1);
}

fn told(stack: &Stack, key: &str) -> usize {
    let log = stack.balancer.log();
    log.lines().filter(|line| line.contains(" alert ") && line.contains(key)).count()
}

#[tokio::test]
async fn an_actor_that_hangs_is_shown_and_told_until_it_answers_again() {
    let (stack, faults, load) = under_load(Options::default()).await;
    faults.arm("slack", "hang");
    load.a_round(PATIENCE).await;
    // Nothing is told that way to slack, but it is asked whether it is there.
    for actor in ["slack", "health", "resources"] {
        until(HANGS, "it is shown", async || row(&stack, actor).await["state"] == "hung").await;
        // Whoever tells it looks once a second.
        let line = format!("an actor hangs actor=\"{actor}\"");
        until(HANGS, "it is noticed", async || stack.balancer.log().contains(&line)).await;
    }
    for actor in ["wal", "replay primary", "replay replica-1", "supervisor", "proxy 0"] {
        assert_eq!(row(&stack, actor).await["state"], "running", "{actor}");
    }
    assert!(row(&stack, "slack").await["last_heard_ms"].as_u64().is_some_and(|ms| ms >= 10_000));
    load.assert_nothing_failed();
    faults.disarm("slack");
    for actor in ["slack", "health", "resources"] {
        until(PATIENCE, "it answers", async || row(&stack, actor).await["state"] == "running").await;
        let key = format!("actor-hangs:{actor}");
        until(PATIENCE, "opened and resolved", async || told(&stack, &key) == 2).await;
    }
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
}

#[tokio::test]
async fn a_log_writer_that_hangs_for_long_ends_the_process_and_nothing_is_lost() {
    let webhook = Webhook::listen().await;
    let options = Options::default().env("SLACK_WEBHOOK_URL", &webhook.url());
    let (mut stack, faults, load) = under_load(options).await;
    faults.arm("wal", "hang");
    until(HANGS, "it is told", async || webhook.messages_with("Actor wal hangs") == 1).await;
    until_it_ended(&mut stack).await;
    assert!(stack.balancer.log().contains("actor wal did not answer for 3"));
    assert_eq!(webhook.messages_with("The balancer ends itself"), 1);
    faults.disarm("wal");
    stack.balancer.start_again().await;
    load.a_round(PATIENCE).await;
    load.end(&stack, PATIENCE).await;
}
