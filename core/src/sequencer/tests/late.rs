//! Outcomes that come too late: those of a request that a node was asked in an earlier standing, while it
//! is being asked the same again.

use super::*;

/// The node was asked, lost its standing, and is asked again: the first request, then the second.
fn asked_twice(op: Op) -> (Sequencer, Task, Task) {
    let mut s = nodes(1);
    admit(&mut s, &[op]);
    let first = one(&mut s, A, "a1");
    s.set_standing(A, SUSPECT);
    s.set_standing(A, UP);
    let second = one(&mut s, A, "a1");
    (s, first, second)
}

#[test]
fn what_was_asked_before_decides_nothing_while_it_is_asked_again() {
    let (mut s, first, second) = asked_twice(Op::Add);
    assert!(!applied(&mut s, A, &first), "it came too late");
    assert_eq!(s.completed(), Seq(0));
    assert!(applied(&mut s, A, &second));
    assert_eq!(s.completed(), Seq(1));
}

#[test]
fn what_was_asked_before_claims_nothing_while_it_is_asked_again() {
    let (mut s, first, second) = asked_twice(Op::DeleteCollection);
    assert!(!s.claim(ticket(A, &first)));
    rejected(&mut s, A, &second);
}

#[test]
fn what_was_asked_before_ends_no_claim_of_another() {
    let (mut s, first, second) = asked_twice(Op::DeleteCollection);
    assert!(s.claim(ticket(A, &second)));
    assert!(!s.finish(ticket(A, &first), &first.entries, Outcome::Retry { until_ms: 0 }));
    assert!(s.claimed(ticket(A, &second)));
}
