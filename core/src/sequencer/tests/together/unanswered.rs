//! What is remembered of requests with several writes that had no answer.

use super::*;

#[test]
fn a_node_that_falls_under_a_request_is_asked_what_it_has_of_it() {
    let mut s = together(2);
    admit(&mut s, &[Op::Upsert, Op::Upsert]);
    expect(&mut s, A, &[1, 2], RunEnd::Drained);
    fall(&mut s, A);
    assert!(expect(&mut s, A, &[1, 2], RunEnd::Held).read);
}

/// What adds may be done again, in any order.
#[test]
fn only_requests_whose_order_matters_are_read_back() {
    for op in [Op::Add, Op::Delete] {
        let mut s = together(1);
        admit(&mut s, &[op, op]);
        let both = expect(&mut s, A, &[1, 2], RunEnd::Drained);
        broken(&mut s, A, &both);
        assert!(!expect(&mut s, A, &[1], RunEnd::Held).read);
    }
}

#[test]
fn what_did_not_go_is_not_read_back() {
    let mut s = together(1);
    admit(&mut s, &[Op::Upsert, Op::Upsert]);
    let both = expect(&mut s, A, &[1, 2], RunEnd::Drained);
    s.shorten(ticket(A, &both), 1);
    fall(&mut s, A);
    let first = next(&mut s, A).0;
    assert!(!first.read && first.entries.len() == 1);
}

/// Three updates went together and had no answer.
fn unanswered() -> Sequencer {
    let mut s = together(2);
    admit(&mut s, &[Op::Upsert, Op::Upsert, Op::Upsert]);
    let all = expect(&mut s, A, &[1, 2, 3], RunEnd::Drained);
    finish(&mut s, A, &all, Outcome::InDoubt);
    s.set_standing(A, SUSPECT);
    s
}

#[test]
fn undecided_ones_go_alone_on_every_node_until_the_last_of_them_is_decided() {
    let mut s = unanswered();
    for (seq, end) in [(1, RunEnd::Held), (2, RunEnd::Held), (3, RunEnd::Held)] {
        let task = expect(&mut s, B, &[seq], end);
        assert!(s.is_doubtful(B, &task.entries[0]), "{seq}");
        assert!(applied(&mut s, B, &task));
    }
    admit(&mut s, &[Op::Upsert, Op::Upsert]);
    expect(&mut s, B, &[4, 5], RunEnd::Drained);
}

#[test]
fn a_node_on_which_one_was_applied_again_shows_nothing_of_the_rest() {
    let mut s = unanswered();
    let first = expect(&mut s, B, &[1], RunEnd::Held);
    assert!(applied(&mut s, B, &first));
    s.set_standing(A, UP);
    assert!(!s.is_masked(A, &entry(2, Op::Upsert)));
    let again = expect(&mut s, A, &[1], RunEnd::Held);
    assert!(!again.read, "accepted elsewhere, it is applied");
    assert!(applied(&mut s, A, &again));
    assert!(s.is_masked(A, &entry(3, Op::Upsert)) && !s.is_masked(A, &entry(4, Op::Upsert)));
    assert!(!s.is_masked(B, &entry(3, Op::Upsert)));
}

#[test]
fn what_cannot_be_read_shows_nothing() {
    let mut s = unanswered();
    s.set_standing(A, UP);
    let read = expect(&mut s, A, &[1, 2, 3], RunEnd::Held);
    assert!(read.read);
    s.mask(ticket(A, &read));
    finish(&mut s, A, &read, Outcome::Split);
    assert!(s.is_masked(A, &entry(3, Op::Upsert)));
}

/// What was accepted may be applied again: nothing has to be read.
#[test]
fn a_follower_that_fails_gets_each_alone() {
    let mut s = together(2);
    admit(&mut s, &[Op::Upsert, Op::Upsert]);
    let both = expect(&mut s, A, &[1, 2], RunEnd::Drained);
    assert!(applied(&mut s, A, &both));
    let behind = expect(&mut s, B, &[1, 2], RunEnd::Drained);
    broken(&mut s, B, &behind);
    assert_eq!(s.nodes[1].lane(STREAM).unwrap().unread().len(), 0);
    for seq in [1, 2] {
        let alone = expect(&mut s, B, &[seq], RunEnd::Held);
        assert!(applied(&mut s, B, &alone));
    }
}
