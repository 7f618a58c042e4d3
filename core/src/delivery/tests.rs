//! The steps of one delivery, answer by answer.

use bytes::Bytes;
use serde_json::{Value, json};

use uuid::Uuid;

use super::*;
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::coalesce::Bounds;
use crate::entry::{Decision, Draft, Op};
use crate::ids::CollectionId;
use crate::ids::{Seq, Stream};
use crate::port::{Leftover, LeftoverState, Recovered, RecoveredNode};
use crate::sequencer::{Findings, Limits, Matter, ReplayTask, Sequencer, Standing, Step};

mod together;

const DOCS: CollectionId = CollectionId(Uuid::from_u128(7));
const UP: Standing = Standing { applies: true, serves: true, gone: false, suspect: false, leaving: false };
const SUSPECT: Standing =
    Standing { applies: false, serves: false, gone: false, suspect: true, leaving: false };
const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);

struct Bench(Shared);

impl Bench {
    /// Two nodes that are up and hold the collection `docs`.
    fn new() -> Bench {
        let bench = Bench(Shared::new(Sequencer::new(Limits::default(), 2)));
        bench.restart(Seq::ZERO);
        bench
    }

    /// The log is all that is remembered, and nobody had applied any of it for certain.
    fn restart(&self, head: Seq) {
        self.restart_with(head, vec![(DOCS, Uuid::from_u128(101))], Vec::new());
    }

    /// As the second node has it: its collections, and what copies to it left.
    fn restart_with(
        &self,
        head: Seq,
        mapped: Vec<(CollectionId, Uuid)>,
        copying: Vec<(CollectionId, Leftover)>,
    ) {
        let node = |n: usize, mapped, copying| RecoveredNode {
            name: NodeId(n).name(),
            mapped,
            copying,
            joined: true,
            ..RecoveredNode::default()
        };
        let place = (DOCS, DEFAULT_TENANT.into(), DEFAULT_DATABASE.into(), "docs".into());
        self.0.lock().recover(Recovered {
            head,
            collections: vec![place],
            nodes: vec![node(0, vec![(DOCS, Uuid::from_u128(100))], Vec::new()), node(1, mapped, copying)],
            ..Recovered::default()
        });
        self.up(A);
        self.up(B);
    }

    fn up(&self, node: NodeId) {
        self.up_with(node, None);
    }

    /// It tells how many records it takes in one request.
    fn up_with(&self, node: NodeId, batch_limit: Option<usize>) {
        self.0.lock().set_standing(node, UP);
        let steps = self.0.lock().steps(node, 0);
        for step in steps {
            if let Step::Inspect { generation, .. } = step {
                let findings = Findings { joined: true, batch_limit, ..Findings::default() };
                self.0.lock().inspected(node, generation, Some(findings));
            }
        }
    }

    fn admit(&self, op: Op, body: &Value) {
        self.admit_as(op, body, false);
    }

    fn admit_text(&self, op: Op, body: &str) {
        self.admit_spelt(op, Bytes::from(body.to_owned()), false);
    }

    fn admit_as(&self, op: Op, body: &Value, acknowledged: bool) {
        self.admit_spelt(op, Bytes::from(body.to_string()), acknowledged);
    }

    fn admit_spelt(&self, op: Op, body: Bytes, acknowledged: bool) {
        let base = format!("/api/v2/tenants/{DEFAULT_TENANT}/databases/{DEFAULT_DATABASE}/collections");
        let path = if op.is_record() { format!("{base}/{DOCS}/{}", op.name()) } else { base };
        let mut sequencer = self.0.lock();
        let seq = sequencer.head().next();
        let target = Some(if op.is_record() { DOCS.0 } else { Uuid::from_u128(9) });
        let draft = Draft {
            write_id: seq.to_string(),
            op,
            target,
            method: "POST".into(),
            path,
            body,
            headers: Vec::new(),
        };
        sequencer.admit(&[Arc::new(Entry::new(seq, draft, 0).acknowledged(acknowledged))]);
    }

    /// What the node starts at this moment.
    fn starts(&self, node: NodeId, now_ms: u64) -> Vec<Attempt> {
        let terms =
            Terms { timeout: Duration::ZERO, attempts: 3, backoff: Backoff::default(), deletion_key: None };
        let tasks = self.0.lock().steps(node, now_ms);
        let task = |step| match step {
            Step::Apply(task) => Some(Attempt::new(node, task, terms.clone())),
            _ => None,
        };
        tasks.into_iter().filter_map(task).collect()
    }

    fn next(&self, attempt: &mut Attempt, input: Input) -> Next {
        attempt.next(&self.0, 0, input)
    }

    fn begin(&self, attempt: &mut Attempt) -> String {
        asked(self.next(attempt, Input::Begin))
    }

    /// The node goes away under its requests, and comes back.
    fn fall(&self, node: NodeId) {
        self.0.lock().set_standing(node, SUSPECT);
        self.up(node);
    }
}

fn asked(next: Next) -> String {
    match next {
        Next::Ask(request) => request.path.rsplit('/').next().unwrap_or_default().to_owned(),
        other => format!("{other:?}"),
    }
}

fn done(next: Next) -> End {
    match next {
        Next::Done(end) => *end,
        other => panic!("{other:?}"),
    }
}

fn answer(status: u16, body: &Value) -> Input {
    Input::Answer(Ok(NodeResponse { status, headers: Vec::new(), body: Bytes::from(body.to_string()) }))
}

fn broken() -> Input {
    Input::Answer(Err(NodeFault::Lost("reset".into())))
}

fn row() -> Value {
    json!({"ids": ["a"], "documents": ["x"]})
}

/// The crash of a node under this entry, with nothing else in flight.
fn crash(bench: &Bench, now_ms: u64) {
    let mut attempt = bench.starts(A, now_ms).pop().expect("a task");
    assert_eq!(bench.begin(&mut attempt), "upsert");
    assert!(matches!(done(bench.next(&mut attempt, broken())).outcome, Outcome::InDoubt));
    bench.fall(A);
}

#[test]
fn nothing_follows_a_delivery_that_was_broken_off_before_its_node_has_settled() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    let mut attempt = bench.starts(A, 0).pop().expect("a task");
    assert_eq!(bench.begin(&mut attempt), "upsert");
    attempt.abandon(&bench.0);
    assert!(bench.starts(A, u64::MAX).is_empty(), "the request may still be executed");
    bench.fall(A);
    let mut attempt = bench.starts(A, 9).pop().expect("it is judged after all");
    assert_eq!(bench.begin(&mut attempt), "upsert");
}

#[test]
fn a_write_under_which_nodes_die_is_judged_by_what_they_hold() {
    for (held, status) in [(row(), 200), (json!({"ids": []}), 500)] {
        let bench = Bench::new();
        bench.admit(Op::Upsert, &row());
        // The first time it was not alone as far as anybody knew: suspected, not counted.
        (0..4).for_each(|n| crash(&bench, n));
        let mut attempt = bench.starts(A, 9).pop().expect("a task");
        assert_eq!(bench.begin(&mut attempt), "get");
        let Next::Record(changes) = bench.next(&mut attempt, answer(200, &held)) else {
            panic!("not durable")
        };
        let durable = match status {
            // After a restart and later writes nobody could see that it was accepted.
            200 => matches!(changes[..], [Change::Accepted { seq: Seq(1) }]),
            _ => matches!(changes[..], [Change::Rejected { seq: Seq(1), .. }, Change::Quarantined { .. }]),
        };
        assert!(durable, "{changes:?}");
        let end = done(bench.next(&mut attempt, Input::Recorded(Ok(()))));
        assert_eq!(end.answers.first().map(|a| a.status), Some(status));
    }
}

#[test]
fn what_was_in_flight_when_a_node_fell_goes_alone_the_next_time() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    bench.admit(Op::CreateCollection, &json!({"name": "other"}));
    let mut both = bench.starts(A, 0);
    assert_eq!(both.len(), 2);
    both.iter_mut().for_each(|attempt| drop(bench.begin(attempt)));
    bench.fall(A);
    let mut first = bench.starts(A, 0);
    assert_eq!(first.len(), 1);
    assert_eq!(bench.begin(&mut first[0]), "upsert");
    let Next::Record(changes) = bench.next(&mut first[0], answer(200, &json!({}))) else {
        panic!("not durable")
    };
    assert!(matches!(changes[..], [Change::Accepted { seq: Seq(1) }]), "{changes:?}");
    assert!(done(bench.next(&mut first[0], Input::Recorded(Ok(())))).counts);
    assert_eq!(bench.starts(A, 0).len(), 1);
}

/// The node answers 500; its records are read at once.
fn answer_500(bench: &Bench, attempt: &mut Attempt) -> Next {
    assert_eq!(bench.begin(attempt), "upsert");
    assert_eq!(asked(bench.next(attempt, answer(500, &json!({"message": "own words"})))), "get");
    bench.next(attempt, answer(200, &json!({"ids": []})))
}

#[test]
fn errors_become_the_verdict_after_looks_and_who_was_silent_is_set_aside() {
    for silent in [false, true] {
        let bench = Bench::new();
        bench.admit(Op::Upsert, &row());
        if silent {
            let mut attempt = bench.starts(A, 0).pop().expect("a task");
            bench.begin(&mut attempt);
            let timeout = Input::Answer(Err(NodeFault::Timeout(1)));
            assert!(matches!(done(bench.next(&mut attempt, timeout)).outcome, Outcome::InDoubt));
            bench.fall(A);
        }
        for node in [A, B] {
            let mut attempt = bench.starts(node, 0).pop().expect("a task");
            let end = done(answer_500(&bench, &mut attempt));
            assert!(matches!(end.outcome, Outcome::Retry { .. }), "{end:?}");
        }
        let mut attempt = bench.starts(A, 60_000).pop().expect("a task");
        let Next::Record(changes) = answer_500(&bench, &mut attempt) else { panic!() };
        let aside = |change: &Change| matches!(change, Change::Quarantined { node, .. } if *node == B.name());
        assert_eq!(changes.iter().any(aside), silent, "{changes:?}");
        let end = done(bench.next(&mut attempt, Input::Recorded(Ok(()))));
        assert!(end.answers.first().is_some_and(|a| a.body.starts_with(br#"{"message":"own words"#)));
        assert_eq!(bench.0.lock().node(B).is_quarantined(Stream::Collection(DOCS)), silent);
        assert!(!bench.0.lock().node(A).is_quarantined(Stream::Collection(DOCS)));
    }
}

#[test]
fn no_trouble_of_a_node_rejects_what_the_log_acknowledged() {
    let bench = Bench::new();
    bench.admit_as(Op::Upsert, &row(), true);
    for now_ms in (0..20).map(|n| n * 60_000) {
        for node in [A, B] {
            let Some(mut attempt) = bench.starts(node, now_ms).pop() else { continue };
            let end = if now_ms % 120_000 == 0 {
                done(answer_500(&bench, &mut attempt))
            } else {
                assert_eq!(bench.begin(&mut attempt), "upsert");
                done(bench.next(&mut attempt, answer(401, &json!({}))))
            };
            assert!(matches!(end.outcome, Outcome::Retry { .. }), "{end:?}");
        }
    }
    assert!(poison(&bench).is_some(), "nobody is told");
    let mut attempt = bench.starts(A, 9_000_000).pop().expect("it is tried for ever");
    assert_eq!(bench.begin(&mut attempt), "upsert");
    let Next::Record(changes) = bench.next(&mut attempt, answer(422, &json!({}))) else { panic!() };
    assert!(matches!(changes[..], [Change::Rejected { .. }, ..]), "{changes:?}");
}

/// Its client was told of success, and two of three failures were broken connections.
#[test]
fn an_error_is_never_the_last_failure_of_what_the_log_acknowledged() {
    let bench = Bench::new();
    bench.admit_as(Op::Upsert, &row(), true);
    (0..3).for_each(|n| crash(&bench, n));
    let mut attempt = bench.starts(A, 9).pop().expect("a task");
    let end = done(answer_500(&bench, &mut attempt));
    assert!(matches!(end.outcome, Outcome::Retry { .. }), "{end:?}");
}

#[test]
fn a_follower_that_refuses_what_the_log_acknowledged_is_set_aside_as_for_any_other() {
    let bench = Bench::new();
    bench.admit_as(Op::Upsert, &row(), true);
    let mut attempt = bench.starts(A, 0).pop().expect("a task");
    bench.begin(&mut attempt);
    assert!(matches!(done(bench.next(&mut attempt, answer(200, &json!({})))).outcome, Outcome::Applied(_)));
    for now_ms in (1..3).map(|n| n * 60_000) {
        let mut attempt = bench.starts(B, now_ms).pop().expect("a task");
        bench.begin(&mut attempt);
        let end = done(bench.next(&mut attempt, answer(401, &json!({}))));
        assert!(matches!(end.outcome, Outcome::Retry { .. }), "{end:?}");
    }
    let mut attempt = bench.starts(B, 180_000).pop().expect("a task");
    bench.begin(&mut attempt);
    let Next::Record(changes) = bench.next(&mut attempt, answer(401, &json!({}))) else { panic!() };
    assert!(matches!(changes[..], [Change::DeadLetter { .. }, ..]), "{changes:?}");
}

#[test]
fn a_write_that_was_applied_and_answered_by_an_error_is_accepted() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    let mut attempt = bench.starts(A, 0).pop().expect("a task");
    bench.begin(&mut attempt);
    assert_eq!(asked(bench.next(&mut attempt, answer(500, &json!({})))), "get");
    let end = done(bench.next(&mut attempt, answer(200, &row())));
    assert!(matches!(end.outcome, Outcome::Applied(_)), "{end:?}");
}

fn poison(bench: &Bench) -> Option<Matter> {
    bench.0.lock().matters(A).remove(&format!("poison:{DOCS}"))
}

/// Chroma may have logged it, and apply it with the next write.
#[test]
fn what_was_rejected_for_failures_is_told_and_read_back_on_every_node() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    for (node, now_ms) in [(A, 0), (B, 0)] {
        let mut attempt = bench.starts(node, now_ms).pop().expect("a task");
        done(answer_500(&bench, &mut attempt));
    }
    let mut attempt = bench.starts(A, 60_000).pop().expect("a task");
    assert!(matches!(answer_500(&bench, &mut attempt), Next::Record(_)));
    assert_eq!(poison(&bench), None);
    done(bench.next(&mut attempt, Input::Recorded(Ok(()))));
    let stream = Stream::Collection(DOCS);
    for node in [A, B] {
        assert!(bench.0.lock().node(node).doubts.covers(stream, &["a".to_owned()]), "{node}");
    }
    assert!(matches!(poison(&bench), Some(Matter::Poison { seq: Seq(1), .. })));
    bench.admit(Op::Upsert, &row());
    let mut attempt = bench.starts(A, 60_000).pop().expect("a task");
    bench.begin(&mut attempt);
    done(bench.next(&mut attempt, answer(200, &json!({}))));
    assert_eq!(poison(&bench), None);
}

#[test]
fn what_cannot_be_read_back_is_no_verdict_and_others_are_asked() {
    for look in [500, 503, 413] {
        let bench = Bench::new();
        bench.admit(Op::Upsert, &row());
        for (node, now_ms) in [(A, 0), (B, 0), (A, 600_000), (A, 1_200_000), (A, 1_800_000)] {
            let mut attempt = bench.starts(node, now_ms).pop().expect("a task");
            assert_eq!(bench.begin(&mut attempt), "upsert");
            assert_eq!(asked(bench.next(&mut attempt, answer(500, &json!({})))), "get");
            let end = done(bench.next(&mut attempt, answer(look, &json!({}))));
            assert!(matches!(end.outcome, Outcome::Retry { .. }), "{end:?}");
        }
        assert!(matches!(poison(&bench), Some(Matter::Poison { seq: Seq(1), .. })));
        // A node that can be read and lacks it decides; who could not be read gets the collection anew.
        for now_ms in [2_400_000, 3_000_000] {
            let mut attempt = bench.starts(A, now_ms).pop().expect("a task");
            done(answer_500(&bench, &mut attempt));
        }
        let mut attempt = bench.starts(A, 3_600_000).pop().expect("a task");
        let Next::Record(changes) = answer_500(&bench, &mut attempt) else { panic!("no verdict") };
        assert!(
            matches!(&changes[..], [Change::Rejected { .. }, Change::Quarantined { node, .. }] if *node == B.name()),
            "{changes:?}"
        );
    }
}

/// Accepted on the one node; the other one falls whenever it gets it, and when it is read.
#[test]
fn a_follower_that_falls_even_when_it_is_read_gets_the_collection_anew() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    let mut attempt = bench.starts(A, 0).pop().expect("a task");
    bench.begin(&mut attempt);
    done(bench.next(&mut attempt, answer(200, &json!({}))));
    for expected in ["upsert", "upsert", "upsert", "upsert", "get"] {
        let mut attempt = bench.starts(B, 0).pop().expect("a task");
        assert_eq!(bench.begin(&mut attempt), expected);
        match bench.next(&mut attempt, broken()) {
            Next::Record(changes) => {
                assert_eq!(expected, "get");
                assert!(matches!(changes[..], [Change::DeadLetter { .. }, Change::Quarantined { .. }]));
                done(bench.next(&mut attempt, Input::Recorded(Ok(()))));
            }
            next => assert!(matches!(done(next).outcome, Outcome::InDoubt) && expected == "upsert"),
        }
        bench.fall(B);
    }
    assert!(bench.0.lock().node(B).is_quarantined(Stream::Collection(DOCS)));
}

/// The entry was accepted by the first node; the second one falls under it until it is only read.
fn accepted_elsewhere() -> Bench {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    let mut attempt = bench.starts(A, 0).pop().expect("a task");
    bench.begin(&mut attempt);
    done(bench.next(&mut attempt, answer(200, &json!({}))));
    bench
}

fn fall_often(bench: &Bench, node: NodeId) {
    for _ in 0..4 {
        let mut attempt = bench.starts(node, 0).pop().expect("a task");
        assert_eq!(bench.begin(&mut attempt), "upsert");
        assert!(matches!(done(bench.next(&mut attempt, broken())).outcome, Outcome::InDoubt));
        bench.fall(node);
    }
}

/// What only this node holds must not be set aside, because nobody could bring it back.
#[test]
fn a_follower_that_nobody_could_be_copied_to_gets_no_dead_letter() {
    let bench = accepted_elsewhere();
    fall_often(&bench, B);
    assert_eq!(bench.0.lock().set_aside(A, DOCS, "for a test"), Ok(()));
    let mut attempt = bench.starts(B, 0).pop().expect("a task");
    assert_eq!(bench.begin(&mut attempt), "get");
    let end = done(bench.next(&mut attempt, answer(200, &json!({"ids": []}))));
    assert!(matches!(end.outcome, Outcome::Retry { .. }), "{end:?}");
    let mut attempt = bench.starts(B, 600_000).pop().expect("a task");
    assert_eq!(bench.begin(&mut attempt), "get");
    assert!(matches!(done(bench.next(&mut attempt, broken())).outcome, Outcome::InDoubt));
}

/// Its lane went back because of a late request; a later write has changed the record.
#[test]
fn an_entry_that_the_node_had_passed_is_not_looked_for_in_its_records() {
    let bench = accepted_elsewhere();
    let entry = Arc::clone(&bench.starts(B, 0)[0].task().entries[0]);
    bench.fall(B);
    let mut attempt = bench.starts(B, 0).pop().expect("a task");
    bench.begin(&mut attempt);
    assert!(done(bench.next(&mut attempt, answer(200, &json!({})))).counts);
    let generation = bench.0.lock().node(B).generation;
    let again = ReplayTask { collection: DOCS, from: Seq(1), generation };
    assert!(bench.0.lock().replay(B, &again));
    let steps = bench.0.lock().steps(B, 0);
    for step in steps {
        if let Step::Load { stream: Some(stream), page, life } = step {
            bench.0.lock().loaded(B, life, stream, page.from, vec![Arc::clone(&entry)], Seq(1));
        }
    }
    fall_often(&bench, B);
    let mut attempt = bench.starts(B, 0).pop().expect("a task");
    assert_eq!(bench.begin(&mut attempt), "get");
    let later = json!({"ids": ["a"], "documents": ["of a later write"]});
    let end = done(bench.next(&mut attempt, answer(200, &later)));
    assert!(matches!(end.outcome, Outcome::Applied(_)), "{end:?}");
}

#[test]
fn silence_is_never_a_verdict() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    for now_ms in 0..20 {
        let mut attempt = bench.starts(A, now_ms).pop().expect("a task");
        assert_eq!(bench.begin(&mut attempt), "upsert");
        let timeout = Input::Answer(Err(NodeFault::Timeout(1)));
        assert!(matches!(done(bench.next(&mut attempt, timeout)).outcome, Outcome::InDoubt));
        bench.fall(A);
    }
}

#[test]
fn after_a_restart_every_other_node_may_have_been_tried() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    bench.0.lock().set_standing(B, SUSPECT);
    let head = bench.0.lock().head();
    let entry = Arc::clone(&bench.starts(A, 0)[0].task().entries[0]);
    bench.restart(head);
    let page = vec![Arc::new(Entry::new(head, entry.draft.clone(), 0))];
    for node in [A, B] {
        let steps = bench.0.lock().steps(node, 0);
        for step in steps {
            if let Step::Load { page: wanted, life, .. } = step {
                bench.0.lock().feed(node, life, wanted.from, page.clone(), head);
            }
        }
    }
    for now_ms in [0, 60_000, 120_000] {
        let mut attempt = bench.starts(A, now_ms).pop().expect("a task");
        if let Next::Record(changes) = answer_500(&bench, &mut attempt) {
            let aside = |change: &Change| matches!(change, Change::Quarantined { .. });
            return assert!(changes.iter().any(aside), "{changes:?}");
        }
    }
    panic!("no verdict");
}

/// A copy to it broke off; it may have brought what a third node held of the entry.
#[test]
fn what_a_copy_brought_of_a_rejected_write_is_not_gone_on_with() {
    let bench = Bench::new();
    let begun = Leftover { node_collection: Uuid::from_u128(5), state: LeftoverState::Begun(Seq::ZERO) };
    bench.restart_with(Seq::ZERO, Vec::new(), vec![(DOCS, begun)]);
    bench.admit(Op::Upsert, &row());
    (0..4).for_each(|n| crash(&bench, n));
    let mut attempt = bench.starts(A, 9).pop().expect("a task");
    assert_eq!(bench.begin(&mut attempt), "get");
    let Next::Record(changes) = bench.next(&mut attempt, answer(200, &json!({"ids": []}))) else {
        panic!("no verdict")
    };
    assert!(
        matches!(changes[..], [Change::Rejected { .. }, Change::Copying { node_collection: Some(own), .. }]
            if own == begun.node_collection),
        "{changes:?}"
    );
}

#[test]
fn trouble_that_is_not_the_entrys_never_becomes_a_verdict() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &row());
    for now_ms in 0..20 {
        for node in [A, B] {
            let Some(mut attempt) = bench.starts(node, now_ms * 60_000).pop() else { continue };
            assert_eq!(bench.begin(&mut attempt), "upsert");
            let input = match now_ms % 3 {
                0 => answer(503, &json!({})),
                1 => answer(429, &json!({})),
                _ => Input::Answer(Err(NodeFault::Refused)),
            };
            assert!(matches!(done(bench.next(&mut attempt, input)).outcome, Outcome::Retry { .. }));
        }
    }
}

#[test]
fn an_outcome_that_the_log_refuses_for_good_becomes_a_rejection() {
    let bench = Bench::new();
    bench.admit(Op::CreateCollection, &json!({"name": "other"}));
    let mut attempt = bench.starts(A, 0).pop().expect("a task");
    bench.begin(&mut attempt);
    let created = json!({"id": Uuid::from_u128(5), "name": "other"});
    let mut next = bench.next(&mut attempt, answer(200, &created));
    for _ in 0..3 {
        assert!(matches!(next, Next::Record(_)), "{next:?}");
        let refused = Input::Recorded(Err(StoreError::Refused("invalid text".into())));
        assert!(matches!(bench.next(&mut attempt, refused), Next::Wait(_)));
        next = bench.next(&mut attempt, Input::Waited);
    }
    let Next::Record(changes) = next else { panic!() };
    assert!(matches!(changes[..], [Change::Rejected { .. }]), "{changes:?}");
    let end = done(bench.next(&mut attempt, Input::Recorded(Ok(()))));
    assert!(end.counts && matches!(end.outcome, Outcome::Rejected));
    assert_eq!(attempt.task().entries[0].decision(), Some(Decision::Rejected));
}

#[test]
fn an_error_to_the_question_for_a_dimension_is_no_answer() {
    let bench = Bench::new();
    bench.admit(Op::Update, &json!({"ids": ["m"], "embeddings": [[1, 2, 3]]}));
    let mut attempt = bench.starts(A, 0).pop().expect("a task");
    assert_eq!(bench.begin(&mut attempt), "get");
    assert!(matches!(bench.next(&mut attempt, answer(200, &json!({"ids": []}))), Next::Record(_)));
    assert_eq!(asked(bench.next(&mut attempt, Input::Recorded(Ok(())))), Uuid::from_u128(100).to_string());
    let end = done(bench.next(&mut attempt, answer(503, &json!({}))));
    assert!(matches!(end.outcome, Outcome::Retry { .. }), "{end:?}");
}
