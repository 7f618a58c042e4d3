//! Does somebody say so when the balancer itself is gone? The program watches another one from outside, and
//! leaves to it what it can tell itself.

use chroma_ha::config::table::OPTIONS;
use chroma_ha::dev::{Launch, Process, free_port, http_status};
use serde_json::Value;

use crate::harness::status::{PATIENCE, state, until_all_up};
use crate::harness::webhook::{SECRET, Webhook};
use crate::harness::{Options, PROGRAM, Place, Stack, get, until};

struct Monitor {
    port: u16,
    log: std::path::PathBuf,
    _process: Process,
}

impl Monitor {
    async fn watch(stack: &Stack, webhook: &Webhook) -> Monitor {
        let nodes: Vec<String> = stack.nodes.iter().map(chroma_ha::dev::Chroma::url).collect();
        let env = [
            ("MONITOR_INTERVAL", "2"),
            ("BALANCER_URL", &stack.url()),
            ("PRIMARY_URL", &nodes[0]),
            ("REPLICA_URL", &nodes[1]),
            ("DATABASE_URL", &stack.database_url),
            ("SLACK_WEBHOOK_URL", &webhook.url()),
            ("WAL_CPU_THRESHOLD", "100"),
            ("WAL_MEMORY_THRESHOLD", "100"),
        ];
        let monitor = Monitor::start(&stack.place, &env).await;
        until(PATIENCE, "it has seen everything", async || monitor.answers().await.len() == 4).await;
        monitor
    }

    async fn start(place: &Place, env: &[(&str, &str)]) -> Monitor {
        let log = place.join("monitor.log");
        let port = free_port().expect("a free port");
        let mut launch = Launch::new(PROGRAM, &log).args(["monitor"]);
        launch.without_env = OPTIONS.iter().map(|option| option.name).collect();
        launch = launch.env("PORT", port.to_string()).env("BIND_ADDRESS", "127.0.0.1");
        launch = env.iter().fold(launch, |launch, (name, value)| launch.env(*name, *value));
        let process = launch.start().expect("the monitor");
        until(PATIENCE, "the monitor watches", async || http_status(port, "/health").await == Some(200))
            .await;
        Monitor { port, log, _process: process }
    }

    async fn page(&self) -> Value {
        get(&format!("http://127.0.0.1:{}/status", self.port)).await.1
    }

    /// Who answers, as it shows.
    async fn answers(&self) -> Vec<(String, bool)> {
        let page = self.page().await;
        let part = |part: &Value| (part["name"].to_string(), part["answers"] == true);
        page["parts"].as_array().into_iter().flatten().map(part).collect()
    }
}

/// All that was told but what the machine that runs the tests is told to be short of.
fn told(webhook: &Webhook) -> Vec<String> {
    let of_the_host =
        |title: &String| ["host", "CPU", "emory", "queue up"].iter().any(|word| title.contains(word));
    webhook.titles().into_iter().filter(|title| !of_the_host(title)).collect()
}

async fn until_told(webhook: &Webhook, titles: &[&str]) {
    until(PATIENCE, &format!("{titles:?}"), async || told(webhook).len() >= titles.len()).await;
    assert_eq!(told(webhook), titles);
}

#[tokio::test]
async fn the_address_of_a_balancer_is_all_that_it_needs() {
    let place = Place::new("monitor");
    let nobody = format!("http://127.0.0.1:{}", free_port().expect("a free port"));
    let env = [("MONITOR_INTERVAL", "0.5"), ("BALANCER_URL", nobody.as_str())];
    let monitor = Monitor::start(&place, &env).await;
    // The machine itself is looked at every 2 s, too.
    until(PATIENCE, "it has looked at everything", async || {
        let page = monitor.page().await;
        page["parts"][0]["answers"] == false && page["uptime_seconds"].as_u64() >= Some(6)
    })
    .await;
    let page = monitor.page().await;
    let actors = page["actors"].as_array().expect("actors");
    assert!(!actors.is_empty() && actors.iter().all(|actor| actor["restarts_after_panic"] == 0), "{page}");
}

#[tokio::test]
async fn a_balancer_that_is_gone_is_told_by_the_one_that_watches_it() {
    let webhook = Webhook::listen().await;
    // The balancer itself is silent here: what is read is the watcher's.
    let options = Options { own_postgres: true, ..Options::default() };
    let mut stack = Stack::start(options.env("LEASE_TIME", "2")).await;
    let monitor = Monitor::watch(&stack, &webhook).await;
    assert!(monitor.answers().await.iter().all(|(_, answers)| *answers));

    // The balancer tells of this one.
    stack.replica().kill9();
    until(PATIENCE, "the balancer sees it", async || state(&stack, "replica-1").await == "down").await;
    let seen =
        async || monitor.answers().await.iter().any(|(name, answers)| name.contains("replica") && !answers);
    until(PATIENCE, "the monitor sees it", seen).await;
    stack.replica().start_again().await.expect("the replica again");
    until_all_up(&stack).await;
    until(PATIENCE, "so does the monitor", async || monitor.answers().await.iter().all(|(_, ok)| *ok)).await;
    assert_eq!(told(&webhook), Vec::<String>::new());

    stack.balancer.kill9();
    let mut story = vec!["[CRITICAL] The balancer is gone"];
    until_told(&webhook, &story).await;
    let gone = webhook.messages_with("PostgreSQL, primary and replica-1 answer.");
    assert_eq!(gone, 1, "{:?}", webhook.texts());

    stack.replica().kill9();
    story.push("[WARNING] replica-1 is down, seen from outside");
    until_told(&webhook, &story).await;
    stack.postgres.as_mut().expect("its own").stop_immediate().await;
    story.push("[CRITICAL] PostgreSQL is away, seen from outside");
    until_told(&webhook, &story).await;
    stack.postgres.as_mut().expect("its own").start_again().await.expect("a start");
    story.push("[RESOLVED] PostgreSQL answers again");
    until_told(&webhook, &story).await;

    stack.balancer.start_again().await;
    story.extend(["[RESOLVED] The balancer answers again", "[RESOLVED] A balancer watches replica-1 again"]);
    until_told(&webhook, &story).await;
    webhook.texts().iter().for_each(|text| println!("{text}\n"));
    let log = std::fs::read_to_string(&monitor.log).expect("its log");
    assert!(!log.contains(SECRET), "{log}");
}
