//! After an acknowledged write, does every read through the balancer see it or a later state? With all
//! reads preferring the replica, which is the node that could show something old.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::nodes::collections_url;
use crate::harness::status::until_all_up;
use crate::harness::surface::{RETURN, create, document, metric, records, until_quiet, upsert};
use crate::harness::{Options, Stack, assert_nodes_equal, get};

const SOON: Duration = Duration::from_secs(5);

const WRITERS: usize = 8;

const ROUNDS: usize = 8;

/// Records that keep a returning replica busy for a while.
const BULK: usize = 1_000;

const REPLICA_READS: &str = r#"chroma_ha_reads_total{node="replica-1"}"#;

const PRIMARY_READS: &str = r#"chroma_ha_reads_total{node="primary"}"#;

fn replica_first() -> Options {
    let options = Options::default().env("LOAD_BALANCE_STRATEGY", "optimized_read_replica");
    options.env("READ_REPLICA_RATIO", "1.0")
}

/// Writes and reads back at once, by every kind of read.
async fn write_and_read(url: &str, id: &str, writer: usize) {
    let record = format!("w{writer}");
    for round in 0..ROUNDS {
        let text = format!("round {round}");
        upsert(url, id, &record, &text).await;
        assert_eq!(document(url, id, &record).await, text.as_str(), "a stale get");
        let extra = format!("{record}-{round}");
        upsert(url, id, &extra, &text).await;
        let query = json!({"query_embeddings": [[1.0, 2.0, 3.0]], "n_results": 200, "include": []});
        let (status, answer) = records(url, id, "query", &query).await;
        assert_eq!(status, 200, "{answer}");
        let found = answer["ids"][0].as_array().expect("ids").iter().any(|one| *one == extra.as_str());
        assert!(found, "a stale query: {extra} is not in {answer}");
        let (_, gone) = records(url, id, "delete", &json!({"ids": [extra]})).await;
        assert_eq!(gone["deleted"], 1, "{gone}");
        assert!(document(url, id, &extra).await.is_null(), "a deleted record was read");
    }
}

#[tokio::test]
async fn concurrent_writers_read_their_own_writes_at_once() {
    // Figures are compared exactly: a slow probe must not move a read.
    let stack = Stack::start(replica_first().env("PROBE_TIMEOUT", "20")).await;
    let url = stack.url();
    let ids = [create(&url, "shared").await, create(&url, "other").await];
    join_all((0..WRITERS).map(|writer| write_and_read(&url, &ids[writer % 2], writer))).await;
    for name in ["shared", "other"] {
        assert_nodes_equal(&stack, name, SOON).await;
    }
    // Nothing is pending: now it is the replica that answers, and it holds the last round.
    until_quiet(&url).await;
    let (replica, primary) = (metric(&url, REPLICA_READS).await, metric(&url, PRIMARY_READS).await);
    for writer in 0..WRITERS {
        let text = format!("round {}", ROUNDS - 1);
        assert_eq!(document(&url, &ids[writer % 2], &format!("w{writer}")).await, text.as_str());
    }
    assert_eq!(metric(&url, REPLICA_READS).await, replica + WRITERS as f64);
    assert_eq!(metric(&url, PRIMARY_READS).await, primary);
}

#[tokio::test]
async fn a_replica_that_is_behind_answers_nothing_until_it_has_caught_up() {
    let mut stack = Stack::start(replica_first()).await;
    let url = stack.url();
    let id = create(&url, "paused").await;
    upsert(&url, &id, "a", "old").await;
    until_quiet(&url).await;
    assert_eq!(document(&url, &id, "a").await, "old");
    stack.replica().sigstop();
    // What it takes long to apply stands before the write that reads must not miss.
    let ids: Vec<String> = (0..BULK).map(|n| format!("bulk{n}")).collect();
    let bulk = json!({"ids": ids, "embeddings": vec![[1, 2, 3]; BULK]});
    assert_eq!(records(&url, &id, "upsert", &bulk).await.0, 200);
    for n in 0..5 {
        let text = format!("new {n}");
        upsert(&url, &id, "a", &text).await;
        assert_eq!(document(&url, &id, "a").await, text.as_str());
    }
    stack.replica().sigcont();
    // From here on every read must be right while the replica comes back to serving.
    let before = metric(&url, REPLICA_READS).await;
    let begun = Instant::now();
    while metric(&url, REPLICA_READS).await <= before {
        assert_eq!(document(&url, &id, "a").await, "new 4", "a replica that is behind was read");
        assert!(begun.elapsed() < RETURN, "the replica does not answer reads again");
    }
    assert_nodes_equal(&stack, "paused", SOON).await;
}

/// A collection is there, renamed, changed and gone for the next request after its answer.
#[tokio::test]
async fn catalog_writes_are_seen_by_the_next_read_under_every_strategy() {
    let mut stack = Stack::start(Options::default()).await;
    for strategy in ["optimized_read_replica", "round_robin", "least_outstanding", "primary_only"] {
        stack.balancer.stop().await;
        stack.balancer.set_env("LOAD_BALANCE_STRATEGY", strategy);
        stack.balancer.start_again().await;
        // Before the primary has settled the replica answers under every strategy.
        until_all_up(&stack).await;
        let url = stack.url();
        let base = collections_url(&url);
        for round in 0..4 {
            let (name, renamed) = (format!("{strategy}-{round}"), format!("{strategy}-{round}-renamed"));
            let id = create(&url, &name).await;
            assert_eq!(get(&format!("{base}/{name}")).await.1["id"], id.as_str());
            upsert(&url, &id, "a", "text").await;
            assert_eq!(get(&format!("{base}/{id}/count")).await.1, 1);
            let change = json!({"new_name": renamed});
            assert_eq!(crate::harness::put(&format!("{base}/{id}"), &change).await.0, 200);
            assert_eq!(get(&format!("{base}/{name}")).await.0, 404);
            assert_eq!(get(&format!("{base}/{renamed}")).await.1["id"], id.as_str());
            assert_eq!(crate::harness::delete(&format!("{base}/{renamed}")).await.0, 200);
            assert_eq!(get(&format!("{base}/{renamed}")).await.0, 404);
            assert_eq!(get(&base).await.1, json!([]));
        }
        let (replica, primary) = (metric(&url, REPLICA_READS).await, metric(&url, PRIMARY_READS).await);
        assert!(primary > 0.0, "{strategy}");
        assert!(strategy != "primary_only" || replica < 1.0, "{strategy}: {replica}");
        assert!(spread(&url, strategy).await, "{strategy}");
    }
}

/// Whether quiet reads reach the replica, which every strategy but one wants.
async fn spread(url: &str, strategy: &str) -> bool {
    until_quiet(url).await;
    let before = metric(url, REPLICA_READS).await;
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(get(&collections_url(url)).await.0, 200);
    }
    let reached = metric(url, REPLICA_READS).await > before;
    assert!(begun.elapsed() < SOON);
    reached != (strategy == "primary_only")
}
