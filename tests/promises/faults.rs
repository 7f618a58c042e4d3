//! When servers, disks, the database and every link fail at once, over and over, is anything lost, does
//! anything come back, do nodes differ, or does a read miss what was acknowledged? Fixed seeds here; more
//! with `cargo soak`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chroma_ha::dev::Chroma;
use serde_json::{Value, json};

use crate::harness::campaign::report::{Report, Summary};
use crate::harness::campaign::verdict::{Kind, verdict};
use crate::harness::campaign::{Campaign, Chance, Plan, stable_name};
use crate::harness::nodes::collections_url;
use crate::harness::twin::id_of;
use crate::harness::{node_records, post};

/// Chosen so that every kind of fault is among them; see the test of that.
const SEEDS: [u64; 4] = [34, 35, 38, 41];

/// Faults of a fixed seed begin within this time.
const SPAN: Duration = Duration::from_secs(9);

/// The same of a soak.
const LONG_SPAN: Duration = Duration::from_secs(20);

async fn campaign(plan: Plan) -> Report {
    let report = Campaign::run(plan).await;
    println!("{report}");
    report
}

async fn passes(seed: u64, ack: &'static str) {
    let report = campaign(Plan { ack, ..Plan::new(seed, SPAN) }).await;
    assert!(!report.is_bad(), "{}", report.complaints());
}

#[tokio::test]
async fn nothing_is_lost_under_the_first_seed() {
    passes(SEEDS[0], "applied").await;
}

#[tokio::test]
async fn nothing_is_lost_under_the_second_seed() {
    passes(SEEDS[1], "applied").await;
}

#[tokio::test]
async fn nothing_is_lost_under_the_third_seed_with_two_balancers() {
    passes(SEEDS[2], "applied").await;
}

#[tokio::test]
async fn nothing_is_lost_under_the_fourth_seed_with_two_balancers() {
    passes(SEEDS[3], "applied").await;
}

#[tokio::test]
async fn nothing_that_the_log_acknowledges_is_lost() {
    passes(SEEDS[0], "log").await;
}

#[tokio::test]
async fn nothing_that_the_log_acknowledges_is_lost_with_two_balancers() {
    passes(SEEDS[3], "log").await;
}

#[test]
fn the_fixed_seeds_hold_every_kind_of_fault() {
    let plans: Vec<Plan> = SEEDS.iter().map(|seed| Plan::new(*seed, SPAN)).collect();
    let kinds: BTreeSet<String> = plans.iter().flat_map(|plan| plan.kinds().into_keys()).collect();
    for wanted in [
        "balancer kill",
        "balancer pause",
        "node kill",
        "node pause",
        "node wipe",
        "PostgreSQL kill",
        "PostgreSQL pause",
        "node link black hole",
        "client link refuse",
        "node link requests late",
        "node link response lost",
        "node link response lost, hung",
        "node link response cut",
        "client link reset",
        "client link black hole",
        "client link delay",
        "database link reset",
        "database link requests late",
        "database link response lost",
        "database link black hole",
    ] {
        assert!(kinds.contains(wanted), "{wanted} is not among {kinds:?}");
    }
    assert_eq!(plans.iter().map(|plan| plan.balancers).collect::<Vec<_>>(), [1, 1, 2, 2]);
}

/// A row of `verb` straight to the nodes, past the balancer.
async fn tamper(nodes: &[Chroma], collection: &str, verb: &str, body: &Value) {
    for node in nodes {
        let id = id_of(&node.url(), collection).await;
        let (status, answer) = post(&format!("{}/{id}/{verb}", collections_url(&node.url())), body).await;
        assert!(status < 300, "{answer}");
    }
}

/// What the verdict says now, each kind once.
async fn kinds(campaign: &Campaign) -> Vec<Kind> {
    let found = verdict(&campaign.arena, &campaign.hub, Duration::from_millis(500)).await;
    let kinds: BTreeSet<Kind> = found.wrong.iter().map(|wrong| wrong.kind).collect();
    kinds.into_iter().collect()
}

#[tokio::test]
async fn what_is_done_behind_the_balancers_back_is_found() {
    let mut campaign = Campaign::prepare(Plan::calm(1)).await;
    campaign.strike().await;
    assert_eq!(campaign.arena.converged().await, None);
    assert_eq!(kinds(&campaign).await, []);
    let stable = stable_name(0);
    let held = node_records(&campaign.arena.stack.nodes[0].url(), &stable).await;
    let id = held.keys().find(|id| id.starts_with('w')).expect("a client's record").clone();
    let nodes = &campaign.arena.stack.nodes;
    let without = json!({"ids": [id]});
    tamper(&nodes[..1], &stable, "delete", &without).await;
    assert_eq!(kinds(&campaign).await, [Kind::Diverged]);
    tamper(&nodes[1..], &stable, "delete", &without).await;
    assert_eq!(kinds(&campaign).await, [Kind::Lost]);
    let other = json!({"ids": [id], "embeddings": [[9_999_999, 1.0, -0.5]], "documents": ["9999999"],
        "metadatas": [{"last": 9_999_999}]});
    tamper(nodes, &stable, "add", &other).await;
    assert_eq!(kinds(&campaign).await, [Kind::Inadmissible]);
    campaign.hub.deleted(&stable, &id);
    assert_eq!(kinds(&campaign).await, [Kind::Resurrected]);
    tamper(nodes, &stable, "delete", &without).await;
    assert_eq!(kinds(&campaign).await, []);
    tamper(nodes, &stable, "add", &json!({"ids": ["stranger"], "embeddings": [[1.0, 1.0, -0.5]]})).await;
    assert_eq!(kinds(&campaign).await, [Kind::Inadmissible]);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `cargo soak`, for `CHROMA_HA_SOAK_MINUTES`, from `CHROMA_HA_SOAK_SEED` on; that seed alone without
/// minutes.
#[tokio::test]
#[ignore = "takes as long as it is told to"]
async fn soak() {
    let first = number("CHROMA_HA_SOAK_SEED");
    let minutes = number("CHROMA_HA_SOAK_MINUTES").unwrap_or(if first.is_some() { 0 } else { 30 });
    let begun = Instant::now();
    let chosen = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut seeds = Chance::new(chosen.map_or(0, |since| since.as_secs()));
    let mut summary = Summary::default();
    let mut seed = first.unwrap_or_else(|| seeds.below(1 << 32));
    loop {
        summary.add(&campaign(Plan::new(seed, LONG_SPAN)).await);
        if begun.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
        seed = if first.is_some() { seed + 1 } else { seeds.below(1 << 32) };
    }
    println!("{summary}");
    assert!(summary.failed().is_empty(), "failed seeds: {:?}", summary.failed());
}
