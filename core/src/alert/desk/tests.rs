//! What the desk sends, and what not.

use proptest::prelude::*;

use super::*;
use crate::alert::Severity;

const LIMITS: DeskLimits = DeskLimits { cool_down_ms: 1000, burst: 3, window_ms: 500, matters: 200 };

fn alert(key: &str, phase: Phase) -> Alert {
    Alert {
        key: key.to_owned(),
        severity: Severity::Warning,
        phase,
        title: format!("title of {key}"),
        what: String::new(),
        effect: String::new(),
        action: String::new(),
        at_ms: 7,
    }
}

fn opened(key: &str) -> Alert {
    alert(key, Phase::Opened)
}

fn resolved(key: &str) -> Alert {
    alert(key, Phase::Resolved)
}

/// As it is told.
fn over(key: &str) -> Alert {
    Alert { what: "It lasted 0 s.".to_owned(), ..resolved(key) }
}

fn notice(key: &str, title: &str) -> Alert {
    Alert { title: title.to_owned(), ..alert(key, Phase::Notice) }
}

#[test]
fn one_message_opens_and_one_resolves() {
    let mut desk = Desk::new(LIMITS);
    assert_eq!(desk.accept(opened("a"), 1), [opened("a")]);
    assert_eq!(desk.accept(opened("a"), 2), []);
    assert_eq!(desk.accept(resolved("a"), 3), [over("a")]);
    assert_eq!(desk.accept(resolved("a"), 4), []);
    assert_eq!(desk.suppressed(), 2);
}

#[test]
fn what_is_over_says_how_long_it_lasted() {
    let mut desk = Desk::new(LIMITS);
    desk.accept(Alert { at_ms: 10_000, ..opened("a") }, 1);
    let end = Alert { at_ms: 140_500, what: "It answers.".to_owned(), ..resolved("a") };
    assert_eq!(desk.accept(end, 2)[0].what, "It lasted 2 min 10 s. It answers.");
}

#[test]
fn the_same_notice_is_said_once_and_then_counted() {
    let mut desk = Desk::new(LIMITS);
    assert_eq!(desk.accept(notice("a", "x"), 0).len(), 1);
    for n in 1..=3 {
        assert_eq!(desk.accept(notice("a", "x"), n), []);
    }
    assert_eq!(desk.accept(notice("a", "y"), 10), [notice("a", "y")], "another title is news");
    assert_eq!(desk.accept(notice("a", "y"), 11), []);
    assert_eq!(desk.tick(1009), []);
    let [again] = desk.tick(1010).try_into().unwrap();
    assert!(again.what.ends_with("(1 time since the last message.)"), "{again:?}");
    assert_eq!(desk.accept(notice("a", "y"), 1500), [], "the cool-down began anew");
}

#[test]
fn a_flood_of_matters_is_counted_in_little_memory() {
    let mut desk = Desk::new(LIMITS);
    (0..10_000).for_each(|n| drop(desk.accept(opened(&format!("key-{n}")), 600)));
    assert!(desk.matters.len() <= LIMITS.matters && desk.held.len() <= HELD);
    let [summary] = desk.tick(1200).try_into().unwrap();
    assert_eq!(summary.title, "9,997 more alerts within a short time");
}

#[test]
fn what_nobody_heard_of_is_not_resolved() {
    assert_eq!(Desk::new(LIMITS).accept(resolved("a"), 1), []);
}

#[test]
fn a_flapping_matter_is_told_again_only_if_it_lasts() {
    let mut desk = Desk::new(LIMITS);
    desk.accept(opened("a"), 0);
    desk.accept(resolved("a"), 100);
    assert_eq!(desk.accept(opened("a"), 200), []);
    assert_eq!(desk.accept(resolved("a"), 300), []);
    assert_eq!(desk.accept(opened("a"), 400), []);
    assert_eq!(desk.tick(1299), []);
    assert_eq!(desk.tick(1300), [opened("a")]);
    assert_eq!(desk.accept(resolved("a"), 1400), [over("a")]);
}

#[test]
fn after_the_cool_down_a_matter_is_new() {
    let mut desk = Desk::new(LIMITS);
    desk.accept(opened("a"), 0);
    desk.accept(resolved("a"), 100);
    assert_eq!(desk.accept(opened("a"), 1100), [opened("a")]);
}

#[test]
fn a_burst_ends_in_one_summary() {
    let mut desk = Desk::new(LIMITS);
    for key in ["a", "b", "c", "d", "e", "f"] {
        desk.accept(opened(key), 600);
    }
    assert_eq!(desk.accept(resolved("f"), 700), [], "opened and resolved unheard");
    assert_eq!(desk.accept(resolved("a"), 700), []);
    let [summary] = desk.tick(1100).try_into().unwrap();
    assert_eq!(summary.phase, Phase::Notice);
    assert_eq!(summary.what, "title of d\ntitle of e\nresolved: title of a");
    assert_eq!(desk.tick(2000), []);
    assert_eq!(desk.accept(resolved("d"), 2100), [over("d")]);
}

#[test]
fn matters_that_are_over_are_forgotten() {
    let mut desk = Desk::new(LIMITS);
    for n in 0..100u64 {
        desk.accept(opened(&format!("key-{n}")), n);
        desk.accept(resolved(&format!("key-{n}")), n);
    }
    desk.tick(5000);
    assert!(desk.matters.is_empty());
}

proptest! {
    #[test]
    fn messages_of_one_matter_alternate_and_stay_within_the_burst(
        facts in prop::collection::vec((0u8..5, any::<bool>(), 0u64..400), 0..200),
    ) {
        let mut desk = Desk::new(DeskLimits { burst: usize::MAX, ..LIMITS });
        let mut bounded = Desk::new(LIMITS);
        let mut last: BTreeMap<String, Phase> = BTreeMap::new();
        let (mut now, mut times) = (0, Vec::new());
        for (key, open, pause) in facts {
            now += pause;
            let fact = alert(&key.to_string(), if open { Phase::Opened } else { Phase::Resolved });
            for sent in desk.accept(fact.clone(), now) {
                let before = last.insert(sent.key.clone(), sent.phase);
                prop_assert_eq!(before.unwrap_or(Phase::Resolved) == Phase::Resolved, sent.phase == Phase::Opened);
            }
            times.extend(bounded.accept(fact, now).iter().map(|_| now));
        }
        for start in &times {
            let within = times.iter().filter(|time| **time >= *start && **time < start + LIMITS.window_ms);
            prop_assert!(within.count() <= 2 * LIMITS.burst);
        }
    }
}
