//! Writes of copies that were given up: nothing is copied again too early, and what they changed late is
//! found.

use super::*;
use crate::port::{Leftover, LeftoverState};

const OWN: Uuid = Uuid::from_u128(200);

/// B's collection waits to be copied from A; one of two entries is applied.
fn to_be_copied() -> Sequencer {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add; 2]);
    for (node, expected) in [(A, "a1"), (B, "f1")] {
        let first = one(&mut s, node, expected);
        assert!(applied(&mut s, node, &first));
    }
    s.set_aside(B, DOCS, "differs").expect("A has it");
    s
}

fn copies(s: &mut Sequencer, now_ms: u64) -> Vec<CopyTask> {
    let copy = |step| match step {
        Step::Copy(task) => Some(task),
        _ => None,
    };
    s.steps(B, now_ms).into_iter().filter_map(copy).collect()
}

fn copy(s: &mut Sequencer, now_ms: u64) -> CopyTask {
    copies(s, now_ms).pop().expect("a copy")
}

fn broken() -> Result<Uuid, CopyFailure> {
    Err(CopyFailure::Broken("refused".to_owned()))
}

#[test]
fn nothing_is_copied_again_before_the_node_has_settled_whatever_is_heard_first() {
    let mut s = to_be_copied();
    let task = copy(&mut s, 0);
    assert!(s.copied(B, &task, Err(CopyFailure::InDoubt("no answer".to_owned())), 0));
    // Health has not heard of it. Time ends a wait, and so does the return of any node, but not this.
    s.set_standing(A, SUSPECT);
    s.set_standing(A, UP);
    one(&mut s, A, "a2");
    s.set_standing(B, UP);
    assert_eq!(copies(&mut s, u64::MAX / 2).len(), 0);
    s.set_standing(B, SUSPECT);
    s.set_standing(B, UP);
    assert_eq!(starts(&mut s, B).0, "c1");
}

#[test]
fn one_that_was_refused_is_tried_again_in_its_time() {
    let mut s = to_be_copied();
    let task = copy(&mut s, 0);
    assert!(s.copied(B, &task, broken(), 0));
    assert_eq!(copies(&mut s, 9_999).len(), 0);
    copy(&mut s, 10_000);
}

/// What a copy that went on leaves behind; `left`: what the attempt before it left.
fn complete(left: LeftoverState, own: Uuid) -> Sequencer {
    let mut s = to_be_copied();
    let task = copy(&mut s, 0);
    s.leftover(B, DOCS, Leftover { node_collection: OWN, state: left });
    assert!(s.copied(B, &task, broken(), 0));
    let task = copy(&mut s, 10_000);
    assert!(s.copied(B, &task, Ok(own), 10_000));
    s
}

#[test]
fn every_record_of_a_copy_that_went_on_is_in_doubt() {
    let mut s = complete(LeftoverState::Begun(Seq(1)), OWN);
    let doubt = s.node(B).doubts.of(STREAM).expect("in doubt").clone();
    assert_eq!((doubt.first, doubt.last, doubt.ids), (Seq(2), Seq(2), None));
    assert!(s.node(B).doubts.of(Stream::Catalog).is_none());
    assert_eq!(s.durable(B).0, Seq(1), "a restart must find it again");
    assert_eq!(starts(&mut s, B).0, "l2");
    s.loaded(B, s.life, STREAM, Seq(2), vec![entry(2, Op::Add)], Seq(2));
    for (node, expected) in [(A, "a2"), (B, "f2")] {
        let task = one(&mut s, node, expected);
        assert!(applied(&mut s, node, &task));
    }
    assert_eq!(readable(&s), [0], "others are read until it was looked at");
    assert_eq!(starts(&mut s, B).0, "compare with primary");
}

/// What is late comes to a collection that is gone.
#[test]
fn nothing_is_in_doubt_of_a_copy_that_was_made_at_one_go() {
    let mut s = to_be_copied();
    let task = copy(&mut s, 0);
    s.leftover(B, DOCS, Leftover { node_collection: OWN, state: LeftoverState::Begun(Seq(1)) });
    assert!(s.copied(B, &task, Ok(OWN), 0));
    assert_eq!(s.node(B).doubts.fresh(), 0);
    let s = complete(LeftoverState::Begun(Seq(1)), Uuid::from_u128(201));
    assert_eq!(s.node(B).doubts.fresh(), 0);
}

/// A copy deletes by name what it replaces: late, that takes away what it made.
#[test]
fn after_an_attempt_that_may_have_deleted_the_node_is_looked_at_again() {
    let mut s = complete(LeftoverState::Void, Uuid::from_u128(201));
    assert!(s.node(B).doubts.of(STREAM).is_none());
    assert!(s.node(B).doubts.is_fresh(Stream::Catalog));
    s.steps(B, 10_000);
    let steps = s.steps(B, 10_000);
    assert!(matches!(&steps[..], [Step::Inspect { .. }]), "{steps:?}");
}

/// Read there, a record would be older than the position from which the next attempt replays.
#[test]
fn a_source_that_is_behind_what_an_earlier_attempt_brought_is_waited_for() {
    let mut s = to_be_copied();
    let task = copy(&mut s, 0);
    s.leftover(B, DOCS, Leftover { node_collection: OWN, state: LeftoverState::Begun(Seq(2)) });
    assert!(s.copied(B, &task, broken(), 0));
    assert_eq!(copies(&mut s, 10_000).len(), 0);
    let second = one(&mut s, A, "a2");
    assert!(applied(&mut s, A, &second));
    assert_eq!(copy(&mut s, 10_000).position, Seq(2));
}
