//! What the log acknowledges ahead of every node: due for every later read, counted, and only where its
//! collection will surely be there.

use super::*;

fn acknowledged(s: &mut Sequencer, op: Op) {
    let Entry { seq, draft, .. } = Arc::into_inner(entry(s.head().next().0, op)).unwrap();
    s.admit(&[Arc::new(Entry::new(seq, draft, 0).acknowledged(true))]);
}

#[test]
fn what_the_log_acknowledged_is_due_at_once_and_only_for_later_reads() {
    let mut s = nodes(2);
    let gate = Gate::Stream(STREAM);
    let earlier = s.due(gate);
    acknowledged(&mut s, Op::Add);
    assert_eq!(readable(&s), [] as [usize; 0]);
    assert_eq!(s.readable_since(gate, earlier).len(), 2);
    let due = s.due(gate);
    acknowledged(&mut s, Op::Add);
    let add = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &add));
    // The second is acknowledged, too; a read that began before it does not wait for it.
    assert_eq!(s.readable_since(gate, due).len(), 1);
    assert_eq!(readable(&s), [] as [usize; 0]);
}

#[test]
fn what_is_ahead_is_counted_until_it_is_decided() {
    let mut s = nodes(1);
    admit(&mut s, &[Op::Add]);
    assert_eq!(s.ahead(DOCS), 0);
    acknowledged(&mut s, Op::Add);
    assert_eq!(s.ahead(DOCS), 1);
    let first = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &first));
    assert_eq!(s.ahead(DOCS), 1);
    acknowledged(&mut s, Op::Upsert);
    assert_eq!(s.ahead(DOCS), 2);
    let second = one(&mut s, A, "a2");
    assert!(applied(&mut s, A, &second));
    assert_eq!(s.ahead(DOCS), 1);
    let refused = one(&mut s, A, "a3");
    rejected(&mut s, A, &refused);
    assert_eq!(s.ahead(DOCS), 0);
}

fn kept(s: &Sequencer, ops: &[Op]) -> Vec<bool> {
    let drafts: Vec<Draft> = ops.iter().map(|op| entry(1, *op).draft.clone()).collect();
    s.surely_kept(&drafts)
}

#[test]
fn a_write_is_surely_kept_if_nothing_before_it_may_take_its_collection_away() {
    let mut s = nodes(1);
    assert_eq!(kept(&s, &[Op::Add, Op::CreateCollection, Op::Update]), [true, false, true]);
    assert_eq!(kept(&s, &[Op::Add, Op::DeleteCollection, Op::Add]), [true, false, false]);
    assert_eq!(kept(&s, &[Op::Reset, Op::Delete]), [false, false]);
    admit(&mut s, &[Op::DeleteCollection]);
    assert_eq!(kept(&s, &[Op::Add]), [false]);
    let delete = one(&mut s, A, "a1");
    rejected(&mut s, A, &delete);
    assert_eq!(kept(&s, &[Op::Add]), [true]);
    admit(&mut s, &[Op::DeleteCollection]);
    let delete = one(&mut s, A, "a2");
    deleted(&mut s, A, &delete);
    assert_eq!(kept(&s, &[Op::Add]), [false]);
}

#[test]
fn after_a_takeover_nothing_is_certain_before_the_end_of_the_log_was_read() {
    let mut s = nodes(1);
    let place = |s: &Sequencer| s.catalog.collection(DOCS).cloned().unwrap();
    let (id, docs) = (DOCS, place(&s));
    let collections = vec![(id, docs.tenant, docs.database, docs.name)];
    s.recover(Recovered { head: Seq(1), collections, ..Recovered::default() });
    trust(&mut s);
    s.nodes[0].map(DOCS, Some(Uuid::from_u128(100)));
    s.set_standing(A, UP);
    assert_eq!(kept(&s, &[Op::Add]), [false]);
    assert_eq!(starts(&mut s, A).0, "l1");
    s.feed(A, s.life, Seq(1), vec![entry(1, Op::DeleteCollection)], Seq(1));
    assert_eq!(kept(&s, &[Op::Add]), [false]);
    let delete = one(&mut s, A, "a1");
    rejected(&mut s, A, &delete);
    assert_eq!(kept(&s, &[Op::Add]), [true]);
}

#[test]
fn what_every_node_lost_is_not_surely_kept() {
    let mut s = nodes(1);
    assert_eq!(kept(&s, &[Op::Add]), [true]);
    s.nodes[0].map(DOCS, None);
    assert!(s.is_lost(DOCS));
    assert_eq!(kept(&s, &[Op::Add]), [false]);
}

#[test]
fn what_is_decided_is_not_remembered_as_ahead() {
    let mut s = nodes(2);
    for seq in 1..=20 {
        acknowledged(&mut s, Op::Add);
        let add = one(&mut s, A, &format!("a{seq}"));
        assert!(applied(&mut s, A, &add));
    }
    assert!(s.streams[&STREAM].ahead.len() <= 2, "{}", s.streams[&STREAM].ahead.len());
}
