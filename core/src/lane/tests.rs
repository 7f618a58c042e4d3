//! Whatever the room and the page sizes: entries come out in order, once, and with the time of the first.

use super::*;
use crate::entry::{Draft, Op};
use bytes::Bytes;
use proptest::prelude::*;

pub(super) fn entry(seq: u64) -> Arc<Entry> {
    let draft = Draft {
        write_id: seq.to_string(),
        op: Op::Add,
        target: Some(uuid::Uuid::from_u128(1)),
        method: "POST".into(),
        path: "/".into(),
        body: Bytes::new(),
        headers: Vec::new(),
    };
    Arc::new(Entry::new(Seq(seq), draft, seq * 10))
}

#[test]
fn the_time_of_the_first_entry_outlives_its_memory() {
    let mut lane = Lane::default();
    assert_eq!(lane.since_ms(), None);
    (1..=2).for_each(|seq| lane.offer(entry(seq), true));
    lane.offer(entry(3), false);
    lane.spill();
    assert_eq!((lane.front().is_none(), lane.since_ms()), (true, Some(10)));
    lane.loaded(vec![entry(1)], Seq(1));
    assert_eq!(lane.since_ms(), Some(10));
    // Its successor was not read: no time is better than that of another entry.
    lane.advance();
    assert_eq!(lane.since_ms(), None);
    lane.loaded(vec![entry(2), entry(3)], Seq(3));
    assert_eq!(lane.since_ms(), Some(20));
    lane.skip_through(Seq(2));
    assert_eq!(lane.since_ms(), Some(30));
    lane.rewind(Seq(1), Seq(3));
    assert_eq!(lane.since_ms(), None);
}

proptest! {
    /// Whatever the room, the spills and the page sizes: every entry comes out once, in order.
    #[test]
    fn nothing_is_lost_or_reordered(steps in prop::collection::vec((0u8..4, any::<bool>(), 1usize..4), 1..120)) {
        let mut lane = Lane::default();
        let (mut logged, mut applied) = (0u64, Vec::new());
        for (step, room, page) in steps {
            match step {
                0 => { logged += 1; lane.offer(entry(logged), room) }
                1 => if let Some(e) = lane.front().cloned() { applied.push(e.seq.0); lane.advance() },
                2 => lane.spill(),
                _ => if let Some(span) = lane.wanted() {
                    let through = Seq((span.first.0 + page as u64 - 1).min(span.last.0));
                    lane.loaded((span.first.0..=through.0).map(entry).collect(), through);
                },
            }
            // Unknown, perhaps, but never another entry's.
            let since_ms = lane.first().map(|first| first.0 * 10);
            prop_assert!(lane.since_ms().is_none_or(|shown| Some(shown) == since_ms));
        }
        while !lane.is_empty() {
            match lane.wanted() {
                Some(span) => lane.loaded((span.first.0..=span.last.0).map(entry).collect(), span.last),
                None => { applied.push(lane.front().unwrap().seq.0); lane.advance() }
            }
        }
        prop_assert_eq!(applied, (1..=logged).collect::<Vec<_>>());
        prop_assert_eq!(lane.bytes(), 0);
    }
}
