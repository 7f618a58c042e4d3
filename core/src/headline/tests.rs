//! Is the worst matter told first, and does a calm cluster get a calm sentence?

use std::time::Duration;

use super::*;
use crate::alert::{Phase, strain};
use crate::pressure::{Sample, Strain, Thresholds};

fn node(name: &str, state: NodeState) -> NodeFacts {
    NodeFacts { name: name.to_owned(), state, since_ms: 1_000, lag: 7 }
}

fn facts(states: [NodeState; 2]) -> Facts {
    let [primary, replica] = states;
    Facts {
        log: Log::Here,
        log_since_ms: 500,
        nodes: vec![node("primary", primary), node("replica-1", replica)],
        acting: Some("primary".to_owned()),
        matters: Vec::new(),
    }
}

fn first(facts: &Facts) -> Headline {
    headlines(facts).remove(0)
}

#[test]
fn a_calm_cluster_says_so_and_since_when() {
    let told = headlines(&facts([NodeState::Up, NodeState::Up]));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].severity, told[0].since_ms), (Severity::Info, Some(1_000)));
    assert_eq!(told[0].what, "All 2 nodes are up and follow the log");
}

#[test]
fn a_node_that_is_down_is_a_warning_with_who_answers_and_what_it_misses() {
    let told = first(&facts([NodeState::Up, NodeState::Down]));
    assert_eq!((told.severity, told.what.as_str()), (Severity::Warning, "replica-1 is down"));
    assert_eq!(
        told.effect,
        "Users notice nothing: primary answers in its place, and the log keeps what it misses."
    );
    let mut gone = facts([NodeState::Down, NodeState::Up]);
    gone.acting = Some("replica-1".to_owned());
    assert!(first(&gone).effect.starts_with("Users notice nothing: replica-1 answers"));
    for acting in [Some("primary".to_owned()), None] {
        gone.acting = acting;
        let effect = first(&gone).effect;
        assert!(effect.starts_with("Served is what the other nodes"), "nobody stands in for it: {effect}");
    }
}

#[test]
fn a_node_that_catches_up_is_no_alarm_and_promises_no_more_than_there_is() {
    let mut back = facts([NodeState::Up, NodeState::CatchingUp]);
    let told = first(&back);
    assert_eq!((told.severity, told.what.as_str()), (Severity::Info, "replica-1 is catching up"));
    assert_eq!(told.effect, "Users notice nothing: primary answers in its place.");
    back.acting = None;
    assert_eq!(first(&back).effect, "It is used where it is up to date.");
}

#[test]
fn every_node_gone_is_one_line_and_critical() {
    let told = headlines(&facts([NodeState::Down, NodeState::Drained]));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].severity, Severity::Critical);
}

#[test]
fn nobody_fit_to_be_read_is_told_before_what_each_waits_for() {
    let told = headlines(&facts([NodeState::Settling { until: Duration::ZERO }, NodeState::Down]));
    assert_eq!(told[0].what, "No node is fit to be read at this moment");
    assert_eq!(told.len(), 3);
}

#[test]
fn a_log_that_cannot_be_written_comes_before_a_node() {
    for log in [Log::Lost, Log::Unreached] {
        let mut lost = facts([NodeState::Up, NodeState::Down]);
        lost.log = log;
        let told = headlines(&lost);
        assert_eq!((told[0].severity, told[0].since_ms), (Severity::Critical, Some(500)));
        assert!(told[0].effect.contains("reads go on"), "{}", told[0].effect);
        assert!(!told[1].effect.contains("misses"), "what a node misses is not known: {}", told[1].effect);
    }
    let mut nothing = facts([NodeState::Suspect, NodeState::Suspect]);
    nothing.log = Log::Lost;
    assert!(first(&nothing).effect.contains("Reads and writes are answered 503"));
}

#[test]
fn a_standby_names_the_holder_and_is_not_alarmed() {
    let mut standby = facts([NodeState::Up, NodeState::Up]);
    standby.log = Log::Elsewhere("http://there:8000".to_owned());
    let told = first(&standby);
    assert_eq!(told.severity, Severity::Info);
    assert!(told.what.contains("http://there:8000"));
}

#[test]
fn an_open_matter_is_told_with_its_own_words_in_the_order_of_severity() {
    let alert = Alert {
        key: "dead-letter:replica-1:42".to_owned(),
        severity: Severity::Critical,
        phase: Phase::Opened,
        title: "replica-1 refuses an accepted write".to_owned(),
        what: "Entry 42 is a dead letter.".to_owned(),
        effect: "E.".to_owned(),
        action: "A.".to_owned(),
        at_ms: 9,
    };
    let mut troubled = facts([NodeState::Up, NodeState::Down]);
    let busy = strain::opened(Strain::Cpu, &Sample::default(), &Thresholds::default(), 3);
    troubled.matters = vec![(busy, Some(3)), (alert, Some(9))];
    let told = headlines(&troubled);
    assert_eq!(told[0].what, "replica-1 refuses an accepted write");
    assert_eq!(told[0].detail.as_deref(), Some("Entry 42 is a dead letter."));
    assert_eq!((told[0].since_ms, told.len()), (Some(9), 3));
    assert!(told.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
}

#[test]
fn a_node_that_is_up_may_be_a_moment_behind() {
    let mut behind = facts([NodeState::Up, NodeState::Up]);
    behind.nodes[1].lag = MOMENT;
    assert!(first(&behind).what.starts_with("All 2 nodes"));
    behind.nodes[1].lag = MOMENT + 1;
    assert_eq!(first(&behind).what, "replica-1 is up but behind");
}
