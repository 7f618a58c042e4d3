//! Is a copy that was read record by record while writes went on, with the log from before it, the state at any
//! later position? Random histories of records and names against a model of Chroma's semantics. How real
//! servers take it is a promise's business.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[path = "simulation/chroma.rs"]
#[expect(dead_code, unreachable_pub, reason = "the simulation uses the rest")]
mod chroma;
#[path = "suffix/histories.rs"]
#[expect(dead_code, reason = "whole histories are made otherwise here")]
mod histories;
#[path = "backup/history.rs"]
mod history;
#[path = "simulation/names.rs"]
#[expect(dead_code, unreachable_pub, reason = "the simulation uses the rest")]
mod names;
#[path = "simulation/rng.rs"]
#[expect(dead_code, unreachable_pub, reason = "the simulation uses the rest")]
mod rng;

use std::collections::BTreeMap;

use chroma_ha_core::backup::{Fold, Logged, Names, Origin, Replay};
use chroma_ha_core::coalesce::Bounds;
use chroma_ha_core::entry::Op;
use chroma_ha_core::ids::{CollectionId, Seq};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

use chroma::{Records, parsed};
use history::{History, State, acts};

/// At which positions a backup reads what.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Noted first.
    from: usize,
    names: usize,
    /// No answer shows anything earlier. One may show less than the one before it: of another node.
    reads: usize,
    /// Noted last.
    through: usize,
    target: usize,
}

impl Times {
    fn of(mut drawn: [usize; 4], length: usize) -> Times {
        drawn.iter_mut().for_each(|time| *time %= length + 1);
        drawn.sort_unstable();
        let [from, names, through, target] = drawn;
        Times { from, names, reads: from, through, target }
    }
}

fn names_of(state: &State) -> Names {
    let collection = |(id, there): (&CollectionId, &history::Collection)| {
        (*id, "default_tenant".to_owned(), there.database.clone(), there.name.clone())
    };
    Names {
        tenants: vec!["default_tenant".to_owned()],
        databases: state
            .databases
            .iter()
            .map(|(name, id)| (*id, "default_tenant".to_owned(), name.clone()))
            .collect(),
        collections: state.collections.iter().map(collection).collect(),
    }
}

/// Ids at one position, then each record at one of its own: what is not there then is not copied.
fn copied(history: &History, times: Times, id: CollectionId, chance: &mut impl FnMut() -> usize) -> Records {
    let mut copy = Records::default();
    let mut meanwhile = || times.reads + chance() % (times.through - times.reads + 1);
    let Some(listed) = history.states[meanwhile()].collections.get(&id) else { return copy };
    for record in listed.records.0.keys() {
        let read = meanwhile();
        let there = history.states[read].collections.get(&id).and_then(|there| there.records.0.get(record));
        if let Some(there) = there {
            copy.0.insert(record.clone(), there.clone());
        }
    }
    copy
}

/// The cluster that is restored from what was read at these times.
fn restored(history: &History, times: Times, mut chance: impl FnMut() -> usize, together: bool) -> State {
    let log: Vec<Logged> = history.log[times.from..times.target]
        .iter()
        .map(|logged| {
            serde_json::from_str(&serde_json::to_string(logged).expect("a line")).expect("an entry")
        })
        .collect();
    let mut fold = Fold::of(&names_of(&history.states[times.names]));
    log.iter().for_each(|logged| fold.log(logged).expect("a legal entry"));
    let plan = fold.plan();
    let databases = plan.databases.iter().map(|(id, _, name)| (name.clone(), *id)).collect();
    let mut state = State { databases, ..State::default() };
    for planned in &plan.collections {
        let records = match planned.origin {
            Origin::Base => copied(history, times, planned.id, &mut chance),
            Origin::Created(_) => Records::default(),
        };
        let there = history::Collection {
            database: planned.database.clone(),
            name: planned.name.clone(),
            color: planned.changes.last().map_or_else(
                || base_color(history, times, planned.id, &planned.origin, &mut chance),
                |change| change["new_metadata"].clone(),
            ),
            records,
        };
        state.collections.insert(planned.id, there);
    }
    let bounds = if together { Bounds::default() } else { Bounds { records: 1, ..Bounds::default() } };
    let mut replay = Replay::of(plan.collections.iter().map(|planned| planned.id), bounds);
    let mut due = Vec::new();
    log.iter().for_each(|logged| due.extend(replay.log(logged).expect("an effect")));
    due.extend(replay.end());
    for request in due {
        let records = &mut state.collections.get_mut(&request.collection).expect("it was planned").records;
        let judged = records.apply(request.op, &parsed(&request.body), 99);
        assert!(judged.is_ok(), "an accepted entry is refused: {request:?}");
    }
    state
}

/// Metadata of a collection is read some time after its name.
fn base_color(
    history: &History,
    times: Times,
    id: CollectionId,
    origin: &Origin,
    chance: &mut impl FnMut() -> usize,
) -> Value {
    if let Origin::Created(body) = origin {
        return body.get("metadata").cloned().unwrap_or_default();
    }
    let read = times.reads + chance() % (times.through - times.reads + 1);
    let there = (times.reads..=read).rev().find_map(|at| history.states[at].collections.get(&id));
    there.map(|there| there.color.clone()).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_read_over_time_and_the_log_are_the_state_at_any_later_position(
        acts in acts(),
        drawn in any::<[usize; 4]>(),
        seeds in prop::collection::vec(any::<usize>(), 1..40),
        together in any::<bool>(),
    ) {
        let history = History::of(&acts);
        let times = Times::of(drawn, history.log.len());
        let mut turn = seeds.iter().cycle();
        let found = restored(&history, times, || *turn.next().expect("a cycle"), together);
        prop_assert_eq!(&found, &history.states[times.target], "{:?}\n{:#?}", times, history.log);
    }
}

/// The test above can fail: without the log from before the copy to its end, what is read at different moments
/// is no state that ever was.
#[test]
fn the_copy_alone_would_not_do() {
    let mut wrong = 0;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for seed in 0..300 {
        let acts = acts().new_tree(&mut runner).expect("a history").current();
        let history = History::of(&acts);
        let end = history.log.len();
        let times = Times { from: end, names: end / 3, reads: end / 2, through: end, target: end };
        let found = restored(&history, times, || seed, false);
        wrong += usize::from(found != history.states[end]);
    }
    assert!(wrong > 100, "{wrong} of 300 differ");
}

/// A write that no server got before its collection was deleted: nobody knows what it did, and it matters until
/// then only.
#[test]
fn what_nobody_knows_is_refused_until_the_collection_is_deleted() {
    use history::Act;
    let [one, other] = [0, 1].map(|name| Act::Create { database: 0, name });
    let clear = Act::Write { database: 0, name: 0, op: Op::Delete, body: json!({ "where": { "k": 1 } }) };
    let paint = Act::Paint { database: 0, name: 1, color: 0 };
    let mut history = History::of(&[one, other, clear, paint, Act::Drop { database: 0, name: 0 }]);
    history.log[2].effect = None;
    let known = |target: usize| {
        let mut fold = Fold::of(&names_of(&history.states[2]));
        history.log[2..target].iter().for_each(|logged| fold.log(logged).expect("a legal entry"));
        fold.plan().is_known(Seq(target as u64))
    };
    assert_eq!([2, 3, 4, 5].map(|target| known(target).is_ok()), [true, false, false, true]);
    assert!(known(4).unwrap_err().contains("one cannot be restored to position 4: the log does not tell"));
}

/// A name that was given back and taken again: entries that the names show already must not be applied by name.
#[test]
fn a_name_that_changed_hands_is_restored_to_the_last_one() {
    use history::Act;
    let acts = [
        Act::Create { database: 0, name: 0 },
        Act::Drop { database: 0, name: 0 },
        Act::Create { database: 0, name: 0 },
        Act::Rename { database: 0, name: 0, to: 1 },
        Act::Create { database: 0, name: 0 },
    ];
    let history = History::of(&acts);
    let end = history.log.len();
    let last = &history.states[end];
    assert_eq!(last.collections.len(), 2);
    for names in 0..=end {
        let times = Times { from: 0, names, reads: end, through: end, target: end };
        assert_eq!(&restored(&history, times, || 0, true), last, "names read at {names}");
    }
    let names: BTreeMap<_, _> =
        last.collections.values().map(|there| (there.name.clone(), there.database.clone())).collect();
    assert_eq!(names.len(), 2);
}
