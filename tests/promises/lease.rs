//! Does one balancer apply at any time? A holder that was paused past its lease, or cannot reach
//! PostgreSQL any more, applies and acknowledges nothing, and serves again by way of the next holder.

use std::time::{Duration, Instant};

use chroma_ha::dev::http_status;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::chaos::Mode;
use crate::harness::nodes::collections_url;
use crate::harness::stack::Options;
use crate::harness::status::{PATIENCE, pending};
use crate::harness::{Balancer, Load, Stack, assert_nodes_equal, get, node_records, post, until};

const LEASE_TIME: &str = "2";

/// What a node takes longer for, so that the holder has much in hand for it.
const SLOW: Duration = Duration::from_millis(400);

/// Much longer than a lane rests between two requests.
const WATCH: Duration = Duration::from_secs(3);

async fn status_of(balancer: &Balancer) -> Value {
    get(&format!("{}/status", balancer.url())).await.1
}

/// The first balancer behind links that can be cut, a standby with its own way to everything.
async fn two() -> (Stack, Balancer) {
    let options = Options { own_postgres: true, chaos: true, ..Options::default() };
    let mut stack = Stack::start(options.env("LEASE_TIME", LEASE_TIME)).await;
    let direct = stack.postgres.as_ref().expect("its own").url();
    let mut beside = stack.launch_beside();
    beside.kill9();
    beside.set_env("DATABASE_URL", &direct);
    beside.set_env("PRIMARY_URL", &stack.nodes[0].url());
    beside.set_env("REPLICA_URL", &stack.nodes[1].url());
    beside.launch();
    let port = beside.port();
    until(PATIENCE, "the second one stands by", async || {
        http_status(port, "/readyz").await == Some(200) && status_of(&beside).await["role"] == "standby"
    })
    .await;
    (stack, beside)
}

async fn takes_over(beside: &Balancer) {
    until(PATIENCE, "the standby takes over", async || status_of(beside).await["role"] == "holder").await;
}

/// It knows its place, and what is asked of it is answered.
async fn stands_by(first: &Balancer, beside: &Balancer) {
    let port = first.port();
    until(PATIENCE, "the former holder stands by", async || {
        http_status(port, "/readyz").await == Some(200)
            && status_of(first).await["holder"] == json!(beside.url())
    })
    .await;
    assert_eq!(status_of(first).await["role"], "standby");
    let (code, listed) = get(&collections_url(&first.url())).await;
    assert_eq!(code, 200, "{listed}");
}

#[tokio::test]
async fn a_holder_that_was_paused_past_its_lease_applies_nothing_when_it_wakes() {
    let (mut stack, mut beside) = two().await;
    let base = collections_url(&stack.url());
    let (code, made) = post(&base, &json!({"name": "paused"})).await;
    assert_eq!(code, 200, "{made}");
    let records = |url: &str| format!("{}/{}", collections_url(url), made["id"].as_str().expect("an id"));
    let upsert = |n: u32| json!({"ids": ["a"], "embeddings": [[n, 1.0]], "documents": [n.to_string()]});
    stack.links().nodes[1].set(Mode::Delay { each_way: SLOW, jitter: Duration::ZERO }).await;
    for n in 0..20 {
        let (code, answer) = post(&format!("{}/upsert", records(&stack.url())), &upsert(n)).await;
        assert_eq!(code, 200, "{answer}");
    }
    assert!(pending(&stack).await > 5, "the holder has entries in hand for the replica");
    stack.balancer.signal(Signal::SIGSTOP);
    // Not even the end of its session must tell it, only its own clock.
    stack.links().database.set(Mode::BlackHole).await;
    takes_over(&beside).await;
    let (code, answer) = post(&format!("{}/upsert", records(&beside.url())), &upsert(1_000)).await;
    assert_eq!(code, 200, "{answer}");
    assert_nodes_equal(&stack, "paused", PATIENCE).await;
    let last = node_records(&stack.nodes[1].url(), "paused").await;
    stack.links().nodes[1].set(Mode::Pass).await;
    stack.balancer.signal(Signal::SIGCONT);
    let woken = Instant::now();
    while woken.elapsed() < WATCH {
        for node in &stack.nodes {
            assert_eq!(node_records(&node.url(), "paused").await, last, "{} was written to", node.name());
        }
    }
    stack.links().database.set(Mode::Pass).await;
    stands_by(&stack.balancer, &beside).await;
    let (code, answer) = post(&format!("{}/upsert", records(&stack.url())), &upsert(2_000)).await;
    assert_eq!(code, 200, "{answer}");
    assert_nodes_equal(&stack, "paused", PATIENCE).await;
    for balancer in [&stack.balancer, &beside] {
        assert_eq!(balancer.log().matches("the lease on the log is held").count(), 1);
    }
    beside.stop().await;
}

#[tokio::test]
async fn a_holder_cut_off_from_postgresql_alone_gives_way_and_comes_back_as_a_standby() {
    let (stack, mut beside) = two().await;
    let load = Load::start_over(&stack.url(), &beside.url(), "load", 8, 4).await;
    load.a_round(PATIENCE).await;
    let begun = Instant::now();
    stack.links().database.set(Mode::BlackHole).await;
    takes_over(&beside).await;
    assert_eq!(status_of(&stack.balancer).await["role"], "standby");
    load.a_round(PATIENCE).await;
    load.print_gap("the holder cut off", begun);
    stack.links().database.set(Mode::Pass).await;
    stands_by(&stack.balancer, &beside).await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
    beside.stop().await;
}

/// A balancer that starts does not know at once how the others show themselves.
#[tokio::test]
async fn what_another_balancer_passes_on_is_logged_under_its_id_or_not_at_all() {
    let mut stack = Stack::start(Options::default().env("LEASE_TIME", "300")).await;
    let id = crate::harness::surface::create(&stack.url(), "docs").await;
    let database = crate::harness::sql::connect(&stack.database_url).await;
    let key: String = database.query_one("SELECT peer_key FROM wal_lease", &[]).await.expect("a key").get(0);
    stack.balancer.stop().await;
    let url = format!("{}/{id}/upsert", collections_url(&stack.url()));
    let body = json!({"ids": ["r"], "embeddings": [[1.0, 2.0, 3.0]]});
    let pass_on = async || {
        let request = reqwest::Client::new().post(&url).json(&body);
        let request =
            request.header("x-chroma-ha-peer", &key).header("x-chroma-ha-forwarded-write", "passed-on");
        let Ok(answer) = request.send().await else { return false };
        let (status, untaken) = (answer.status(), answer.headers().contains_key("x-chroma-ha-not-holder"));
        assert!(status == 200 || (status == 503 && untaken), "{status} {:?}", answer.text().await);
        status == 200
    };
    // From before it listens on, until it takes it: long before it looks at the others again.
    let taken = until(Duration::from_secs(20), "it is taken", pass_on);
    tokio::join!(stack.balancer.start_again(), taken);
    let rows = database.query("SELECT write_id FROM wal_pending_writes WHERE op = 'upsert'", &[]).await;
    let ids: Vec<String> = rows.expect("rows").iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, ["passed-on"]);
}
