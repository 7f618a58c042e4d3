//! Do people read what happened, each thing once when it begins and once when it is over, in order, whatever
//! befalls the way to them? And does nobody read where the messages go?

use std::time::Duration;

use chroma_ha::dev::http_status;
use serde_json::json;

use crate::harness::chaos::Mode;
use crate::harness::status::{PATIENCE, state, until_all_up};
use crate::harness::surface::{create, records, until_quiet, until_state, upsert};
use crate::harness::webhook::{Mishap, SECRET, Webhook};
use crate::harness::{Options, Stack, Verb, get, until};

/// Longer than it takes until anything is told, and until a repeat would be.
const QUIET: Duration = Duration::from_secs(6);

/// Each way to a node that is slow, and answers its heartbeat all the same.
const SLOW: Duration = Duration::from_millis(300);

/// A machine that is busy with tests is slow to answer probes, and that is nothing to tell here.
const PATIENT: (&str, &str) = ("PROBE_TIMEOUT", "20");

/// All that was told but what the machine that runs the tests is told to be short of.
fn told(webhook: &Webhook) -> Vec<String> {
    let of_the_host =
        |title: &String| ["host", "CPU", "emory", "queue up"].iter().any(|word| title.contains(word));
    webhook.titles().into_iter().filter(|title| !of_the_host(title)).collect()
}

async fn until_told(webhook: &Webhook, titles: &[&str]) {
    let all = async || told(webhook).len() >= titles.len();
    until(PATIENCE, &format!("{:?} is told", titles.last()), all).await;
    assert_eq!(told(webhook), titles);
}

async fn stack(webhook: &Webhook) -> Stack {
    let options = Options { own_postgres: true, ..Options::default() };
    Stack::start(options.env("SLACK_WEBHOOK_URL", &webhook.url()).env(PATIENT.0, PATIENT.1)).await
}

#[tokio::test]
async fn the_story_of_some_bad_hours_is_told_once_and_in_order() {
    let webhook = Webhook::listen().await;
    let mut stack = stack(&webhook).await;
    let id = create(&stack.url(), "docs").await;
    upsert(&stack.url(), &id, "r", "text").await;
    let mut story = Vec::new();
    let mut chapter = |titles: &[&'static str]| {
        story.extend_from_slice(titles);
        story.clone()
    };

    stack.replica().kill9();
    until_told(&webhook, &chapter(&["[WARNING] replica-1 is down"])).await;
    stack.replica().start_again().await.expect("the replica again");
    until_told(&webhook, &chapter(&["[RESOLVED] replica-1 is up and has caught up"])).await;

    stack.primary().kill9();
    let lost = ["[WARNING] primary is down", "[INFO] replica-1 acts in place of primary"];
    until_told(&webhook, &chapter(&lost)).await;
    upsert(&stack.url(), &id, "s", "while the primary is away").await;
    stack.primary().start_again().await.expect("the primary again");
    let back = ["[RESOLVED] primary is up and has caught up", "[RESOLVED] primary acts again"];
    until_told(&webhook, &chapter(&back)).await;

    stack.postgres.as_mut().expect("its own").stop_immediate().await;
    until_told(&webhook, &chapter(&["[CRITICAL] PostgreSQL is away: the log cannot be written"])).await;
    stack.postgres.as_mut().expect("its own").start_again().await.expect("a start");
    until_told(&webhook, &chapter(&["[RESOLVED] PostgreSQL is back: the log can be written"])).await;

    until_all_up(&stack).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(told(&webhook), chapter(&[]), "nothing is told twice");
    for text in webhook.texts() {
        println!("{text}\n");
        for part in ["What: ", "Users: ", "To do: "] {
            assert!(text.contains(part), "{text}");
        }
        let over = text.starts_with("*[RESOLVED]");
        assert_eq!(text.contains("It lasted "), over, "{text}");
        assert!(text.contains(if over { "At: " } else { "Since: " }), "{text}");
    }
}

#[tokio::test]
async fn a_deploy_is_one_calm_message_and_a_standby_tells_nothing_twice() {
    let webhook = Webhook::listen().await;
    let mut stack = stack(&webhook).await;
    let mut new = stack.balancer_beside().await;
    stack.balancer.stop().await;
    let mut story = vec!["[INFO] Another balancer took the log over"];
    until_told(&webhook, &story).await;
    // The old release again, now as the standby: both see the node fall, one tells.
    stack.balancer.launch();
    let (old, port) = (stack.balancer.url(), stack.balancer.port());
    until(PATIENCE, "it stands by", async || http_status(port, "/readyz").await == Some(200)).await;
    stack.replica().kill9();
    until_state(&old, "replica-1", "down").await;
    story.push("[WARNING] replica-1 is down");
    until_told(&webhook, &story).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(told(&webhook), story);
    new.stop().await;
}

#[tokio::test]
async fn a_backlog_is_told_while_it_lasts_unless_the_node_is_told_to_be_down() {
    let webhook = Webhook::listen().await;
    let options = Options::default().env("SLACK_WEBHOOK_URL", &webhook.url()).env("WAL_BACKLOG_ALERT", "10");
    let options = options.env(PATIENT.0, PATIENT.1);
    let mut stack = Stack::start(Options { chaos: true, ..options }).await;
    let url = stack.url();
    let id = create(&url, "docs").await;
    until_quiet(&url).await;
    stack.replica().kill9();
    until_state(&url, "replica-1", "down").await;
    for n in 0..20 {
        upsert(&url, &id, &n.to_string(), "text").await;
    }
    stack.replica().start_again().await.expect("the replica again");
    until_told(&webhook, &["[WARNING] replica-1 is down", "[RESOLVED] replica-1 is up and has caught up"])
        .await;
    // It answers, and takes its time for each write.
    stack.links().nodes[1].set(Mode::Delay { each_way: SLOW, jitter: Duration::ZERO }).await;
    // No two that follow each other go in one request.
    for n in 0..30 {
        upsert(&url, &id, &n.to_string(), "again").await;
        assert_eq!(records(&url, &id, "delete", &json!({"ids": [n.to_string()]})).await.0, 200);
    }
    until(PATIENCE, "the backlog is told", async || told(&webhook).len() == 3).await;
    assert!(told(&webhook)[2].ends_with("entries behind"), "{:?}", told(&webhook));
    stack.links().nodes[1].set(Mode::Pass).await;
    until(PATIENCE, "and its end", async || told(&webhook).len() == 4).await;
    assert_eq!(told(&webhook)[3], "[RESOLVED] replica-1 is no longer behind");
}

#[tokio::test]
async fn whatever_befalls_slack_each_message_arrives_once_and_in_order() {
    let mishaps = [
        Mishap::Status(500, 0),
        Mishap::Closes,
        Mishap::Status(429, 2),
        Mishap::Hangs,
        Mishap::Hangs,
        Mishap::Status(503, 0),
    ];
    let webhook = Webhook::failing(&mishaps).await;
    let mut stack = stack(&webhook).await;
    stack.replica().kill9();
    until(PATIENCE, "the first attempt", async || webhook.attempts() > 0).await;
    // Its end is there long before its beginning has arrived.
    stack.replica().start_again().await.expect("the replica again");
    until(PATIENCE, "it is up", async || state(&stack, "replica-1").await == "up").await;
    assert!(told(&webhook).is_empty(), "{:?}", told(&webhook));
    until_told(&webhook, &["[WARNING] replica-1 is down", "[RESOLVED] replica-1 is up and has caught up"])
        .await;
    assert_eq!(webhook.attempts(), mishaps.len() + webhook.texts().len(), "none was sent twice");
    let actors = crate::harness::faults::row(&stack, "slack").await;
    assert_eq!(actors["restarts_after_panic"], 0);
}

#[tokio::test]
async fn the_webhook_is_in_no_log_page_or_error() {
    let webhook = Webhook::failing(&[Mishap::Status(500, 0), Mishap::Closes, Mishap::Status(404, 0)]).await;
    let options = Options::default().env("SLACK_WEBHOOK_URL", &webhook.url()).env("LOG_LEVEL", "trace");
    let mut stack = Stack::start(options).await;
    stack.replica().kill9();
    until(PATIENCE, "it is refused for good", async || webhook.attempts() >= 3).await;
    stack.replica().start_again().await.expect("the replica again");
    until(PATIENCE, "another one is taken", async || !webhook.texts().is_empty()).await;
    let log = stack.balancer.log();
    assert!(log.contains("an alert could not be delivered"), "nothing was logged");
    assert!(!log.contains(SECRET), "{:?}", log.lines().find(|line| line.contains(SECRET)));
    for page in ["/status", "/metrics", "/metrics?format=json", "/wal/status", "/wal/stats", "/dashboard"] {
        let (_, text) = get(&format!("{}{page}", stack.url())).await;
        assert!(!text.to_string().contains(SECRET), "{page}");
    }
}

#[tokio::test]
async fn alerts_can_be_silenced() {
    let webhook = Webhook::listen().await;
    let options =
        Options::default().env("SLACK_WEBHOOK_URL", &webhook.url()).env("SLACK_ALERTS_ENABLED", "false");
    let mut stack = Stack::start(options).await;
    stack.replica().kill9();
    until(PATIENCE, "it is logged", async || stack.balancer.log().contains("key=\"node-down:replica-1\""))
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(webhook.attempts(), 0);
}

/// `chroma-ha alert test` with these variables and no other.
async fn alert_test(vars: &[(&str, &str)]) -> (i32, String) {
    let ended = Verb::of(&["alert", "test"]).envs(vars.iter().copied()).ended().await;
    (ended.code, ended.said())
}

#[tokio::test]
async fn a_test_message_says_what_slack_answered() {
    let webhook = Webhook::failing(&[Mishap::Status(404, 0), Mishap::Status(500, 0)]).await;
    let url = webhook.url();
    let set = ("SLACK_WEBHOOK_URL", url.as_str());
    for status in ["404", "500"] {
        let (code, text) = alert_test(&[set]).await;
        assert!(code == 1 && text.contains(status) && text.lines().count() == 1, "{code} {text}");
        assert!(!text.contains(SECRET), "{text}");
    }
    let (code, text) = alert_test(&[set, ("SERVICE_NAME", "prod")]).await;
    assert_eq!((code, text.as_str()), (0, "Slack took the test message: status 200 ok\n"));
    assert_eq!(told(&webhook), ["[INFO] prod: This is a test"]);
    for vars in [
        &[][..],
        &[set, ("SLACK_ALERTS_ENABLED", "false")],
        &[("SLACK_WEBHOOK_URL", "hooks.slack.com/T024hunter2")],
    ] {
        let (code, text) = alert_test(vars).await;
        assert!(code == 64 && text.contains("SLACK_WEBHOOK_URL") && text.lines().count() == 1, "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
    let (code, text) = alert_test(&[("SLACK_WEBHOOK_URL", "http://127.0.0.1:1/services/T024hunter2")]).await;
    assert!(code == 1 && text.contains("no answer from Slack") && !text.contains(SECRET), "{text}");
    assert_eq!(webhook.attempts(), 3);
}
