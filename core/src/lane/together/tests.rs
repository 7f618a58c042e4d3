//! What went out together and came to nothing is read as a whole, or not at all.

use super::*;
use crate::entry::{Draft, Op};
use crate::lane::Span;
use crate::lane::tests::entry;

/// Three entries that went out together and came to nothing.
fn unread() -> Lane {
    let mut lane = Lane::default();
    (1..=4).for_each(|seq| lane.offer(entry(seq), true));
    lane.part(&[entry(1), entry(2), entry(3)], true);
    lane
}

#[test]
fn what_went_out_together_is_looked_at_together_once_all_of_it_is_in_memory() {
    let mut lane = unread();
    assert_eq!(lane.unread().len(), 3);
    // What does something else, or did not go out, is none of it.
    lane.together.alone_through = Seq(2);
    assert_eq!(lane.unread().len(), 2);
    lane.together.alone_through = Seq(3);
    let draft = entry(2).draft.clone();
    for other in [Draft { path: "/other".into(), ..draft.clone() }, Draft { op: Op::Upsert, ..draft }] {
        lane.queue[1] = Arc::new(Entry::new(Seq(2), other, 20));
        assert_eq!(lane.unread().len(), 1);
    }
    lane.spill();
    let span = lane.wanted();
    assert_eq!(span, Some(Span { first: Seq(1), last: Seq(4) }));
    lane.loaded(vec![entry(1), entry(2)], Seq(2));
    assert_eq!(lane.wanted(), Some(Span { first: Seq(3), last: Seq(4) }));
    lane.loaded(vec![entry(3)], Seq(3));
    assert_eq!((lane.wanted(), lane.unread().len()), (None, 3));
}

#[test]
fn once_one_of_them_is_applied_again_the_rest_is_masked() {
    let masked = |lane: &Lane| (lane.together.masked_through, lane.unread().len());
    let mut lane = unread();
    lane.advance();
    assert_eq!(masked(&lane), (Seq(3), 0));
    let mut lane = unread();
    lane.rewind(Seq(1), Seq(4));
    assert_eq!(masked(&lane), (Seq(3), 0));
    let mut lane = unread();
    lane.skip_through(Seq(1));
    assert_eq!(masked(&lane), (Seq::ZERO, 0));
}
