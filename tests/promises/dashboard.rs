//! Does somebody who looks at the dashboard see within three seconds that a node died, is the page honest
//! when it hears nothing, and can an operator act on it, without a mouse?

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use super::dead_letters;
use super::embedded::connect;
use crate::harness::browser::Browser;
use crate::harness::events::Events;
use crate::harness::keys::{lines, secret};
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, exchange, until_state, upsert};
use crate::harness::{Load, Options, Place, Stack, client, until};

/// From the death of a node to its sight.
const PROMISED: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(30);

const DESKTOP: [u32; 2] = [1360, 900];

fn events_url(stack: &Stack) -> String {
    format!("{}/dashboard/events", stack.url())
}

/// The first event for which that holds; the stream must not end before.
async fn event(events: &mut Events, within: Duration, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let event = events.next().await.unwrap_or_else(|| panic!("the stream ended before: {what}"));
        if holds(&event.data) {
            return event.data;
        }
        assert!(begun.elapsed() < within, "not within {within:?}: {what}; the last event: {}", event.data);
    }
}

fn replica(data: &Value) -> &Value {
    &data["now"]["nodes"][1]
}

#[tokio::test]
async fn a_killed_node_is_in_the_stream_within_three_seconds() {
    let mut stack = Stack::start(Options::default()).await;
    until_state(&stack.url(), "replica-1", "up").await;
    let mut events = Events::open(&events_url(&stack)).await.expect("a stream");
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert_eq!(events.headers()["cache-control"], "no-store");
    let first = events.next().await.expect("a snapshot");
    assert_eq!(first.name, "snapshot");
    // A busy machine may be a matter of its own.
    let told = first.data["now"]["headlines"].to_string();
    assert!(!told.contains("replica-1") && !told.contains("primary"), "{told}");
    assert_eq!(replica(&first.data)["state"], "up");
    let changes = first.data["lately"]["changes"].as_array().expect("changes");
    assert!(
        changes.iter().any(|one| one["of"] == "replica-1" && one["to"] == "up"),
        "the history came along"
    );
    assert_eq!(events.next().await.expect("a sample").name, "sample");

    let killed = Instant::now();
    stack.replica().kill9();
    let down =
        event(&mut events, PROMISED, "the replica is down", |data| replica(data)["state"] == "down").await;
    let seen = killed.elapsed();
    println!("the stream told of the death after {} ms", seen.as_millis());
    assert!(seen < PROMISED, "{seen:?}");
    assert_eq!(down["now"]["acting"], "primary");
    let told = &down["now"]["headlines"][0];
    assert_eq!(
        (&told["what"], &told["severity"]),
        (&json!("replica-1 is down"), &json!("warning")),
        "{down}"
    );
    assert!(replica(&down)["reason"].as_str().is_some_and(|reason| reason.contains("probes")), "{down}");
    let since = replica(&down)["since_ms"].as_u64().expect("since when");
    assert_eq!(told["since_ms"], since, "the sentence and the node tell the same");
    assert!(down["now"]["at_ms"].as_u64() < Some(since + 3_000), "{down}");

    // What happens from here on comes once, with its number.
    stack.replica().start_again().await.expect("a second start");
    let resolved = |data: &Value| {
        let alerts = data["lately"]["alerts"].as_array().into_iter().flatten();
        alerts.filter(|one| one["key"] == "node-down:replica-1").any(|one| one["phase"] == "resolved")
    };
    event(&mut events, SOON, "the alert is resolved", resolved).await;
    let point = |data: &Value| data["lately"]["points"].as_array().is_some_and(|points| points.len() == 1);
    let point = event(&mut events, SOON, "one more point", point).await;
    assert_eq!(point["lately"]["points"][0]["nodes"].as_array().map(Vec::len), Some(2));
    let mut again = Events::open(&events_url(&stack)).await.expect("a second page");
    let all = again.next().await.expect("a snapshot").data;
    let phases: Vec<&Value> = all["lately"]["alerts"]
        .as_array()
        .expect("alerts")
        .iter()
        .filter(|one| one["key"] == "node-down:replica-1")
        .map(|one| &one["phase"])
        .collect();
    assert_eq!(phases, ["opened", "resolved"], "a page that comes later gets all of it");
}

#[tokio::test]
async fn what_nodes_went_through_is_known_after_a_restart_of_the_balancer() {
    let mut stack = Stack::start(Options::default()).await;
    stack.replica().kill9();
    until_state(&stack.url(), "replica-1", "down").await;
    // Kept a moment later than shown.
    let sql = connect(&stack.database_url).await;
    let kept = "SELECT FROM failover_history WHERE node = 'replica-1' AND to_state = 'down'";
    let kept = async || !sql.query(kept, &[]).await.expect("the table").is_empty();
    until(SOON, "the change is in the history", kept).await;
    let killed_by_ms = chroma_ha_actors::wal::now_unix_ms();
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    let mut events = Events::open(&events_url(&stack)).await.expect("a stream");
    let before = |data: &Value| {
        let changes = data["lately"]["changes"].as_array().into_iter().flatten();
        changes.filter(|one| one["of"] == "replica-1" && one["to"] == "down").any(|one| {
            one["at_ms"].as_u64() < Some(killed_by_ms)
                && one["reason"].as_str().is_some_and(|r| !r.is_empty())
        })
    };
    event(&mut events, SOON, "what happened before the restart", before).await;
}

#[tokio::test]
async fn the_charts_are_the_differences_of_the_counters() {
    let stack = Stack::start(Options::default()).await;
    until_state(&stack.url(), "replica-1", "up").await;
    let mut events = Events::open(&events_url(&stack)).await.expect("a stream");
    let point = |data: &Value| data["lately"]["points"].as_array().is_some_and(|points| !points.is_empty());
    event(&mut events, SOON, "a first point", point).await;
    let id = create(&stack.url(), "counted").await;
    for n in 0..9 {
        upsert(&stack.url(), &id, &n.to_string(), "text").await;
    }
    let (mut writes, mut applied, mut timed) = (0.0, 0.0, false);
    let (begun, mut last_ms) = (Instant::now(), None);
    // Ten writes, each applied on both nodes; a point is rounded to four digits.
    while writes < 9.9 || applied < 19.8 {
        assert!(begun.elapsed() < SOON, "{writes} writes, {applied} applied");
        let data = event(&mut events, SOON, "a point", point).await;
        for point in data["lately"]["points"].as_array().expect("points") {
            let at_ms = point["at_ms"].as_f64().expect("a time");
            let seconds = last_ms.replace(at_ms).map_or(5.0, |before| (at_ms - before) / 1_000.0);
            let rate = |value: &Value| value.as_f64().expect("a rate") * seconds;
            writes += rate(&point["writes_per_second"]);
            applied += point["nodes"]
                .as_array()
                .expect("nodes")
                .iter()
                .map(|n| rate(&n["applied_per_second"]))
                .sum::<f64>();
            if let Some([median, high]) = point["write_seconds"].as_array().map(Vec::as_slice) {
                timed = true;
                assert!(median.as_f64() <= high.as_f64() && high.as_f64() < Some(60.0), "{point}");
            }
        }
    }
    assert!(timed && writes < 10.5 && applied < 21.0, "{writes} writes, {applied} applied, timed: {timed}");
}

#[tokio::test]
async fn open_pages_are_bounded_and_hold_up_no_stop() {
    let mut stack = Stack::start(Options::default()).await;
    let url = events_url(&stack);
    let mut pages = Vec::new();
    for _ in 0..16 {
        let mut page = Events::open(&url).await.expect("a stream");
        assert_eq!(page.next().await.expect("a snapshot").name, "snapshot");
        pages.push(page);
    }
    let Err(refused) = Events::open(&url).await else { panic!("one too many was let in") };
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"5".parse().expect("text"))
    );
    let text = refused.text().await.expect("a text");
    assert!(text.contains("16 dashboards are open") && text.lines().count() == 1, "{text}");
    assert_eq!(
        exchange("GET", &format!("{}/status", stack.url()), &[], "").await.0,
        200,
        "only that is full"
    );
    pages.pop();
    until(SOON, "the place of a page that was closed is free", async || Events::open(&url).await.is_ok())
        .await;
    let begun = Instant::now();
    stack.balancer.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "the open pages held up the stop: {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn the_page_carries_no_data_and_may_run_nothing_but_its_own_and_no_secret_is_in_its_stream() {
    let mut stack = Stack::start(Options::default().env("ADMIN_TOKEN", "hidden-word")).await;
    stack.balancer.stop().await;
    let with_user = stack.primary().url().replace("http://", "http://someone:hidden-word@");
    stack.balancer.set_env("PRIMARY_URL", &with_user);
    stack.balancer.start_again().await;
    let url = format!("{}/dashboard", stack.url());
    let answer = client::client().get(&url).send().await.expect("the page");
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    let (policy, content) = (header("content-security-policy"), header("content-type"));
    assert_eq!((answer.status().as_u16(), content.as_str()), (200, "text/html; charset=utf-8"));
    assert_eq!(header("cache-control"), "no-store");
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    let text = answer.text().await.expect("the page");
    assert!(!text.contains(&stack.nodes[0].url()), "figures come by the stream only");
    let mut events = Events::open(&events_url(&stack)).await.expect("a stream");
    let snapshot = events.next().await.expect("a snapshot").data.to_string();
    assert!(
        snapshot.contains(&stack.nodes[0].port().to_string()) && !snapshot.contains("hidden-word"),
        "{snapshot}"
    );
}

#[tokio::test]
async fn a_standby_names_the_holder_and_claims_to_know_no_lag() {
    let mut stack = Stack::start(Options::default()).await;
    let beside = stack.launch_beside();
    let lives =
        async || client::try_request(Method::GET, &format!("{}/livez", beside.url()), None).await.is_ok();
    until(SOON, "the standby", lives).await;
    let mut events = Events::open(&format!("{}/dashboard/events", beside.url())).await.expect("a stream");
    let told = |data: &Value| data["now"]["headlines"].to_string().contains("This balancer stands by");
    let data = event(&mut events, SOON, "it stands by", told).await;
    assert!(data["now"]["headlines"].to_string().contains(&stack.url()), "{data}");
    let point = |data: &Value| data["lately"]["points"].as_array().is_some_and(|points| !points.is_empty());
    let data = event(&mut events, SOON, "a point", point).await;
    let points = data["lately"]["points"].as_array().expect("points");
    assert!(points.iter().all(|point| point["nodes"][0]["lag"].is_null()), "{data}");
    assert_eq!(data["now"]["behind"], json!([]));
}

/// Opens the page and waits until it shows figures.
async fn page(stack: &Stack) -> Option<Browser> {
    let mut browser = Browser::start().await?;
    browser.look(DESKTOP, false).await;
    browser.open(&format!("{}/dashboard", stack.url())).await;
    shows(&mut browser, SOON, "#link", "Live").await;
    Some(browser)
}

/// Waits until the text is there.
async fn shows(browser: &mut Browser, within: Duration, selector: &str, text: &str) {
    let begun = Instant::now();
    loop {
        let found = browser.text(selector).await;
        if found.contains(text) {
            return;
        }
        assert!(
            begun.elapsed() < within,
            "not within {within:?}: {selector} shows `{text}`; it shows `{found}`"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_page_shows_a_killed_node_within_three_seconds_and_says_when_it_hears_nothing() {
    let mut stack = Stack::start(Options::default()).await;
    until_state(&stack.url(), "replica-1", "up").await;
    let Some(mut browser) = page(&stack).await else { return };
    let load = Load::start(&stack.url(), 2, 2).await;
    load.a_round(SOON).await;
    let told = browser.text("#headline").await;
    assert!(!told.is_empty() && !told.contains("replica-1 is down"), "{told}");
    shows(&mut browser, SOON, "#charts [data-key=applied] .legend", "/s").await;
    browser.shots("1-before").await;

    let killed = Instant::now();
    stack.replica().kill9();
    shows(&mut browser, PROMISED, "[data-key=replica-1] .badge", "down").await;
    println!("the page showed the death after {} ms", killed.elapsed().as_millis());
    assert!(killed.elapsed() < PROMISED, "{:?}", killed.elapsed());
    shows(&mut browser, SOON, "#sentence", "replica-1 is down since ").await;
    assert!(browser.text("#advice").await.contains("primary answers in its place"));
    shows(&mut browser, SOON, "#alerts", "opened: replica-1 is down").await;
    assert!(
        browser
            .value("document.title")
            .await
            .as_str()
            .is_some_and(|title| title.contains("replica-1 is down"))
    );
    browser.shots("2-during").await;

    stack.replica().start_again().await.expect("a second start");
    shows(&mut browser, SOON, "[data-key=replica-1] .badge", "● up").await;
    assert!(!browser.text("#headline").await.contains("replica-1 is down"));
    shows(&mut browser, SOON, "#changes", "replica-1: suspect → down").await;
    browser.shots("3-after").await;
    load.assert_nothing_failed();
    load.end(&stack, SOON).await;

    // A connection that is open and says nothing is no connection.
    stack.balancer.signal(Signal::SIGSTOP);
    shows(&mut browser, SOON, "#link", "Disconnected since ").await;
    stack.balancer.signal(Signal::SIGCONT);
    shows(&mut browser, SOON, "#link", "Live").await;

    stack.balancer.kill9();
    shows(&mut browser, SOON, "#link", "Disconnected since ").await;
    shows(&mut browser, SOON, "#sentence", "has not heard from the balancer since ").await;
    assert_eq!(browser.value("document.body.className").await, "stale", "the figures are grey");
    browser.shots("4-disconnected").await;
    stack.balancer.start_again().await;
    shows(&mut browser, SOON, "#link", "Live").await;
    shows(&mut browser, SOON, "[data-key=replica-1] .badge", "● up").await;
    assert!(!browser.text("#sentence").await.contains("has not heard"));
    assert_eq!(browser.value("document.body.className").await, "live");
}

#[tokio::test]
async fn on_a_phone_nothing_is_wider_than_the_screen_and_charts_are_read_by_keyboard() {
    let stack = Stack::start(Options::default()).await;
    let Some(mut browser) = page(&stack).await else { return };
    browser.look([360, 740], true).await;
    assert_eq!(browser.value("document.documentElement.scrollWidth").await, 360);
    let dark = browser.value("getComputedStyle(document.body).backgroundColor").await;
    browser.look([360, 740], false).await;
    assert_ne!(browser.value("getComputedStyle(document.body).backgroundColor").await, dark);
    shows(&mut browser, SOON, "#charts [data-key=host] .legend", "%").await;
    browser.value("document.getElementById('chart-host').focus()").await;
    browser.press("Home").await;
    shows(&mut browser, SOON, "#cursor", "Values of ").await;
    let label = browser.value("document.activeElement.getAttribute('aria-label')").await;
    assert!(label.as_str().is_some_and(|text| text.contains("CPU") && text.contains("memory")), "{label}");
    browser.press("Escape").await;
    shows(&mut browser, SOON, "#cursor", "Values are the latest").await;
}

#[tokio::test]
async fn an_operator_retries_a_dead_letter_on_the_page_with_the_key() {
    let (mut stack, refuser) = dead_letters::stack().await;
    let (_, letter) = dead_letters::open_letter(&mut stack, &refuser, "named").await;
    stack.balancer.stop().await;
    stack.balancer.set_env("ADMIN_TOKEN", "secret-word");
    stack.balancer.start_again().await;
    let Some(mut browser) = page(&stack).await else { return };
    shows(&mut browser, SOON, "#letters", &letter).await;
    shows(&mut browser, SOON, "#letters .place", "named").await;
    browser.shots("5-dead-letter").await;
    browser.value("document.querySelector('#letters button').focus()").await;
    browser.press("Enter").await;
    shows(&mut browser, SOON, "#letters-said", "not done. 401").await;
    assert_eq!(browser.value("document.activeElement.id").await, "key", "the key is asked for");
    browser.enter("secret-word").await;
    browser.press("Enter").await;
    shows(&mut browser, SOON, "#key-state", "A key is kept").await;
    shows(&mut browser, SOON, "#letters .reason", "upsert, 2 attempts: 400").await;
    assert!(
        browser.text("#letters .reason").await.contains("refused by the <b>test</b>"),
        "text, not markup"
    );
    browser.value("document.querySelectorAll('#letters button')[1].focus()").await;
    browser.press("Enter").await;
    shows(&mut browser, SOON, "#ask[open] #ask-what", &letter).await;
    browser.shots("6-discard").await;
    let focused = browser.value("document.activeElement.id").await;
    assert_eq!(focused, "ask-cancel", "a key that is pressed too soon changes nothing");
    browser.press("Enter").await;
    until(SOON, "the question is gone", async || browser.text("#ask[open]").await.is_empty()).await;
    refuser.refuse(None);
    browser.value("document.querySelector('#letters button').focus()").await;
    browser.press("Enter").await;
    shows(&mut browser, SOON, "#letters-said", "the entry is tried again").await;
    shows(&mut browser, SOON, "#letters-none", "No node refuses").await;
    let kept = browser
        .value("[location.href, document.cookie, localStorage.length, document.getElementById('key').value]")
        .await;
    assert_eq!(
        kept,
        json!([format!("{}/dashboard", stack.url()), "", 0, ""]),
        "the key is in the tab's session only"
    );
}

#[tokio::test]
async fn with_api_keys_the_page_asks_for_one_and_shows_everything_with_it() {
    let place = Place::new("keyed");
    let nodes = start_nodes(&place, 1, false).await;
    let keys = lines(&[("watcher", "read"), ("bound", "read tenant=t")]);
    let stack =
        Stack::over(place, nodes, Options { nodes: 1, ..Options::default() }.env("API_KEYS", &keys)).await;
    let Some(mut browser) = Browser::start().await else { return };
    browser.look(DESKTOP, false).await;
    browser.open(&format!("{}/dashboard", stack.url())).await;
    shows(&mut browser, SOON, "#link", "No key").await;
    shows(&mut browser, SOON, "#advice", "an API key is needed").await;
    assert_eq!(browser.value("document.activeElement.id").await, "key", "it is asked for");
    browser.shots("7-no-key").await;
    browser.enter(&secret("bound")).await;
    browser.press("Enter").await;
    shows(&mut browser, SOON, "#advice", "needs a key that is not bound").await;
    browser.enter(&secret("watcher")).await;
    browser.press("Enter").await;
    shows(&mut browser, SOON, "#link", "Live").await;
    shows(&mut browser, SOON, "[data-key=primary] .badge", "up").await;
    let kept = browser.value("[location.href, document.cookie, localStorage.length]").await;
    assert_eq!(kept, json!([format!("{}/dashboard", stack.url()), "", 0]));
    assert!(!stack.balancer.log().contains("planted"));
}
