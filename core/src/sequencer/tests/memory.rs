//! What a node's lanes keep in memory stays within the limits, whatever is logged meanwhile; the rest is
//! in the log, and is read from there when there is room.

use super::*;
use crate::port::{Page, RecoveredNode};

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
fn a_node_keeps_so_many_bytes_over_all_lanes() {
    let mut s = narrow(5 * size());
    for seq in 1..=20 {
        s.admit(&[large(seq, 7)]);
        assert!(s.node(B).queued_bytes() <= 5 * size(), "after {seq}");
    }
    // Nor does a lane that has nothing in memory get any of it.
    for seq in 21..=23 {
        s.admit(&[large(seq, u128::from(seq))]);
    }
    assert_eq!(s.node(B).queued_bytes(), 5 * size());
    assert_eq!(s.head(), Seq(23));
    // With nothing else in memory an entry may be larger than all that there is room for.
    let mut s = narrow(size() / 2);
    s.admit(&[large(1, 7), large(2, 7), large(3, 8)]);
    assert_eq!(s.node(B).queued_bytes(), size());
}

/// The pages that the node wants read now.
fn pages(s: &mut Sequencer, node: NodeId) -> Vec<Page> {
    let load = |step| match step {
        Step::Load { page, .. } => Some(page),
        _ => None,
    };
    s.steps(node, 0).into_iter().filter_map(load).collect()
}

/// A node with one entry in the log of each of so many collections, none in memory. The other one judges them.
fn many(collections: u64, node_bytes: usize) -> Sequencer {
    let mut s = narrow(node_bytes);
    for n in 1..=u128::from(collections) {
        let id = CollectionId(Uuid::from_u128(100 + n));
        let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
        s.catalog.apply(&Move::CollectionCreated { id, tenant, database, name: n.to_string() });
        s.nodes.iter_mut().for_each(|node| node.map(id, Some(Uuid::from_u128(1_000 + n))));
    }
    s.set_standing(B, DOWN);
    s.admit(&(1..=collections).map(|seq| large(seq, 100 + u128::from(seq))).collect::<Vec<_>>());
    s.set_standing(B, UP);
    assert_eq!(starts(&mut s, B).0.split(' ').count(), s.limits.pages);
    s
}

#[test]
fn a_few_pages_are_read_at_a_time_however_many_lanes_want_one() {
    let mut s = many(300, 1_000 * size());
    assert_eq!(pages(&mut s, B).len(), 0, "as many as may be are being read");
    let stream = |seq: u64| Stream::Collection(CollectionId(Uuid::from_u128(100 + u128::from(seq))));
    s.load_failed(B, s.life, Some(stream(1)));
    assert_eq!(pages(&mut s, B).len(), 1);
    s.loaded(B, s.life, stream(2), Seq(2), vec![large(2, 102)], Seq(2));
    assert_eq!(pages(&mut s, B).len(), 1);
    // A new life begins with nothing being read.
    s.set_standing(B, DOWN);
    s.set_standing(B, UP);
    idle(&mut s, B);
}

#[test]
fn lanes_beyond_the_first_wait_until_there_is_room_and_the_first_get_an_entry_each() {
    let collections = 300;
    let mut s = many(collections, 0);
    s.limits.node_bytes = 10 * size();
    s.limits.page_bytes = 2 * size();
    let mut read = 0;
    let mut due: Vec<Seq> = vec![Seq(1), Seq(2)];
    while let Some(seq) = due.pop() {
        read += 1;
        let stream = Stream::Collection(CollectionId(Uuid::from_u128(100 + u128::from(seq.0))));
        s.loaded(B, s.life, stream, seq, vec![large(seq.0, 100 + u128::from(seq.0))], seq);
        for page in pages(&mut s, B) {
            let full = s.node(B).queued_bytes() + 2 * s.limits().page_bytes > s.limits.node_bytes;
            assert!(!full || page.max_entries <= 2 && page.max_bytes <= s.limits.page_bytes);
            due.push(page.from);
        }
    }
    // None of them can move before the other node has judged. The memory is bounded all the same.
    assert!((10..=80).contains(&read), "{read} of {collections} entries are in memory");
    assert!(s.node(B).queued_bytes() <= 80 * size());
}

#[test]
fn under_pressure_batches_follow_and_memory_is_given_back_from_the_last_lanes() {
    let mut s = narrow(8 * size());
    (s.batches[0], s.batches[1]) = (BatchSize::new(4, 8), BatchSize::new(4, 8));
    for seq in 1..=8 {
        s.admit(&[large(seq, 100 + u128::from(seq))]);
    }
    assert_eq!(s.node(B).queued_bytes(), 8 * size());
    let sizes = [Pressure::Calm, Pressure::Calm, Pressure::Busy, Pressure::Shed].map(|pressure| {
        s.adapt(pressure);
        s.batch(B)
    });
    assert_eq!(sizes, [5, 6, 4, 1]);
    assert_eq!(s.node(B).queued_bytes(), 2 * size(), "a quarter");
    let kept = |seq: u128| {
        s.node(B).lane(Stream::Collection(CollectionId(Uuid::from_u128(100 + seq)))).unwrap().len()
    };
    assert_eq!((kept(1), kept(2), kept(3), kept(8)), (1, 1, 0, 0), "the first in the log's order");
    s.admit(&[large(9, 7)]);
    assert_eq!(s.node(B).queued_bytes(), 2 * size());
    s.adapt(Pressure::Calm);
    s.admit(&[large(10, 8)]);
    assert_eq!(s.node(B).queued_bytes(), 3 * size());
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
