//! A node lacks a collection after a request without an answer: it executed the deletion, or it lost its disk.

use std::time::Duration;

use super::*;
use crate::backoff::Backoff;
use crate::delivery::{Attempt, Input, Next as Do, Terms};

/// Of entries that are undecided, and that a holder who fell asked A about, or nobody. B is away with `docs`.
fn recovered(entries: Vec<Arc<Entry>>) -> Sequencer {
    let mut s = nodes(2);
    let place = s.catalog.collection(DOCS).cloned().unwrap();
    let head = Seq(entries.len() as u64);
    s.recover(Recovered { head, ..Recovered::default() });
    trust(&mut s);
    let (tenant, database, name) = (place.tenant, place.database, place.name);
    s.catalog.apply(&Move::CollectionCreated { id: DOCS, tenant, database, name });
    for node in [A, B] {
        s.nodes[node.0].map(DOCS, Some(Uuid::from_u128(100 + node.0 as u128)));
    }
    s.set_standing(B, DOWN);
    s.set_standing(A, UP);
    lacks_docs(&mut s);
    s.feed(A, s.life, Seq(1), entries, head);
    s
}

/// Such an entry alone.
fn asked_before(method: &str, path: &str, op: Op) -> Sequencer {
    let mut draft = entry(1, op).draft.clone();
    (draft.method, draft.path) = (method.to_owned(), path.to_owned());
    recovered(vec![Arc::new(Entry::new(Seq(1), draft, 0))])
}

/// It is looked at. What may explain what it lacks is still to be read from the log.
fn lacks_docs(s: &mut Sequencer) {
    looked_at(s, A, vec![DOCS]);
    assert!(matches!(s.steps(A, 0)[..], [Step::Load { .. }]));
}

fn looked_at(s: &mut Sequencer, node: NodeId, lost: Vec<CollectionId>) {
    let steps = s.steps(node, 0);
    let [Step::Inspect { generation, .. }] = steps[..] else { panic!("{steps:?}") };
    assert!(s.inspected(node, generation, Some(Findings { lost, ..Findings::default() })));
}

fn tasks(s: &mut Sequencer) -> Vec<Task> {
    let apply = |step| if let Step::Apply(task) = step { Some(task) } else { None };
    s.steps(A, 0).into_iter().filter_map(apply).collect()
}

const DATABASES: &str = "/api/v2/tenants/default_tenant/databases";

#[test]
fn what_it_deleted_unheard_bars_nobody_and_is_not_told() {
    let mut s = asked_before(
        "DELETE",
        &format!("{DATABASES}/default_database/collections/docs"),
        Op::DeleteCollection,
    );
    let task = tasks(&mut s).pop().expect("A judges it, although B has the collection");
    assert!(!s.is_barred(A) && s.matters(A).is_empty(), "{:?}", s.matters(A));
    let shared = Shared::new(s);
    let terms =
        Terms { timeout: Duration::ZERO, attempts: 3, backoff: Backoff::default(), deletion_key: None };
    let mut attempt = Attempt::new(A, task, terms);
    let recording = attempt.next(&shared, 0, Input::Begin);
    assert!(matches!(recording, Do::Record(_)), "{recording:?}");
    let Do::Done(end) = attempt.next(&shared, 0, Input::Recorded(Ok(()))) else { panic!("it does not end") };
    assert!(matches!(end.outcome, Outcome::Applied(_)), "{end:?}");
}

/// While A was away its lanes gave their memory back.
#[test]
fn a_deletion_without_an_answer_explains_as_well() {
    let mut s = nodes(2);
    s.set_standing(B, DOWN);
    admit(&mut s, &[Op::DeleteCollection]);
    let task = one(&mut s, A, "a1");
    s.set_standing(A, DOWN);
    s.set_standing(A, UP);
    lacks_docs(&mut s);
    s.loaded(A, s.life, Stream::Catalog, Seq(1), task.entries, Seq(1));
    assert_eq!(tasks(&mut s).len(), 1);
    assert!(!s.is_barred(A) && s.matters(A).is_empty(), "{:?}", s.matters(A));
}

/// B may have taken more before the deletion, and is asked for all of it first.
#[test]
fn who_is_up_and_holds_it_judges_the_deletion() {
    let mut s = asked_before(
        "DELETE",
        &format!("{DATABASES}/default_database/collections/docs"),
        Op::DeleteCollection,
    );
    s.set_standing(B, UP);
    assert!(tasks(&mut s).is_empty());
    assert!(s.is_barred(A) && s.matters(A).is_empty(), "{:?}", s.matters(A));
}

#[test]
fn a_database_and_a_reset_take_what_was_in_them() {
    for (method, path, op) in [
        ("DELETE", format!("{DATABASES}/default_database"), Op::DeleteDatabase),
        ("POST", "/api/v2/reset".to_owned(), Op::Reset),
    ] {
        let mut s = asked_before(method, &path, op);
        assert_eq!(tasks(&mut s).len(), 1, "{path}");
    }
}

#[test]
fn what_another_deletion_does_not_explain_is_lost() {
    for (path, op) in [
        (format!("{DATABASES}/default_database/collections/others"), Op::DeleteCollection),
        (format!("{DATABASES}/others"), Op::DeleteDatabase),
    ] {
        let mut s = asked_before("DELETE", &path, op);
        assert!(tasks(&mut s).is_empty(), "{path}: B alone can judge it");
        assert!(s.is_barred(A) && s.matters(A).contains_key("amnesia:primary"));
    }
}

/// It stays undecided, and was never asked: nobody can have executed it.
#[test]
fn a_deletion_that_was_not_sent_explains_nothing() {
    let mut s = nodes(2);
    s.set_standing(A, SUSPECT);
    s.set_standing(B, DOWN);
    admit(&mut s, &[Op::DeleteCollection]);
    s.set_standing(A, UP);
    lacks_docs(&mut s);
    s.loaded(A, s.life, Stream::Catalog, Seq(1), vec![entry(1, Op::DeleteCollection)], Seq(1));
    assert!(tasks(&mut s).is_empty());
    assert!(s.is_barred(A) && s.matters(A).contains_key("amnesia:primary"));
}

/// B lacks another collection for good, so it cannot judge, and A could not without a copy of this one.
#[test]
fn who_cannot_be_judged_by_anybody_gets_its_copy() {
    let mut s = asked_before(
        "DELETE",
        &format!("{DATABASES}/default_database/collections/docs"),
        Op::DeleteCollection,
    );
    s.set_standing(B, UP);
    let copies = |s: &mut Sequencer| s.steps(A, 0).iter().any(|step| matches!(step, Step::Copy(_)));
    let entry = s.nodes[A.0].lane(Stream::Catalog).and_then(|lane| lane.front()).cloned().unwrap();
    looked_at(&mut s, B, Vec::new());
    s.feed(B, s.life, Seq(1), vec![entry], Seq(1));
    assert!(!copies(&mut s), "B judges it");
    let (other, name) = (CollectionId(Uuid::from_u128(8)), "other".to_owned());
    let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
    s.catalog.apply(&Move::CollectionCreated { id: other, tenant, database, name });
    s.nodes[A.0].map(other, Some(Uuid::from_u128(9)));
    s.nodes[B.0].quarantine(other, "the node holds other data");
    assert!(s.is_barred(B) && copies(&mut s));
}

/// What it was asked about the collection meanwhile somebody else may answer.
#[test]
fn what_a_node_was_asked_of_a_collection_that_is_gone_is_asked_elsewhere() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Upsert]);
    one(&mut s, A, "a1");
    idle(&mut s, B);
    assert!(s.denied(A, DOCS, Uuid::from_u128(100)));
    looked_at(&mut s, A, vec![DOCS]);
    one(&mut s, B, "a1");
}

/// A gateway may have answered for it.
#[test]
fn an_error_does_not_say_that_it_was_not_executed() {
    let mut s = nodes(2);
    s.set_standing(B, DOWN);
    admit(&mut s, &[Op::DeleteCollection]);
    let task = one(&mut s, A, "a1");
    assert!(s.finish(ticket(A, &task), &task.entries, Outcome::Retry { until_ms: 0 }));
    assert!(s.denied(A, DOCS, Uuid::from_u128(100)));
    looked_at(&mut s, A, vec![DOCS]);
    assert_eq!(tasks(&mut s).len(), 1);
}

/// B comes back while A judges the deletion: what B was to take before it counts as taken, and nothing else.
#[test]
fn while_a_deletion_is_judged_nothing_is_judged_before_it() {
    let entries = vec![entry(1, Op::Upsert), entry(2, Op::DeleteCollection)];
    let mut s = recovered(entries.clone());
    let task = tasks(&mut s).pop().unwrap();
    s.set_standing(B, UP);
    looked_at(&mut s, B, Vec::new());
    s.feed(B, s.life, Seq(1), entries, Seq(2));
    idle(&mut s, B);
    deleted(&mut s, A, &task);
    assert!(starts(&mut s, B).0.starts_with("m1 Accepted"));
}
