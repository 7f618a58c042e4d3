//! In doubt, and nobody to compare with: the log must do, but not because a witness is away for a moment.

use super::*;

#[test]
fn alone_a_node_is_given_the_log_once_more() {
    let mut s = nodes(1);
    s.admit(&[write(1, "a")]);
    let late = one(&mut s, A, "a1");
    s.set_standing(A, SUSPECT);
    assert!(!applied(&mut s, A, &late));
    s.set_standing(A, UP);
    let again = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &again));
    assert!(s.steps(A, 0).is_empty() && s.steps(A, 1_999).is_empty());
    let steps = s.steps(A, 2_000);
    let [Step::Replay(task)] = &steps[..] else { panic!("{steps:?}") };
    assert!(s.replay(A, task) && s.node(A).cursor() == Seq(0));
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
