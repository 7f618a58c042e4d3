//! A look counts only where both nodes stand at one position: when it comes to nothing, and what it waits for.

use super::*;

#[test]
fn a_difference_counts_only_if_nothing_was_sent_meanwhile() {
    let mut s = given_up();
    let task = comparison(&mut s, B, 0);
    assert_eq!(s.look(B, &task, false), Look::Go);
    s.admit(&[write(2, "a")]);
    let second = one(&mut s, A, "a2");
    assert_eq!(s.compared(B, &task, differs(), 0), Next::LookAgain);
    assert_eq!(s.look(B, &task, false), Look::Wait);
    // Held: both come to the same position, and go no further.
    assert_eq!(s.look(B, &task, true), Look::Wait);
    assert!(applied(&mut s, A, &second));
    s.admit(&[write(3, "a")]);
    idle(&mut s, A);
    let second = one(&mut s, B, "f2");
    assert!(applied(&mut s, B, &second));
    assert_eq!(s.look(B, &task, true), Look::Go);
    assert_eq!(s.compared(B, &task, Finding::Equal { records: 1 }, 0), Next::Nothing);
    one(&mut s, A, "a3");
}

/// The lanes are held where a request that is under way with several entries ends, not where it begins.
#[test]
fn a_look_holds_both_lanes_behind_all_that_is_under_way() {
    let mut s = given_up();
    s.limits.lane_entries = 10;
    let task = comparison(&mut s, B, 0);
    (2..=4).for_each(|seq| s.admit(&[write(seq, "a")]));
    s.batches = vec![BatchSize::new(10, 10); 2];
    let run = one(&mut s, A, "a2");
    assert_eq!(run.entries.len(), 3);
    assert_eq!(s.look(B, &task, true), Look::Wait);
    assert!(applied(&mut s, A, &run));
    s.admit(&[write(5, "a")]);
    idle(&mut s, A);
    let run = one(&mut s, B, "f2");
    assert_eq!(run.entries.len(), 3);
    assert!(applied(&mut s, B, &run));
    assert_eq!(s.look(B, &task, true), Look::Go);
}

/// Also where what was under way goes again in smaller requests, with later entries behind it.
#[test]
fn what_a_look_holds_does_not_go_along() {
    let mut s = given_up();
    s.limits.lane_entries = 20;
    s.batches = vec![BatchSize::new(10, 10); 2];
    let task = comparison(&mut s, B, 0);
    (2..=6).for_each(|seq| s.admit(&[write(seq, "a")]));
    let run = one(&mut s, A, "a2");
    assert_eq!(s.look(B, &task, true), Look::Wait);
    s.admit(&[write(7, "a")]);
    assert!(s.finish(ticket(A, &run), &run.entries, Outcome::Split));
    let half = one(&mut s, A, "a2");
    assert_eq!(half.entries.len(), 2);
    assert!(applied(&mut s, A, &half));
    let rest = one(&mut s, A, "a4");
    assert_eq!(rest.entries.last().map(|entry| entry.seq), Some(Seq(6)));
}
