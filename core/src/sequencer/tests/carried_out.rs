//! One task carried out by the real steps of `delivery`, while the sequencer changes under it or the node
//! holds something else than it should.

use std::time::Duration;

use super::*;
use crate::backoff::Backoff;
use crate::delivery::{Attempt, Input, Next as Do, Terms};
use crate::port::{Change, NodeRequest, NodeResponse, StoreError};

fn terms() -> Terms {
    Terms { timeout: Duration::ZERO, attempts: 3, backoff: Backoff::default(), deletion_key: None }
}

fn attempt(node: NodeId, task: Task) -> Attempt {
    Attempt::new(node, task, terms())
}

fn answer(status: u16, body: &str) -> Input {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Input::Answer(Ok(NodeResponse { status, headers: Vec::new(), body }))
}

fn asks(next: Do) -> NodeRequest {
    match next {
        Do::Ask(request) => request,
        other => panic!("it asks nothing: {other:?}"),
    }
}

/// A client's create with this body; the catalog knows the name `docs` only.
fn create(s: &mut Sequencer, body: &str) -> Task {
    let mut draft = entry(1, Op::CreateCollection).draft.clone();
    draft.body = Bytes::copy_from_slice(body.as_bytes());
    s.admit(&[Arc::new(Entry::new(Seq(1), draft, 0))]);
    one(s, A, "a1")
}

/// Recorded all the same, the log would hold a refusal while another node is asked and accepts.
#[test]
fn what_comes_after_the_standing_was_lost_is_not_recorded() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add]);
    let mut first = attempt(A, one(&mut s, A, "a1"));
    let shared = Shared::new(s);
    asks(first.next(&shared, 0, Input::Begin));
    shared.lock().set_standing(A, SUSPECT);
    let ended = first.next(&shared, 0, answer(400, "{}"));
    let Do::Done(end) = ended else { panic!("{ended:?}") };
    assert!(!end.counts && end.answers.is_empty());
    assert_eq!(starts(&mut shared.lock(), B).0, "a1");
}

/// What is recorded is claimed, so nobody else is asked until the log has it.
#[test]
fn what_is_being_recorded_counts_although_the_standing_is_lost_meanwhile() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add]);
    let mut first = attempt(A, one(&mut s, A, "a1"));
    let shared = Shared::new(s);
    asks(first.next(&shared, 0, Input::Begin));
    assert!(matches!(first.next(&shared, 0, answer(400, "{}")), Do::Record(_)));
    shared.lock().set_standing(A, DOWN);
    assert_eq!(starts(&mut shared.lock(), B).0, "");
    let ended = first.next(&shared, 0, Input::Recorded(Ok(())));
    assert!(matches!(&ended, Do::Done(end) if end.counts && !end.answers.is_empty()), "{ended:?}");
    assert_eq!(starts(&mut shared.lock(), B).0, "", "it is refused everywhere");
}

/// The next holder of the lease decides anew: what is repeated then might contradict it.
#[test]
fn a_record_that_failed_is_not_repeated_under_another_lease() {
    let mut s = nodes(1);
    admit(&mut s, &[Op::Add]);
    let mut first = attempt(A, one(&mut s, A, "a1"));
    let shared = Shared::new(s);
    asks(first.next(&shared, 0, Input::Begin));
    let failed = || Input::Recorded(Err(StoreError::Unavailable("away".to_owned())));
    assert!(matches!(first.next(&shared, 0, answer(400, "{}")), Do::Record(_)));
    assert!(matches!(first.next(&shared, 0, failed()), Do::Wait(_)));
    assert!(matches!(first.next(&shared, 0, Input::Waited), Do::Record(_)), "still ours to record");
    assert!(matches!(first.next(&shared, 0, failed()), Do::Wait(_)));
    shared.lock().recover(Recovered { head: Seq(1), ..Recovered::default() });
    let ended = first.next(&shared, 0, Input::Waited);
    assert!(matches!(&ended, Do::Done(end) if !end.counts), "{ended:?}");
}

/// Somebody past the balancer, or an entry that is not applied here yet, gave the name to another one.
#[test]
fn a_collection_that_is_not_the_mapped_one_is_not_deleted() {
    let another = format!(r#"{{"id": "{}", "name": "docs"}}"#, Uuid::from_u128(666));
    let mut s = nodes(2);
    admit(&mut s, &[Op::DeleteCollection]);
    let task = one(&mut s, A, "a1");
    let mut acting = attempt(A, task.clone());
    let shared = Shared::new(s);
    assert_eq!(asks(acting.next(&shared, 0, Input::Begin)).method, "GET");
    let next = acting.next(&shared, 0, answer(200, &another));
    let Do::Record(changes) = next else { panic!("{next:?}") };
    assert!(
        matches!(&changes[..], [Change::Rejected { reason, .. }] if reason.starts_with("409")),
        "{changes:?}"
    );

    let mut s = nodes(2);
    admit(&mut s, &[Op::DeleteCollection]);
    let delete = one(&mut s, A, "a1");
    deleted(&mut s, A, &delete);
    let mut following = attempt(B, one(&mut s, B, "f1"));
    let shared = Shared::new(s);
    assert_eq!(asks(following.next(&shared, 0, Input::Begin)).method, "GET");
    let next = following.next(&shared, 0, answer(200, &another));
    assert!(matches!(next, Do::Record(_)), "the node is past it without a request: {next:?}");
}

#[test]
fn the_mapped_collection_is_deleted() {
    let mapped = format!(r#"{{"id": "{}", "name": "docs"}}"#, Uuid::from_u128(100));
    let mut s = nodes(1);
    admit(&mut s, &[Op::DeleteCollection]);
    let mut acting = attempt(A, one(&mut s, A, "a1"));
    let shared = Shared::new(s);
    asks(acting.next(&shared, 0, Input::Begin));
    assert_eq!(asks(acting.next(&shared, 0, answer(200, &mapped))).method, "DELETE");
}

/// With the client's permission to take what exists, the node would hand out somebody else's records.
#[test]
fn a_name_that_the_catalog_does_not_know_must_be_new_on_the_node() {
    for (name, passed_on) in [("new", false), ("docs", true)] {
        let mut s = nodes(1);
        let body = format!(r#"{{"name": "{name}", "get_or_create": true}}"#);
        let mut acting = attempt(A, create(&mut s, &body));
        let request = asks(acting.next(&Shared::new(s), 0, Input::Begin));
        let sent: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent["get_or_create"], passed_on, "{name}");
    }
}

/// Two creates of a name at the same time are two entries: the second finds what the first one made.
#[test]
fn a_name_that_exists_keeps_its_id() {
    let mut s = nodes(1);
    let task = create(&mut s, r#"{"name": "docs", "get_or_create": true}"#);
    let mut acting = attempt(A, task);
    let shared = Shared::new(s);
    asks(acting.next(&shared, 0, Input::Begin));
    let own = format!(r#"{{"id": "{}", "name": "docs"}}"#, Uuid::from_u128(100));
    let next = acting.next(&shared, 0, answer(200, &own));
    let Do::Record(changes) = next else { panic!("{next:?}") };
    let accepted = changes.iter().find_map(|change| match change {
        Change::CatalogAccepted { effect, moves, .. } => Some((effect.clone(), moves.len())),
        _ => None,
    });
    assert_eq!(accepted, Some((Effect::Collection { id: DOCS }, 0)));
}

/// Otherwise a crash would let the client hear one thing and the next asking another.
#[test]
fn a_client_with_a_key_hears_nothing_before_it_is_durable() {
    let claim = crate::idempotency::Claim { key: [1; 32], digest: [2; 32] };
    for keyed in [false, true] {
        let mut s = nodes(1);
        let add = Entry::new(Seq(1), entry(1, Op::Add).draft.clone(), 0).under(keyed.then_some(claim));
        s.admit(&[Arc::new(add)]);
        let mut acting = attempt(A, one(&mut s, A, "a1"));
        let shared = Shared::new(s);
        asks(acting.next(&shared, 0, Input::Begin));
        match acting.next(&shared, 0, answer(201, "{}")) {
            Do::Record(changes) => {
                assert!(
                    keyed && matches!(&changes[..], [Change::Outcome { seq: Seq(1), .. }]),
                    "{changes:?}"
                );
            }
            Do::Done(end) => assert!(!keyed && !end.answers.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

/// Looked up again, records that were no match before might be taken in their place.
#[test]
fn what_a_deletion_came_to_on_a_node_is_what_it_gets_again() {
    let record =
        |id: &str| format!(r#"{{"ids": ["{id}"], "documents": ["x"], "metadatas": [{{"d": "doc"}}]}}"#);
    let asked = |request: NodeRequest| (request.path.rsplit('/').next().unwrap().to_owned(), request.body);
    let mut s = nodes(2);
    s.set_other_ids(B, DOCS, true);
    admit(&mut s, &[Op::Delete]);
    let acting = one(&mut s, A, "a1");
    let seen = crate::conversion::seen(record("ours").as_bytes(), "d").unwrap();
    let deletion = crate::conversion::Deletion::of(&["ours".to_owned()], &seen);
    acting.entries[0].resolve(Effect::Deletion(deletion));
    assert!(applied(&mut s, A, &acting));
    let task = one(&mut s, B, "f1");
    let shared = Shared::new(s);
    let with_key = || Terms { deletion_key: Some("d".into()), ..terms() };

    let mut first = Attempt::new(B, task.clone(), with_key());
    let (verb, _) = asked(asks(first.next(&shared, 0, Input::Begin)));
    assert_eq!(verb, "get");
    let (verb, _) = asked(asks(first.next(&shared, 0, answer(200, r#"{"ids": []}"#))));
    assert_eq!(verb, "get");
    let next = first.next(&shared, 0, answer(200, &record("theirs")));
    assert!(matches!(next, Do::Record(_)), "{next:?}");
    let (verb, sent) = asked(asks(first.next(&shared, 0, Input::Recorded(Ok(())))));
    assert_eq!((verb.as_str(), &sent[..]), ("delete", br#"{"ids":["theirs"]}"#.as_slice()));

    let mut again = Attempt::new(B, task, with_key());
    let (verb, body) = asked(asks(again.next(&shared, 0, Input::Begin)));
    assert_eq!((verb.as_str(), body), ("delete", sent));
}
