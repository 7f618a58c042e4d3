//! A node that catches up while clients read from it: what it missed waits, what is acknowledged next does not.

use super::*;
use crate::pressure::BatchSize;

const COLLECTIONS: u64 = 40;

/// `A` has applied an entry of each collection, `B` none.
fn behind() -> Sequencer {
    let mut s = nodes(2);
    s.limits.lane_entries = 100;
    let (tenant, database) = (DEFAULT_TENANT, DEFAULT_DATABASE);
    for n in 1..=COLLECTIONS {
        let id = CollectionId(Uuid::from_u128(1_000 + u128::from(n)));
        let (tenant, database, name) = (tenant.into(), database.into(), n.to_string());
        s.catalog.apply(&Move::CollectionCreated { id, tenant, database, name });
        s.node_ids().for_each(|node| s.nodes[node.0].map(id, Some(id.0)));
        let mut draft = entry(n, Op::Add).draft.clone();
        draft.target = Some(id.0);
        s.admit(&[Arc::new(Entry::new(Seq(n), draft, 0))]);
    }
    loop {
        let (_, tasks) = starts(&mut s, A);
        if tasks.is_empty() {
            return s;
        }
        tasks.iter().for_each(|task| assert!(applied(&mut s, A, task)));
    }
}

#[test]
fn a_node_that_is_read_from_gives_a_part_of_itself_to_what_it_missed() {
    let mut s = behind();
    s.note_reads(B, 3);
    let (_, first) = starts(&mut s, B);
    assert_eq!(first.len(), Limits::default().in_flight / 4);
    assert!(applied(&mut s, B, &first[0]));
    assert_eq!(starts(&mut s, B).1.len(), 1);
    s.note_reads(B, 0);
    assert_eq!(starts(&mut s, B).1.len(), Limits::default().in_flight - 4);
}

#[test]
fn a_node_that_is_hardly_behind_holds_nothing_back() {
    let mut s = behind();
    s.note_reads(B, 3);
    s.batches = vec![BatchSize::new(100, 100); 2];
    assert_eq!(starts(&mut s, B).1.len(), Limits::default().in_flight);
}

#[test]
fn what_a_client_waits_for_is_never_held_back() {
    let mut s = behind();
    s.note_reads(A, 3);
    s.set_standing(B, DOWN);
    for n in 1..=COLLECTIONS {
        let mut draft = entry(COLLECTIONS + n, Op::Add).draft.clone();
        draft.target = Some(Uuid::from_u128(1_000 + u128::from(n)));
        s.admit(&[Arc::new(Entry::new(Seq(COLLECTIONS + n), draft, 0))]);
    }
    assert_eq!(starts(&mut s, A).1.len(), Limits::default().in_flight);
}
