//! Requests that were given up: nothing is sent again too early, and what they changed late is undone.

use std::time::Duration;

use super::*;
use crate::backoff::Backoff;
use crate::delivery::{self, Attempt, Input, Terms};
use crate::health::Observation;
use crate::port::NodeFault;

mod alone;
mod kept;
mod looks;

fn in_doubt(s: &mut Sequencer, node: NodeId, task: &Task) {
    assert!(s.finish(ticket(node, task), &task.entries, Outcome::InDoubt));
}

fn write(seq: u64, id: &str) -> Arc<Entry> {
    let mut draft = entry(seq, Op::Upsert).draft.clone();
    draft.body = Bytes::from(format!("{{\"ids\":[\"{id}\"]}}"));
    Arc::new(Entry::new(Seq(seq), draft, 0))
}

/// Two nodes; what B was sent first is in doubt; B settled and applied it again.
fn given_up() -> Sequencer {
    let mut s = nodes(2);
    s.admit(&[write(1, "a")]);
    let first = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &first));
    let late = one(&mut s, B, "f1");
    in_doubt(&mut s, B, &late);
    s.set_standing(B, SUSPECT);
    s.set_standing(B, UP);
    assert_eq!(s.durable(B).0, Seq(0));
    let again = one(&mut s, B, "f1");
    assert!(applied(&mut s, B, &again));
    s
}

fn comparison(s: &mut Sequencer, node: NodeId, now_ms: u64) -> CompareTask {
    let mut steps = s.steps(node, now_ms);
    let Some(Step::Compare(task)) = steps.pop() else { panic!("no comparison: {steps:?}") };
    task
}

fn found(s: &mut Sequencer, node: NodeId, task: &CompareTask, finding: Finding) -> Next {
    assert_eq!(s.look(node, task, false), Look::Go);
    s.compared(node, task, finding, 0)
}

fn differs() -> Finding {
    Finding::Differs { records: vec!["a".to_owned()], seen: 1 }
}

#[test]
fn nothing_is_sent_again_before_the_node_has_settled_whatever_is_heard_first() {
    let mut s = nodes(1);
    admit(&mut s, &[Op::Add]);
    let task = one(&mut s, A, "a1");
    in_doubt(&mut s, A, &task);
    // Health has not heard of it: its word that the node is up, and time, end a back-off, but not this.
    s.set_standing(A, UP);
    assert!(s.steps(A, u64::MAX / 2).is_empty());
    s.set_standing(A, SUSPECT);
    assert!(s.steps(A, u64::MAX / 2).is_empty());
    s.set_standing(A, UP);
    one(&mut s, A, "a1");
}

#[test]
fn records_in_doubt_are_read_back_and_others_are_read_first() {
    let mut s = given_up();
    assert_eq!(readable(&s), [0]);
    assert_eq!(s.durable(B).0, Seq(0), "a restart must find it again");
    let task = comparison(&mut s, B, 0);
    assert_eq!(s.scope(B, &task), Scope::Records(vec!["a".to_owned()]));
    assert_eq!(found(&mut s, B, &task, Finding::Equal { records: 1 }), Next::Nothing);
    assert_eq!((readable(&s), s.durable(B).0), (vec![0, 1], Seq(1)));
    // Looked at again after 2 s, 15 s and 120 s, and then no more.
    for now_ms in [2_000, 17_000, 137_000] {
        assert!(s.steps(B, now_ms - 1).is_empty());
        let task = comparison(&mut s, B, now_ms);
        assert_eq!(s.look(B, &task, false), Look::Go);
        assert_eq!(s.compared(B, &task, Finding::Equal { records: 1 }, now_ms), Next::Nothing);
    }
    assert!(s.steps(B, u64::MAX / 2).is_empty());
}

#[test]
fn what_was_executed_late_is_undone_by_the_log() {
    let mut s = given_up();
    let task = comparison(&mut s, B, 0);
    let Next::Replay(again) = found(&mut s, B, &task, differs()) else { panic!("no replay") };
    assert_eq!(again.from, Seq(1));
    assert!(s.replay(B, &again));
    assert_eq!((readable(&s), starts(&mut s, B).0), (vec![0], "l1".to_owned()));
    s.loaded(B, s.life, STREAM, Seq(1), vec![write(1, "a")], Seq(1));
    let first = one(&mut s, B, "f1");
    assert!(applied(&mut s, B, &first));
    let task = comparison(&mut s, B, 1_000);
    assert_eq!(found(&mut s, B, &task, differs()), Next::Rebuild, "the log did not help");
}

/// After a takeover nobody knows which of two is wrong. A copy of the wrong one would lose a write.
#[test]
fn of_two_nodes_in_doubt_neither_is_copied_before_the_log_was_applied_to_both() {
    let mut s = nodes(2);
    s.recover(Recovered { head: Seq(1), ..Recovered::default() });
    trust(&mut s);
    let (tenant, database, name) = (DEFAULT_TENANT.into(), DEFAULT_DATABASE.into(), "docs".into());
    s.catalog.apply(&Move::CollectionCreated { id: DOCS, tenant, database, name });
    for node in [A, B] {
        s.nodes[node.0].map(DOCS, Some(Uuid::from_u128(100 + node.0 as u128)));
        s.set_standing(node, UP);
        assert_eq!(starts(&mut s, node).0, "l1");
        s.feed(node, s.life, Seq(1), vec![write(1, "a")], Seq(1));
    }
    for (node, expected) in [(A, "a1"), (B, "f1")] {
        let task = one(&mut s, node, expected);
        assert!(applied(&mut s, node, &task));
    }
    // B is found equal; then it executes something late, and A, which is right, looks different from it.
    let task = comparison(&mut s, B, 0);
    assert_eq!(found(&mut s, B, &task, Finding::Equal { records: 1 }), Next::Nothing);
    for (node, now_ms) in [(A, 0), (B, 2_000), (B, 3_000), (A, 3_000)] {
        let task = comparison(&mut s, node, now_ms);
        let Next::Replay(again) = found(&mut s, node, &task, differs()) else { panic!("{node}: no replay") };
        applied_again(&mut s, node, &again);
        if (node, now_ms) == (A, 0) {
            let task = comparison(&mut s, A, 2_000);
            assert_eq!(found(&mut s, A, &task, differs()), Next::Nothing, "B was not applied to again");
        }
    }
    // Each may have executed one more late request in between: both were given the log twice.
    let task = comparison(&mut s, B, 4_000);
    assert_eq!(found(&mut s, B, &task, differs()), Next::Rebuild);
    // That B is wrong is not durable yet, but known: it is not shown, unless nothing comes of it.
    assert_eq!(readable(&s), [0]);
    s.abandon(B, &task);
    assert_eq!(readable(&s), [0, 1]);
}

fn applied_again(s: &mut Sequencer, node: NodeId, again: &ReplayTask) {
    assert!(s.replay(node, again));
    assert_eq!(starts(s, node).0, "l1");
    s.loaded(node, s.life, STREAM, Seq(1), vec![write(1, "a")], Seq(1));
    let first = one(s, node, "f1");
    assert!(applied(s, node, &first));
}

#[test]
fn no_answer_leaves_the_entry_in_doubt_and_a_refused_connection_does_not() {
    for (fault, stays) in
        [(NodeFault::Timeout(1), true), (NodeFault::Lost(String::new()), true), (NodeFault::Refused, false)]
    {
        let mut s = nodes(1);
        s.admit(&[write(1, "a")]);
        let task = one(&mut s, A, "a1");
        let shared = Shared::new(s);
        let terms =
            Terms { timeout: Duration::ZERO, attempts: 3, backoff: Backoff::default(), deletion_key: None };
        let mut attempt = Attempt::new(A, task, terms);
        assert!(matches!(attempt.next(&shared, 0, Input::Begin), delivery::Next::Ask(_)));
        let ended = attempt.next(&shared, 0, Input::Answer(Err(fault)));
        assert!(matches!(ended, delivery::Next::Done(_)));
        assert!(
            matches!(attempt.take_observation(), Some(Observation::ApplyFailed(_))),
            "health hears of it"
        );
        assert_eq!(shared.lock().steps(A, u64::MAX / 2).is_empty(), stays);
    }
}

/// Its records have other ids: a comparison would find every one different and replace the collection.
#[test]
fn a_node_with_other_ids_is_compared_with_nobody() {
    let mut s = given_up();
    s.set_other_ids(B, DOCS, true);
    s.verify(None, true, 1).expect("nothing else is verified");
    assert!(s.steps(B, 0).is_empty() && s.steps(A, 0).is_empty());
    assert_eq!((s.verification().waiting, s.verification().skipped), (0, 1));
    let steps = s.steps(B, 2_000);
    let [Step::Replay(task)] = &steps[..] else { panic!("{steps:?}") };
    assert!(s.replay(B, task));
    assert_eq!(starts(&mut s, B).0, "l1");
    s.loaded(B, s.life, STREAM, Seq(1), vec![write(1, "a")], Seq(1));
    let again = one(&mut s, B, "f1");
    assert!(applied(&mut s, B, &again));
    assert!(s.steps(B, 4_000).is_empty());
    assert_eq!(s.durable(B).0, Seq(1));
    assert!(s.node(B).doubts.of(STREAM).is_none());
}

/// Under a load that never pauses the lane is busy whenever the log is to be applied again.
#[test]
fn a_busy_lane_goes_back_when_it_is_next_idle() {
    let mut s = nodes(1);
    s.admit(&[write(1, "a")]);
    let late = one(&mut s, A, "a1");
    in_doubt(&mut s, A, &late);
    s.set_standing(A, SUSPECT);
    s.set_standing(A, UP);
    let again = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &again));
    assert!(s.steps(A, 0).is_empty());
    s.admit(&[write(2, "b")]);
    let steps = s.steps(A, 2_000);
    let [Step::Apply(busy), Step::Replay(task)] = &steps[..] else { panic!("{steps:?}") };
    assert!(s.replay(A, task), "taken down");
    assert!(s.node(A).doubts.is_fresh(STREAM), "not done yet");
    s.admit(&[write(3, "c")]);
    assert!(applied(&mut s, A, busy));
    assert_eq!(starts(&mut s, A).0, "l1", "the log from the first entry in doubt, not the third entry");
    assert!(!s.node(A).doubts.is_fresh(STREAM));
}
