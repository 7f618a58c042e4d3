//! The sequencer under every interleaving that chance finds: real decisions, a scripted log and servers
//! with Chroma's quirks. Many seeds a run; a failing one is printed with how to replay it.
#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod simulation {
    pub mod ahead;
    pub mod balancer;
    pub mod checks;
    pub mod chroma;
    pub mod copy;
    pub mod delivery;
    pub mod faults;
    pub mod inspect;
    pub mod lease;
    pub mod names;
    pub mod oracle;
    pub mod orders;
    pub mod peer;
    pub mod progress;
    pub mod readback;
    pub mod rng;
    pub mod schedule;
    pub mod store;
    pub mod world;
}

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use chroma_ha_core::entry::Op;
use simulation::rng::Rng;
use simulation::schedule::{OPERATOR, plan};
use simulation::world::{Plan, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What went wrong under this seed.
fn failure(seed: u64, trace: bool, seen: &Mutex<BTreeSet<String>>) -> Option<String> {
    failure_of(seed, plan(&Rng::new(seed ^ 0xABCD)), trace, seen)
}

fn failure_of(seed: u64, plan: Plan, trace: bool, seen: &Mutex<BTreeSet<String>>) -> Option<String> {
    let run = || {
        let world = World::new(seed, plan, trace);
        world.say(|| format!("{:?}", world.plan));
        world.run();
        let failure = world.failure.borrow().clone();
        world.drop_tasks(|_| true);
        seen.lock().unwrap_or_else(PoisonError::into_inner).append(&mut world.seen.borrow_mut());
        failure
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Some("panicked, see above".to_owned()))
}

fn report(seed: u64, seen: &Mutex<BTreeSet<String>>) -> Option<String> {
    let text = failure(seed, false, seen)?;
    Some(format!(
        "seed {seed}: {text}\n  CHROMA_HA_SIM_SEED={seed} cargo test -p chroma-ha-core --test simulation"
    ))
}

/// `CHROMA_HA_SIM_SEEDS=n` runs that many; `CHROMA_HA_SIM_SEED=n` only this one, with a trace.
#[test]
fn every_schedule_keeps_the_promises() {
    let seen = Mutex::default();
    if let Some(seed) = number("CHROMA_HA_SIM_SEED") {
        let found = failure(seed, true, &seen);
        assert_eq!(found, None, "seed {seed}");
        return;
    }
    let seeds = number("CHROMA_HA_SIM_SEEDS").unwrap_or(10_000);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (failed, seen) = (&failed, &seen);
            scope.spawn(move || {
                let found = (thread..seeds).step_by(threads as usize).filter_map(|seed| report(seed, seen));
                failed.lock().unwrap().extend(found.take(5));
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    // The limit of ADR 15: nothing is lost, and one collection stands still.
    let (waiting, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(|text| text.contains(OPERATOR));
    println!("{} of {seeds} wait for an operator", waiting.len());
    assert!(failed.is_empty() && waiting.len() as u64 <= 1 + seeds / 10_000, "{failed:#?}\n{waiting:#?}");
    let seen = seen.into_inner().unwrap();
    let unseen: Vec<_> = cases().into_iter().filter(|case| !seen.contains(case)).collect();
    assert!(seeds < 10_000 || unseen.is_empty(), "never happened: {unseen:?}, only {seen:?}");
}

/// What ten thousand runs must have met.
fn cases() -> Vec<String> {
    let ops = Op::ALL.into_iter().filter(|op| *op != Op::UpdateTenant);
    let judged = ops.flat_map(|op| {
        let rejected = (op != Op::Reset).then(|| format!("{} Rejected", op.name()));
        std::iter::once(format!("{} Accepted", op.name())).chain(rejected)
    });
    let others = [
        "acknowledged by the log",
        "crash",
        "lost lease",
        "takeover",
        "late and fenced",
        "moot upsert Rejected",
        "failing Rejected",
        "failing Accepted",
        "lost disk",
        "lost collections",
        "copy",
        "copy broke off",
        "copy goes on",
        "copy broke off for an operator",
        "drained",
        "undrained",
    ];
    judged.chain(others.map(str::to_owned)).collect()
}

/// Seeds that failed once: paste them here, with what they showed.
#[test]
fn seeds_that_failed_once() {
    // 404 for a record write after a recovery: the delete that took its collection was not read back yet.
    // 9,771: an update of missing ids, sent whole for Chroma to judge, was accepted after one 500.
    // 4,072 and 30,188: what was applied in one request with its successor was read as not applied and rejected.
    // 25,214: a doubt about two entries of one request ended with the first. 29,431 and 36,203: an earlier entry of
    // such a request was applied again over a later one.
    const SEEDS: [u64; 10] = [4_072, 6_246, 9_771, 16_265, 25_214, 29_431, 30_188, 30_776, 36_127, 36_203];
    // Then no operator took nodes out.
    let plan = |seed| Plan { operated: false, ..plan(&Rng::new(seed ^ 0xABCD)) };
    let failed = |seed| failure_of(seed, plan(seed), false, &Mutex::default());
    let failed: Vec<String> =
        SEEDS.into_iter().filter_map(|seed| Some(format!("seed {seed}: {}", failed(seed)?))).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
