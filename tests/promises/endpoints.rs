//! Do the balancer's own pages say what they promise, and do their figures move with the mechanism?
//! Asked while all is well, with a node away, and with no node at all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::surface::{create, exchange, metric, until_quiet, until_state, upsert};
use crate::harness::{Options, Stack, get, until};

const SOON: Duration = Duration::from_secs(45);

const ACTORS: [&str; 7] = ["proxy", "wal", "replay", "health", "resources", "slack", "supervisor"];

fn assert_has(page: &Value, fields: &[&str]) {
    for field in fields {
        assert!(page.get(*field).is_some(), "{field} is missing in {page}");
    }
}

#[tokio::test]
async fn status_describes_the_log_the_nodes_and_the_actors() {
    let stack =
        Stack::start(Options::default().env("SERVICE_NAME", "named-here").env("PROBE_TIMEOUT", "20")).await;
    let url = stack.url();
    until_state(&url, "replica-1", "up").await;
    let (status, page) = get(&format!("{url}/status")).await;
    assert_eq!((status, &page["service"], &page["status"]), (200, &json!("named-here"), &json!("healthy")));
    assert_has(&page, &["version", "uptime_seconds", "epoch", "role", "resources", "requests"]);
    assert_eq!(page["role"], "holder");
    let log = &page["write_ahead_log"];
    assert_has(log, &["pending_writes", "head", "completed"]);
    assert_eq!((&log["database"], &log["persistence"]), (&json!("PostgreSQL"), &json!("Enabled")));
    for (at, node) in stack.nodes.iter().enumerate() {
        let shown = &page["nodes"][at];
        assert_has(shown, &["state", "lag_entries", "cursor", "outstanding_reads", "role"]);
        assert_eq!(shown["url"].as_str().map(|url| url.trim_end_matches('/')), Some(node.url().as_str()));
    }
    let actors = page["actors"].as_array().expect("actors");
    for kind in ACTORS {
        let of_kind = |actor: &&Value| actor["name"].as_str().is_some_and(|name| name.contains(kind));
        let of_kind: Vec<&Value> = actors.iter().filter(of_kind).collect();
        assert!(!of_kind.is_empty(), "no {kind} in {page}");
        assert_has(of_kind[0], &["mailbox_capacity", "last_error", "last_heard_ms", "errors", "in_flight"]);
        assert_eq!(
            (&of_kind[0]["restarts_after_panic"], &of_kind[0]["restarts_after_stop"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(of_kind[0]["state"], "running");
    }
    let before = handled(&page, "wal");
    create(&url, "heard").await;
    let (_, page) = get(&format!("{url}/status")).await;
    assert!(handled(&page, "wal") > before, "{page}");
}

fn handled(page: &Value, kind: &str) -> u64 {
    let of_kind = |actor: &&Value| actor["name"].as_str().is_some_and(|name| name.contains(kind));
    let actors = page["actors"].as_array().expect("actors").iter().filter(of_kind);
    actors.filter_map(|actor| actor["handled"].as_u64()).sum()
}

#[tokio::test]
async fn credentials_in_addresses_are_not_shown_anywhere() {
    let mut stack = Stack::start(Options::default()).await;
    stack.balancer.stop().await;
    let with_user = stack.primary().url().replace("http://", "http://someone:hidden-word@");
    stack.balancer.set_env("PRIMARY_URL", &with_user);
    stack.balancer.set_env("ADMIN_TOKEN", "hidden-word");
    stack.balancer.start_again().await;
    let url = stack.url();
    for path in ["/status", "/wal/status", "/wal/stats", "/metrics", "/metrics?format=json", "/health"] {
        let (status, _, text) = exchange("GET", &format!("{url}{path}"), &[], "").await;
        assert_eq!(status, 200, "{path}");
        assert!(!text.contains("hidden-word"), "{path}: {text}");
    }
    assert!(!stack.balancer.log().contains("hidden-word"));
}

/// Samples by name with labels; every line must be well-formed and belong to a described family.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    let mut families = Vec::new();
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.push(rest.split(' ').next().expect("a name").to_owned());
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            let name = sample.split('{').next().expect("a name");
            let family = families.last().expect("a family before its samples");
            assert!(name.starts_with(family.as_str()), "{line} is not of {family}");
            assert_eq!(sample.contains('{'), sample.ends_with('}'), "{line}");
            let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
            assert!(samples.insert(sample.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    samples
}

async fn samples(url: &str) -> BTreeMap<String, f64> {
    let (status, content, text) = exchange("GET", &format!("{url}/metrics"), &[], "").await;
    assert_eq!(status, 200);
    assert!(content.starts_with("text/plain"), "{content}");
    parsed(&text)
}

#[tokio::test]
async fn metrics_move_with_writes_and_reads() {
    // Figures are compared exactly: a slow probe must not move a write or a read.
    let mut options = Options::default().env("PROBE_TIMEOUT", "20");
    for threshold in ["WAL_MEMORY_THRESHOLD", "WAL_CPU_THRESHOLD"] {
        options = options.env(threshold, "80");
    }
    let stack = Stack::start(options).await;
    let url = stack.url();
    let id = create(&url, "measured").await;
    until_quiet(&url).await;
    let before = samples(&url).await;
    for n in 0..5 {
        upsert(&url, &id, &format!("r{n}"), "text").await;
    }
    let bad = json!({"ids": ["bad"], "embeddings": [[1.0]]});
    assert_eq!(crate::harness::surface::records(&url, &id, "upsert", &bad).await.0, 400);
    until_quiet(&url).await;
    for _ in 0..3 {
        assert_eq!(get(&format!("{}/{id}/count", collections_url(&url))).await.1, 5);
    }
    let after = samples(&url).await;
    let rose =
        |sample: &str| after.get(sample).unwrap_or(&0.0) - before.get(sample).copied().unwrap_or_default();
    assert_eq!(rose(r#"chroma_ha_writes_total{op="upsert",outcome="applied"}"#), 5.0);
    assert_eq!(rose(r#"chroma_ha_writes_total{op="upsert",outcome="rejected"}"#), 1.0);
    assert_eq!(rose("chroma_ha_wal_appended_total"), 6.0);
    assert_eq!(rose("chroma_ha_wal_head"), 6.0);
    assert_eq!(rose(r#"chroma_ha_applied_total{node="primary",role="acting"}"#), 5.0);
    assert_eq!(rose(r#"chroma_ha_applied_total{node="replica-1",role="following"}"#), 5.0);
    let reads =
        ["primary", "replica-1"].map(|node| rose(&format!("chroma_ha_reads_total{{node=\"{node}\"}}")));
    assert_eq!(reads.iter().sum::<f64>(), 3.0, "{reads:?}");
    for asked in [("", "application/json"), ("?format=json", "*/*")] {
        let page = format!("{url}/metrics{}", asked.0);
        let (_, content, text) = exchange("GET", &page, &[("accept", asked.1)], "").await;
        assert!(content.starts_with("application/json"), "{content}");
        let page: Value = serde_json::from_str(&text).expect("JSON");
        assert_has(&page, &["cpu_percent", "memory_percent", "rss_bytes", "thresholds"]);
        assert_eq!(page["thresholds"], json!({"cpu_percent": 80.0, "memory_percent": 80.0}));
        assert!(page["rss_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{page}");
    }
    let latency = async |node: usize, of: &str| {
        let (_, page) = get(&format!("{url}/status")).await;
        page["nodes"][node][of]["p99"].as_f64()
    };
    until(SOON, "what the nodes took in the last minute", async || {
        let applied = [latency(0, "apply_seconds").await, latency(1, "apply_seconds").await];
        let read = [latency(0, "read_seconds").await, latency(1, "read_seconds").await];
        applied.iter().all(Option::is_some)
            && read.map(|seconds| seconds.is_some()) == reads.map(|count| count > 0.0)
    })
    .await;
    let (_, page) = get(&format!("{url}/status")).await;
    let actors = page["actors"].as_array().expect("actors");
    let limited = |name: &str| actors.iter().find(|actor| actor["name"] == name).expect("the actor");
    assert_eq!(limited("wal")["in_flight_limit"], page["requests"]["limit"]);
    assert_eq!(limited("proxy 0")["in_flight_limit"], page["requests"]["limit"]);
    let (_, stats) = get(&format!("{url}/wal/stats")).await;
    let rate = &stats["last_minute"][1]["figures"]["applied_per_second"];
    assert!(rate.as_f64().is_some_and(|rate| rate > 0.0), "{rate}");
    let commit = &stats["chroma_ha_wal_commit_seconds"][0];
    assert!(commit["count"].as_u64().is_some_and(|count| count >= 6), "{stats}");
    assert!(commit["p99_seconds"].as_f64() >= commit["p50_seconds"].as_f64(), "{commit}");
}

async fn code(url: &str, path: &str) -> u16 {
    get(&format!("{url}{path}")).await.0
}

#[tokio::test]
async fn health_follows_the_nodes() {
    let mut stack = Stack::start(Options::default().env("PROBE_TIMEOUT", "20")).await;
    let url = stack.url();
    let id = create(&url, "watched").await;
    until_quiet(&url).await;
    let health = async || get(&format!("{url}/health")).await;
    until(SOON, "healthy", async || health().await == (200, json!({"status": "healthy"}))).await;
    assert_eq!([code(&url, "/livez").await, code(&url, "/readyz").await], [200, 200]);
    stack.replica().kill9();
    until_state(&url, "replica-1", "down").await;
    assert_eq!(health().await, (200, json!({"status": "degraded"})));
    assert_eq!(metric(&url, r#"chroma_ha_node_up{node="replica-1"}"#).await, 0.0);
    for n in 0..3 {
        upsert(&url, &id, &format!("r{n}"), "text").await;
    }
    let lag = r#"chroma_ha_node_lag_entries{node="replica-1"}"#;
    assert_eq!(metric(&url, lag).await, 3.0);
    let (_, page) = get(&format!("{url}/status")).await;
    assert_eq!(
        (&page["nodes"][1]["lag_entries"], &page["write_ahead_log"]["pending_writes"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(page["nodes"][0]["lag_entries"], 0);
    let waited = |page: &Value, node: usize| page["nodes"][node]["lag_seconds"].as_f64();
    assert_eq!(waited(&page, 0), Some(0.0));
    assert!(waited(&page, 1).is_some_and(|seconds| seconds > 0.0), "{page}");
    let (_, wal) = get(&format!("{url}/wal/status")).await;
    assert_has(&wal, &["head", "completed", "quarantined", "nodes"]);
    assert_eq!((&wal["nodes"][1]["pending"], &wal["nodes"][1]["node"]), (&json!(3), &json!("replica-1")));
    let streams = wal["nodes"][1]["streams"].as_array().expect("streams");
    assert_eq!((streams.len(), &streams[0]["stream"]), (1, &json!(id)), "{wal}");
    assert_eq!(wal["nodes"][0]["streams"], json!([]));
    // Writes to known collections are still kept: degraded, not dead, and alive all the time.
    stack.primary().kill9();
    until_state(&url, "primary", "down").await;
    assert_eq!(health().await, (200, json!({"status": "degraded"})));
    assert_eq!([code(&url, "/livez").await, code(&url, "/readyz").await], [200, 200]);
    for node in &mut stack.nodes {
        node.start_again().await.expect("the node again");
    }
    until(SOON * 2, "healthy again", async || health().await.1["status"] == "healthy").await;
    until_quiet(&url).await;
    assert_eq!(metric(&url, lag).await, 0.0);
    assert_eq!(metric(&url, r#"chroma_ha_node_up{node="replica-1"}"#).await, 1.0);
}
