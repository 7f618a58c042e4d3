//! When servers, disks, the database and every link fail at once, over and over, is anything lost, does
//! anything come back, do nodes differ, or does a read miss what was acknowledged? Fixed seeds here; more
//! with `cargo soak`.

use std::time::{Duration, Instant};

use crate::harness::campaign::report::{Report, Summary};
use crate::harness::campaign::{Campaign, Chance, Plan};

/// Faults of a fixed seed begin within this time.
const SPAN: Duration = Duration::from_secs(10);

/// The same of a soak.
const LONG_SPAN: Duration = Duration::from_secs(20);

async fn campaign(seed: u64, span: Duration) -> Report {
    let report = Campaign::run(Plan::new(seed, span)).await;
    println!("{report}");
    report
}

async fn passes(seed: u64) {
    let report = campaign(seed, SPAN).await;
    assert!(!report.is_bad(), "{}", report.complaints());
}

#[tokio::test]
async fn nothing_is_lost_under_seed_1() {
    passes(1).await;
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
        summary.add(&campaign(seed, LONG_SPAN).await);
        if begun.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
        seed = if first.is_some() { seed + 1 } else { seeds.below(1 << 32) };
    }
    println!("{summary}");
    assert!(summary.failed().is_empty(), "failed seeds: {:?}", summary.failed());
}
