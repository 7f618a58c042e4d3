//! Do the figures of a running balancer say what happens, under the names and labels that are documented?

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use chroma_ha_actors::stats::described;
use chroma_ha_actors::stats::family::Kind;
use serde_json::json;

use crate::harness::nodes::collections_url;
use crate::harness::surface::{create, exchange, metric, until_quiet, until_state, upsert};
use crate::harness::{Options, Stack, get, until};

const SOON: Duration = Duration::from_secs(20);

async fn scrape(url: &str) -> String {
    let (status, _, text) = exchange("GET", &format!("{url}/metrics"), &[], "").await;
    assert_eq!(status, 200, "{text}");
    text
}

/// Whether that line is there: a figure that is 0 is another matter than one that is not known.
async fn shows(url: &str, line: &str) -> bool {
    scrape(url).await.lines().any(|shown| shown == line)
}

/// The kind of every family on the page.
fn families(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

/// The labels of every sample, by its family.
fn labels(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let known = families(text);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let family = bare.filter(|bare| known.get(bare) == Some(&"histogram")).unwrap_or(name);
        let inside = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(l, _)| l);
        let names = inside.split("\",").filter_map(|pair| pair.split_once('=')).map(|(label, _)| label);
        let all = found.entry(family.to_owned()).or_default();
        all.extend(names.filter(|label| *label != "le").map(str::to_owned));
    }
    found
}

fn check_with_promtool(text: &str) {
    let command = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut checking = match command {
        Ok(checking) => checking,
        Err(reason) => return println!("promtool was not run ({reason}): the page is not checked by it"),
    };
    let mut input = checking.stdin.take().expect("its input");
    input.write_all(text.as_bytes()).expect("the page");
    drop(input);
    let output = checking.wait_with_output().expect("promtool");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn the_page_shows_what_is_documented_and_nothing_else() {
    let stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let id = create(&url, "measured").await;
    upsert(&url, &id, "r1", "text").await;
    assert_eq!(get(&format!("{}/{id}/count", collections_url(&url))).await.1, 1);
    until_quiet(&url).await;
    let text = scrape(&url).await;
    check_with_promtool(&text);
    let (shown, labels) = (families(&text), labels(&text));
    // Counters of what has not happened yet, and of what happened to no node so far, have no sample.
    let later = ["chroma_ha_deletion_conversions_total"];
    for family in described().expect("the families") {
        if later.contains(&family.name) && !shown.contains_key(family.name) {
            continue;
        }
        assert_eq!(shown.get(family.name), Some(&family.kind.name()), "{}", family.name);
        let documented: BTreeSet<String> = family.labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(labels[family.name], documented, "{}", family.name);
    }
    let documented: BTreeSet<&str> = described().expect("the families").iter().map(|f| f.name).collect();
    let others: Vec<_> = shown.keys().filter(|name| !documented.contains(**name)).collect();
    assert!(others.is_empty(), "not documented: {others:?}");
    assert!(shown.values().any(|kind| *kind == Kind::Histogram.name()));
}

#[tokio::test]
async fn lag_in_seconds_and_the_state_follow_a_node_that_is_away() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let id = create(&url, "measured").await;
    until_quiet(&url).await;
    let lag = "chroma_ha_node_lag_seconds{node=\"replica-1\"}";
    assert!(shows(&url, &format!("{lag} 0")).await);
    assert_eq!(metric(&url, "chroma_ha_node_state{node=\"replica-1\",state=\"up\"}").await, 1.0);
    assert_eq!(metric(&url, "chroma_ha_lease_held").await, 1.0);
    assert_eq!(metric(&url, "chroma_ha_postgres_up").await, 1.0);
    assert!(metric(&url, "process_resident_memory_bytes").await > 1e6);
    assert!(metric(&url, "process_cpu_seconds_total").await > 0.0);
    stack.replica().kill9();
    until_state(&url, "replica-1", "down").await;
    let logged = "chroma_ha_alerts_total{outcome=\"logged\"}";
    until(SOON, "alerts without a webhook are counted", async || {
        // A busy machine may have told of its CPU, too.
        let log = stack.balancer.log();
        let told = log.lines().filter(|line| line.contains(" alert ")).count();
        log.contains("node-down:replica-1") && metric(&url, logged).await == told as f64
    })
    .await;
    upsert(&url, &id, "r1", "text").await;
    // As old as the log says that the entry is.
    let (_, wal) = get(&format!("{url}/wal/status")).await;
    let logged_ms = wal["nodes"][1]["oldest_pending"].as_f64().expect("a time");
    until(SOON, "the lag is a second", async || metric(&url, lag).await > 1.0).await;
    let elapsed = || (chroma_ha_actors::wal::now_unix_ms() as f64 - logged_ms) / 1e3;
    let (least, shown, most) = (elapsed(), metric(&url, lag).await, elapsed());
    assert!((least - 0.1..=most + 0.1).contains(&shown), "{least} {shown} {most}");
    let states = ["up", "suspect", "down", "settling", "catching-up", "rebuilding", "drained"];
    let mut sum = 0.0;
    for state in states {
        sum += metric(&url, &format!("chroma_ha_node_state{{node=\"replica-1\",state=\"{state}\"}}")).await;
    }
    assert_eq!(sum, 1.0, "one state at a time");
    assert!(shows(&url, "chroma_ha_node_lag_seconds{node=\"primary\"} 0").await);
    // However many share a commit, the figures agree.
    let (commits, entries) = (
        metric(&url, "chroma_ha_wal_commits_total").await,
        metric(&url, "chroma_ha_wal_commit_entries_count").await,
    );
    assert_eq!(commits, entries);
    let appended = metric(&url, "chroma_ha_wal_appended_total").await;
    assert_eq!(metric(&url, "chroma_ha_wal_commit_entries_sum").await, appended);
    assert_eq!(metric(&url, "chroma_ha_wal_append_seconds_count").await, appended);
    let (_, status) = get(&format!("{url}/status")).await;
    assert_eq!(json!(metric(&url, "chroma_ha_lease_epoch").await as u64), status["epoch"]);
    stack.nodes[1].start_again().await.expect("the node again");
    until(SOON * 2, "no lag", async || shows(&url, &format!("{lag} 0")).await).await;
}
