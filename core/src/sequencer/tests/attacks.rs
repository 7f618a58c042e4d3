//! Deliveries to nodes that lost something unnoticed, or that are asked about an entry again after later ones.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::backoff::Backoff;
use crate::delivery::{self, Attempt, Input, Terms};
use crate::port::{NodeRequest, NodeResponse};

const LOST: CollectionId = CollectionId(Uuid::from_u128(9));

fn terms(attempts: u32) -> Terms {
    Terms { timeout: Duration::ZERO, attempts, backoff: Backoff::default(), deletion_key: None }
}

/// The catalog's entry about the collection `docs`.
fn catalog_entry(seq: u64, op: Op, body: Value) -> Arc<Entry> {
    let base = format!("/api/v2/tenants/{DEFAULT_TENANT}/databases/{DEFAULT_DATABASE}/collections");
    let (method, path, target) = match op {
        Op::ModifyCollection => ("PUT", format!("{base}/{DOCS}"), DOCS.0),
        Op::CreateDatabase => ("POST", "/api/v2/tenants/t1/databases".to_owned(), Uuid::from_u128(50)),
        _ => ("POST", base, Uuid::from_u128(1_000 + u128::from(seq))),
    };
    let (write_id, method) = (seq.to_string(), method.to_owned());
    let body = Bytes::from(body.to_string());
    let draft = Draft { write_id, op, target: Some(target), method, path, body, headers: Vec::new() };
    Arc::new(Entry::new(Seq(seq), draft, 0))
}

/// Drives a delivery on a node that answers so; returns how it ended and what it was asked. Everything
/// can be recorded but a second collection of one name.
fn deliver(
    shared: &Shared,
    node: NodeId,
    (task, terms): (Task, Terms),
    mut answer: impl FnMut(&NodeRequest) -> (u16, Value),
) -> (delivery::End, Vec<NodeRequest>) {
    let mut attempt = Attempt::new(node, task, terms);
    let mut input = Input::Begin;
    let mut asked = Vec::new();
    for _ in 0..20 {
        input = match attempt.next(shared, 0, input) {
            delivery::Next::Ask(request) => {
                let (status, body) = answer(&request);
                asked.push(request);
                let body = Bytes::from(body.to_string());
                Input::Answer(Ok(NodeResponse { status, headers: Vec::new(), body }))
            }
            delivery::Next::Record(changes) => {
                let taken = changes.iter().any(|change| takes_a_name_twice(&shared.lock(), change));
                assert!(!taken, "the log refuses this for ever: {changes:?}");
                Input::Recorded(Ok(()))
            }
            delivery::Next::Wait(_) => Input::Waited,
            delivery::Next::Done(end) => return (*end, asked),
        };
    }
    panic!("it never ends");
}

/// Two living collections of one name: a unique index of the catalog's table.
fn takes_a_name_twice(s: &Sequencer, change: &crate::port::Change) -> bool {
    let crate::port::Change::CatalogAccepted { moves, .. } = change else { return false };
    moves.iter().any(|step| match step {
        Move::CollectionRenamed { id, name } => {
            let other = s.catalog.named(DEFAULT_TENANT, DEFAULT_DATABASE, name);
            other.is_some_and(|other| other != *id)
        }
        Move::CollectionCreated { id, tenant, database, name } => {
            s.catalog.named(tenant, database, name).is_some_and(|other| other != *id)
        }
        _ => false,
    })
}

#[test]
fn a_collection_does_not_get_the_name_of_one_that_every_node_lost() {
    let mut s = nodes(1);
    let (tenant, database, name) = (DEFAULT_TENANT.into(), DEFAULT_DATABASE.into(), "gone".into());
    s.catalog.apply(&Move::CollectionCreated { id: LOST, tenant, database, name });
    s.nodes[A.0].quarantine(LOST, "the node lost this collection");
    assert!(s.is_lost(LOST));
    s.admit(&[catalog_entry(1, Op::ModifyCollection, json!({ "new_name": "gone" }))]);
    let task = s.steps(A, 0).into_iter().find_map(|step| match step {
        Step::Apply(task) => Some(task),
        _ => None,
    });
    let shared = Shared::new(s);
    let (end, _) = deliver(&shared, A, (task.unwrap(), terms(3)), |_| (200, json!({})));
    assert!(matches!(end.outcome, Outcome::Rejected), "{end:?}");
}

/// It was restarted with an empty disk between two probes: what it makes anew is not the collection.
#[test]
fn a_node_that_makes_anew_what_it_should_hold_gives_no_verdict() {
    let mut s = nodes(2);
    s.admit(&[catalog_entry(1, Op::CreateCollection, json!({ "name": "docs", "get_or_create": true }))]);
    let task = one(&mut s, A, "a1");
    let shared = Shared::new(s);
    let fresh = |_: &NodeRequest| (200, json!({ "id": Uuid::from_u128(500), "name": "docs" }));
    let (end, _) = deliver(&shared, A, (task, terms(3)), fresh);
    assert!(matches!(end.outcome, Outcome::InDoubt), "{end:?}");
    let mut s = shared.lock();
    s.set_standing(A, SUSPECT);
    one(&mut s, B, "a1");
}

#[test]
fn a_node_that_denies_a_collection_which_it_holds_gives_no_verdict_on_a_change_of_it() {
    let mut s = nodes(2);
    s.admit(&[catalog_entry(1, Op::ModifyCollection, json!({ "new_name": "papers" }))]);
    let task = one(&mut s, A, "a1");
    let shared = Shared::new(s);
    let (end, _) = deliver(&shared, A, (task, terms(3)), |_| (404, json!({ "error": "NotFoundError" })));
    assert!(matches!(end.outcome, Outcome::InDoubt), "{end:?}");
}

/// The entry was applied, and a later one made the record that it had not found; then the balancer fell.
#[test]
fn an_update_that_is_asked_again_reaches_no_record_that_was_made_after_it() {
    let mut s = nodes(1);
    s.recover(Recovered { head: Seq(2), ..Recovered::default() });
    trust(&mut s);
    let (tenant, database, name) = (DEFAULT_TENANT.into(), DEFAULT_DATABASE.into(), "docs".into());
    s.catalog.apply(&Move::CollectionCreated { id: DOCS, tenant, database, name });
    s.nodes[A.0].map(DOCS, Some(Uuid::from_u128(100)));
    s.set_standing(A, UP);
    let mut draft = entry(1, Op::Update).draft.clone();
    // A list in metadata: Chroma is the judge of whether it takes it.
    let body = json!({ "ids": ["old", "new"], "metadatas": [{ "k": [1] }, { "k": [2] }] });
    draft.body = Bytes::from(body.to_string());
    let effect = Effect::Ids { ids: vec!["old".to_owned()] };
    let update = Arc::new(Entry::new(Seq(1), draft, 0).recovered(Some(effect), None));
    assert_eq!(starts(&mut s, A).0, "l1");
    let life = s.life;
    s.feed(A, life, Seq(1), vec![update, entry(2, Op::Add)], Seq(2));
    let task = one(&mut s, A, "a1");
    let shared = Shared::new(s);
    let (end, asked) = deliver(&shared, A, (task, terms(3)), |_| (200, json!({})));
    assert!(matches!(end.outcome, Outcome::Applied(_)), "{end:?}");
    let sent: Value = serde_json::from_slice(&asked.last().unwrap().body).unwrap();
    let ids: Vec<&str> = sent["ids"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(ids.contains(&"old") && !ids.contains(&"new"), "{sent}");
    assert_eq!(sent["metadatas"], body["metadatas"], "Chroma judges every row");
}

/// The last node goes just after the client began to wait and before its entry is admitted.
#[test]
fn a_write_that_is_queued_before_it_is_admitted_counts_as_acknowledged() {
    let mut s = nodes(1);
    s.set_standing(A, DOWN);
    s.acknowledge_queued(STREAM, Seq(1));
    s.admit(&[entry(1, Op::Add)]);
    s.set_standing(A, UP);
    assert_eq!(readable(&s), [] as [usize; 0]);
    let generation = s.node(A).generation;
    s.steps(A, 0);
    assert!(s.inspected(A, generation, Some(Findings { joined: true, ..Findings::default() })));
    assert_eq!(readable(&s), [] as [usize; 0]);
}

/// A node that lost its disk makes the databases again that the log says; the tenant went with a reset.
#[test]
fn a_database_that_was_taken_away_since_is_not_asked_for() {
    let mut s = nodes(2);
    s.catalog.apply(&Move::TenantCreated { name: "t1".to_owned() });
    s.admit(&[catalog_entry(1, Op::CreateDatabase, json!({ "name": "d1" }))]);
    let first = one(&mut s, A, "a1");
    let shared = Shared::new(s);
    let (end, _) = deliver(&shared, A, (first, terms(3)), |_| (200, json!({})));
    assert!(matches!(end.outcome, Outcome::Applied(_)), "{end:?}");
    let mut s = shared.lock();
    assert!(s.catalog.database("t1", "d1").is_some());
    s.catalog.apply(&Move::Reset { seq: Seq(2) });
    let second = one(&mut s, B, "f1");
    drop(s);
    let (end, asked) = deliver(&shared, B, (second, terms(3)), |_| (404, json!({})));
    assert!(matches!(end.outcome, Outcome::Applied(_)) && asked.is_empty(), "{end:?}");
}
