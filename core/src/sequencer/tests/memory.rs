//! What a node's lanes keep in memory stays within the limits, whatever is logged meanwhile; the rest is
//! in the log, and is read from there when there is room.

use super::*;
use crate::port::RecoveredNode;

const ENTRY: usize = 1_000;

/// Like `nodes`, with room for this many bytes.
fn narrow(node_bytes: usize) -> Sequencer {
    let mut s = nodes(2);
    s.limits = Limits { node_bytes, lane_entries: 100, page_entries: 2, ..Limits::default() };
    s
}

fn large(seq: u64, collection: u128) -> Arc<Entry> {
    let mut draft = entry(seq, Op::Add).draft.clone();
    draft.target = Some(Uuid::from_u128(collection));
    draft.body = Bytes::from(vec![b' '; ENTRY]);
    Arc::new(Entry::new(Seq(seq), draft, 0))
}

/// What one entry is counted as.
fn size() -> usize {
    large(1, 7).size_bytes()
}

#[test]
fn a_lane_keeps_so_many_entries_and_the_log_the_rest() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add; 9]);
    for node in [A, B] {
        let lane = s.node(node).lane(STREAM).unwrap();
        assert_eq!((lane.len(), lane.is_spilled()), (2, true), "{node}");
    }
}

#[test]
fn a_node_keeps_so_many_bytes_over_all_lanes_and_an_entry_of_each() {
    let mut s = narrow(5 * size());
    for seq in 1..=20 {
        s.admit(&[large(seq, 7)]);
        assert!(s.node(B).queued_bytes() <= 5 * size(), "after {seq}");
    }
    // A lane that is empty keeps one, or nothing of it would ever move.
    for seq in 21..=23 {
        s.admit(&[large(seq, u128::from(seq))]);
    }
    assert_eq!(s.node(B).queued_bytes(), 8 * size());
    assert_eq!(s.head(), Seq(23));
}

#[test]
fn a_node_that_is_gone_keeps_nothing() {
    let mut s = narrow(100 * size());
    s.admit(&(1..=9).map(|seq| large(seq, 7)).collect::<Vec<_>>());
    assert_eq!(s.node(B).queued_bytes(), 9 * size());
    s.set_standing(B, DOWN);
    assert_eq!(s.node(B).queued_bytes(), 0);
    s.admit(&[large(10, 7), large(11, 8)]);
    assert_eq!(s.node(B).queued_bytes(), 0);
    s.set_standing(B, UP);
    assert_eq!(starts(&mut s, B).0, "l1 l11", "it is all in the log");
}

/// One node that has applied nothing of nine entries.
fn behind(node_bytes: usize) -> Sequencer {
    let mut s = nodes(1);
    let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
    let mapped = vec![(DOCS, Uuid::from_u128(100))];
    let node = RecoveredNode { name: A.name(), mapped, joined: true, ..RecoveredNode::default() };
    s.recover(Recovered {
        head: Seq(9),
        collections: vec![(DOCS, tenant, database, "docs".to_owned())],
        nodes: vec![node],
        ..Recovered::default()
    });
    s.limits = Limits { node_bytes, page_entries: 2, ..Limits::default() };
    s.set_standing(A, UP);
    s
}

#[test]
fn a_node_that_is_full_reads_no_further_in_the_log() {
    let mut s = behind(3 * size());
    for (from, expected) in [(1, "l1"), (3, "l3 a1")] {
        assert_eq!(starts(&mut s, A).0, expected);
        s.feed(A, s.life, Seq(from), vec![large(from, 7), large(from + 1, 7)], Seq(from + 1));
    }
    assert_eq!(s.node(A).queued_bytes(), 3 * size());
    idle(&mut s, A);
}
