//! A node in doubt that has nobody to be compared with, or not for the moment: only the log can help it.

use super::*;

/// Its records have other ids: a comparison would find every one different and replace the collection.
#[test]
fn a_node_with_other_ids_is_compared_with_nobody() {
    let mut s = given_up();
    s.set_other_ids(B, DOCS, true);
    s.verify(None, true, 1).expect("nothing else is verified");
    assert!(s.steps(B, 0).is_empty() && s.steps(A, 0).is_empty());
    assert_eq!((s.verification().waiting, s.verification().skipped), (0, 1));
    let steps = s.steps(B, 2_000);
    let [Step::Replay(task)] = &steps[..] else { panic!("{steps:?}") };
    assert!(s.replay(B, task));
    assert_eq!(starts(&mut s, B).0, "l1");
    s.loaded(B, s.life, STREAM, Seq(1), vec![write(1, "a")], Seq(1));
    let again = one(&mut s, B, "f1");
    assert!(applied(&mut s, B, &again));
    assert!(s.steps(B, 4_000).is_empty());
    assert_eq!(s.node(B).durable_cursor(), Seq(1));
    assert!(s.node(B).doubts.of(STREAM).is_none());
}

/// The only other node has other ids: the log must do, as with a single node.
#[test]
fn a_node_beside_one_with_other_ids_is_given_the_log_once_more() {
    let mut s = nodes(2);
    s.set_other_ids(B, DOCS, true);
    s.admit(&[write(1, "a")]);
    let late = one(&mut s, A, "a1");
    in_doubt(&mut s, A, &late);
    s.set_standing(A, SUSPECT);
    s.set_standing(A, UP);
    let again = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &again));
    assert!(s.steps(A, 0).is_empty());
    let steps = s.steps(A, 2_000);
    let [Step::Replay(task)] = &steps[..] else { panic!("{steps:?}") };
    assert!(s.replay(A, task));
}

/// The other node is inspected, settles or is copied to: it is back before the log must do.
#[test]
fn a_witness_that_is_away_for_a_moment_is_waited_for() {
    let mut s = given_up();
    s.set_standing(A, SUSPECT);
    assert!(s.steps(B, 0).is_empty());
    s.set_standing(A, UP);
    idle(&mut s, A);
    let task = comparison(&mut s, B, 10);
    s.abandon(B, &task);
    s.set_standing(A, SUSPECT);
    assert!(s.steps(B, 2_500).is_empty(), "alone for a moment, twice");
    s.set_standing(A, UP);
    idle(&mut s, A);
    comparison(&mut s, B, 2_600);
}

/// Under a load that never pauses the lane is busy whenever the log is to be applied again.
#[test]
fn a_busy_lane_goes_back_when_it_is_next_idle() {
    let mut s = nodes(1);
    s.admit(&[write(1, "a")]);
    let late = one(&mut s, A, "a1");
    in_doubt(&mut s, A, &late);
    s.set_standing(A, SUSPECT);
    s.set_standing(A, UP);
    let again = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &again));
    assert!(s.steps(A, 0).is_empty());
    s.admit(&[write(2, "b")]);
    let steps = s.steps(A, 2_000);
    let [Step::Apply(busy), Step::Replay(task)] = &steps[..] else { panic!("{steps:?}") };
    assert!(s.replay(A, task), "taken down");
    assert!(s.node(A).doubts.is_fresh(STREAM), "not done yet");
    s.admit(&[write(3, "c")]);
    assert!(applied(&mut s, A, busy));
    assert_eq!(starts(&mut s, A).0, "l1", "the log from the first entry in doubt, not the third entry");
    assert!(!s.node(A).doubts.is_fresh(STREAM));
}
