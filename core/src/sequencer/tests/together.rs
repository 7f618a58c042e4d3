//! Which entries go along with the first one of a lane?

use super::*;
use crate::coalesce::RunEnd;
use crate::pressure::BatchSize;

mod unanswered;

/// Up to ten writes go together.
fn together(count: usize) -> Sequencer {
    let mut s = nodes(count);
    s.limits.lane_entries = 100;
    s.batches = vec![BatchSize::new(10, 10); count];
    s
}

/// The next request of the node: its entries, and why no more.
fn next(s: &mut Sequencer, node: NodeId) -> (Task, Vec<u64>, RunEnd) {
    let (words, mut tasks) = starts(s, node);
    let task = tasks.pop().unwrap_or_else(|| panic!("nothing to apply: {words}"));
    let seqs = task.entries.iter().map(|entry| entry.seq.0).collect();
    let end = task.end;
    (task, seqs, end)
}

fn expect(s: &mut Sequencer, node: NodeId, seqs: &[u64], end: RunEnd) -> Task {
    let (task, found, why) = next(s, node);
    assert_eq!((found.as_slice(), why), (seqs, end));
    task
}

fn finish(s: &mut Sequencer, node: NodeId, task: &Task, outcome: Outcome) {
    assert!(s.finish(ticket(node, task), &task.entries, outcome));
}

/// As `entry`, but changed.
fn admit_changed(s: &mut Sequencer, op: Op, change: impl FnOnce(&mut Draft)) {
    let seq = s.head().next();
    let mut draft = entry(seq.0, op).draft.clone();
    change(&mut draft);
    s.admit(&[Arc::new(Entry::new(seq, draft, 0))]);
}

/// The connection breaks under the request, and the node comes back.
fn broken(s: &mut Sequencer, node: NodeId, task: &Task) {
    finish(s, node, task, Outcome::InDoubt);
    fall(s, node);
}

fn fall(s: &mut Sequencer, node: NodeId) {
    s.set_standing(node, SUSPECT);
    s.set_standing(node, UP);
}

#[test]
fn a_lone_write_goes_at_once_and_what_waits_when_the_lane_is_free_goes_together() {
    let mut s = together(1);
    admit(&mut s, &[Op::Add]);
    let lone = expect(&mut s, A, &[1], RunEnd::Drained);
    admit(&mut s, &[Op::Add, Op::Add]);
    idle(&mut s, A);
    assert!(applied(&mut s, A, &lone));
    expect(&mut s, A, &[2, 3], RunEnd::Drained);
}

#[test]
fn no_more_writes_go_than_a_batch_may_have() {
    let mut s = together(1);
    s.batches = vec![BatchSize::new(2, 2)];
    admit(&mut s, &[Op::Add; 3]);
    expect(&mut s, A, &[1, 2], RunEnd::Writes);
}

#[test]
fn only_what_does_the_same_to_the_same_collection_goes_along() {
    let mut s = together(1);
    admit(&mut s, &[Op::Add, Op::Add, Op::Upsert]);
    let adds = expect(&mut s, A, &[1, 2], RunEnd::Operation);
    // Another operation under the same address, and the same under another address.
    let path = entry(1, Op::Upsert).draft.path.clone();
    admit_changed(&mut s, Op::Add, |draft| draft.path = path);
    admit_changed(&mut s, Op::Add, |draft| draft.path.push_str("?x=1"));
    assert!(applied(&mut s, A, &adds));
    for seq in 3..=5 {
        let end = if seq == 5 { RunEnd::Drained } else { RunEnd::Operation };
        let task = expect(&mut s, A, &[seq], end);
        assert!(applied(&mut s, A, &task));
    }
}

#[test]
fn catalog_entries_go_one_by_one() {
    let mut s = together(1);
    admit(&mut s, &[Op::CreateCollection, Op::CreateCollection]);
    expect(&mut s, A, &[1], RunEnd::Operation);
}

/// Its records may have other ids on some node.
#[test]
fn deletions_in_an_adopted_collection_go_one_by_one() {
    let mut s = together(2);
    admit(&mut s, &[Op::Delete, Op::Delete]);
    s.nodes[0].map(DOCS, Some(DOCS.0));
    let first = expect(&mut s, A, &[1], RunEnd::Operation);
    assert!(applied(&mut s, A, &first));
    s.nodes[0].map(DOCS, Some(Uuid::from_u128(100)));
    admit(&mut s, &[Op::Delete]);
    expect(&mut s, A, &[2, 3], RunEnd::Drained);
}

#[test]
fn what_a_deletion_of_the_collection_comes_before_does_not_go_along() {
    let mut s = together(1);
    admit(&mut s, &[Op::Add, Op::Add, Op::DeleteCollection, Op::Add]);
    expect(&mut s, A, &[1, 2], RunEnd::Held);
}

#[test]
fn a_follower_gets_only_what_was_accepted() {
    let mut s = together(2);
    admit(&mut s, &[Op::Add, Op::Add]);
    let both = expect(&mut s, A, &[1, 2], RunEnd::Drained);
    admit(&mut s, &[Op::Add, Op::Add, Op::Add]);
    assert!(applied(&mut s, A, &both));
    let asked = expect(&mut s, A, &[3, 4, 5], RunEnd::Drained);
    let behind = expect(&mut s, B, &[1, 2], RunEnd::Held);
    finish(&mut s, A, &asked, Outcome::Split);
    let refused = expect(&mut s, A, &[3], RunEnd::Writes);
    rejected(&mut s, A, &refused);
    assert!(applied(&mut s, B, &behind));
    let rest = expect(&mut s, A, &[4], RunEnd::Writes);
    assert!(applied(&mut s, A, &rest));
    expect(&mut s, B, &[4], RunEnd::Held);
}

#[test]
fn what_an_operator_lets_a_follower_pass_over_does_not_go_along() {
    let mut s = together(2);
    admit(&mut s, &[Op::Add, Op::Add, Op::Add]);
    let all = expect(&mut s, A, &[1, 2, 3], RunEnd::Drained);
    assert!(applied(&mut s, A, &all));
    s.nodes[1].troubles.skips.insert(Seq(2));
    let first = expect(&mut s, B, &[1], RunEnd::Held);
    assert!(applied(&mut s, B, &first));
    expect(&mut s, B, &[3], RunEnd::Drained);
}

#[test]
fn what_failed_or_is_suspected_goes_alone() {
    let mut s = together(2);
    admit(&mut s, &[Op::Add]);
    let failed = expect(&mut s, A, &[1], RunEnd::Drained);
    s.blame(ticket(A, &failed), Role::Acting, &failed.entries[0], crate::sequencer::Blame::Own);
    finish(&mut s, A, &failed, Outcome::Retry { until_ms: 0 });
    admit(&mut s, &[Op::Add, Op::Add]);
    let again = expect(&mut s, A, &[1], RunEnd::Held);
    assert!(applied(&mut s, A, &again));
    let rest = expect(&mut s, A, &[2, 3], RunEnd::Drained);
    assert!(applied(&mut s, A, &rest));
    // The second one had no answer there once.
    let log = &s.nodes[1];
    let ticket = Ticket { node: B, stream: STREAM, generation: log.generation };
    s.blame(ticket, Role::Following, &rest.entries[0], crate::sequencer::Blame::Silent);
    expect(&mut s, B, &[1], RunEnd::Held);
}

/// Also the only one that was under way when its node fell.
#[test]
fn a_suspected_write_takes_no_later_ones_along() {
    let mut s = together(2);
    admit(&mut s, &[Op::Upsert]);
    let lone = expect(&mut s, A, &[1], RunEnd::Drained);
    admit(&mut s, &[Op::Upsert, Op::Upsert]);
    s.blame(ticket(A, &lone), Role::Acting, &lone.entries[0], crate::sequencer::Blame::Broke);
    finish(&mut s, A, &lone, Outcome::InDoubt);
    s.set_standing(A, SUSPECT);
    let handed_on = expect(&mut s, B, &[1], RunEnd::Held);
    assert!(applied(&mut s, B, &handed_on));
    expect(&mut s, B, &[2, 3], RunEnd::Drained);
}

#[test]
fn requests_grow_again_after_a_refusal() {
    let mut s = together(1);
    admit(&mut s, &[Op::Add; 8]);
    let all = expect(&mut s, A, &[1, 2, 3, 4, 5, 6, 7, 8], RunEnd::Drained);
    finish(&mut s, A, &all, Outcome::Split);
    let half = expect(&mut s, A, &[1, 2, 3, 4], RunEnd::Writes);
    finish(&mut s, A, &half, Outcome::Split);
    let quarter = expect(&mut s, A, &[1, 2], RunEnd::Writes);
    assert!(applied(&mut s, A, &quarter));
    expect(&mut s, A, &[3, 4, 5, 6], RunEnd::Writes);
}
