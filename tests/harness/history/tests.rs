//! Is every kind of violation found, and nothing else? Histories made by hand, times as numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Found, NameOp, Names};
use super::record::{Change, GROUP, Kept, Patch, Row, Seen, Verb};
use super::{Call, Judgement, Object, Outcome, What, judge};
use Outcome::{Acknowledged, Logged, Refused, Unanswered, Undecided};

type Write = (Verb, u64, Outcome);

fn change(verb: Verb, number: u64) -> Change {
    let metadata = BTreeMap::from([(GROUP.to_owned(), Some(number % 3))]);
    let (embedding, document) = ((verb != Verb::Update).then_some(number), Some(number));
    Change { verb, patches: vec![Patch { embedding, document, metadata }] }
}

fn call<O: Object>(begin: u64, end: u64, what: What<O>) -> Call<O> {
    Call { begin, end, what }
}

fn write(begin: u64, end: u64, (verb, number, outcome): Write) -> Call<Kept> {
    call(begin, end, What::Write(change(verb, number), outcome))
}

fn read(begin: u64, end: u64, seen: Seen) -> Call<Kept> {
    call(begin, end, What::Read(seen))
}

fn judged(calls: &[Call<Kept>]) -> Judgement<Kept> {
    judge::<Kept>(None, calls)
}

/// What the document may be in the end; `None` without record.
fn documents(calls: &[Call<Kept>]) -> BTreeSet<Option<u64>> {
    let judgement = judged(calls);
    assert_eq!(judgement.wrong, Vec::<usize>::new());
    assert!(!judgement.undecided);
    judgement.finals.iter().map(|row| row.as_ref().and_then(|row: &Row| row.document)).collect()
}

#[test]
fn what_was_acknowledged_is_the_only_choice() {
    let calls = [write(1, 2, (Verb::Upsert, 1, Acknowledged)), write(3, 4, (Verb::Upsert, 2, Acknowledged))];
    assert_eq!(documents(&calls), BTreeSet::from([Some(2)]), "a lost or an older record is found");
    let gone = [write(1, 2, (Verb::Upsert, 1, Acknowledged)), write(3, 4, (Verb::Delete, 2, Acknowledged))];
    assert_eq!(documents(&gone), BTreeSet::from([None]), "a resurrected record is found");
}

#[test]
fn an_unanswered_write_may_come_after_later_ones_once() {
    let calls = [write(1, 2, (Verb::Upsert, 1, Unanswered)), write(3, 4, (Verb::Delete, 2, Acknowledged))];
    assert_eq!(documents(&calls), BTreeSet::from([None, Some(1)]));
    let calls = [
        write(1, 2, (Verb::Upsert, 1, Unanswered)),
        write(3, 4, (Verb::Upsert, 2, Acknowledged)),
        read(5, 6, Seen::Embedding(1)),
        write(7, 8, (Verb::Upsert, 3, Acknowledged)),
    ];
    assert_eq!(documents(&calls), BTreeSet::from([Some(3)]), "it has happened already");
}

#[test]
fn an_undecided_write_comes_before_later_ones_or_never() {
    let calls = [write(1, 2, (Verb::Upsert, 1, Undecided)), write(3, 4, (Verb::Delete, 2, Acknowledged))];
    assert_eq!(documents(&calls), BTreeSet::from([None]));
    let calls = [write(1, 2, (Verb::Upsert, 1, Undecided))];
    assert_eq!(documents(&calls), BTreeSet::from([None, Some(1)]));
    // A later write that is not in the log pushes nothing aside.
    let calls = [write(1, 2, (Verb::Upsert, 1, Undecided)), write(3, 4, (Verb::Delete, 2, Unanswered))];
    assert_eq!(documents(&calls), BTreeSet::from([None, Some(1)]));
}

#[test]
fn a_logged_write_happens_at_its_place() {
    let calls = [write(1, 2, (Verb::Upsert, 1, Logged)), read(3, 4, Seen::Absent)];
    assert_eq!(documents(&calls), BTreeSet::from([Some(1)]), "not seen at once, but not lost");
    let calls = [write(1, 2, (Verb::Upsert, 1, Logged)), write(3, 4, (Verb::Update, 2, Acknowledged))];
    assert_eq!(documents(&calls), BTreeSet::from([Some(2)]), "the update found it");
}

#[test]
fn what_was_shown_once_must_stay() {
    let calls = [write(1, 2, (Verb::Upsert, 1, Undecided)), read(3, 4, Seen::Embedding(1))];
    assert_eq!(documents(&calls), BTreeSet::from([Some(1)]), "shown, then lost is found");
    // Not acknowledged: another node need not show it yet.
    let mut calls = calls.to_vec();
    calls.push(read(5, 6, Seen::Absent));
    assert_eq!(documents(&calls), BTreeSet::from([Some(1)]));
}

#[test]
fn reads_that_miss_an_acknowledged_write_are_wrong() {
    let before = write(1, 2, (Verb::Upsert, 1, Acknowledged));
    let after = write(3, 6, (Verb::Upsert, 2, Acknowledged));
    for (stale, wrong) in [
        (read(4, 5, Seen::Embedding(1)), false),
        (read(4, 5, Seen::Embedding(2)), false),
        (read(5, 8, Seen::Embedding(1)), false),
        (read(7, 8, Seen::Embedding(1)), true),
        (read(4, 5, Seen::Absent), true),
        (read(7, 8, Seen::Absent), true),
        (read(4, 5, Seen::Nonsense), true),
        (read(4, 5, Seen::Embedding(9)), true),
        (read(7, 8, Seen::Rest(Some(2), BTreeMap::from([(GROUP.to_owned(), 2)]))), false),
        (read(7, 8, Seen::Rest(Some(2), BTreeMap::new())), true),
    ] {
        let judgement = judged(&[before.clone(), after.clone(), stale.clone()]);
        assert_eq!(!judgement.wrong.is_empty(), wrong, "{stale:?}");
    }
}

#[test]
fn writers_of_one_record_are_ordered_by_what_is_seen() {
    let mut calls =
        vec![write(1, 9, (Verb::Upsert, 1, Acknowledged)), write(2, 8, (Verb::Upsert, 2, Acknowledged))];
    assert_eq!(documents(&calls), BTreeSet::from([Some(1), Some(2)]));
    calls.push(read(10, 11, Seen::Embedding(1)));
    assert_eq!(documents(&calls), BTreeSet::from([Some(1)]));
    calls.push(read(12, 13, Seen::Embedding(2)));
    assert_eq!(judged(&calls).wrong, [3], "it cannot go back");
}

#[test]
fn rows_are_changed_as_chroma_does() {
    let key = |value| BTreeMap::from([("k".to_owned(), value)]);
    let patch = |number: u64, value| Patch { embedding: Some(number), document: None, metadata: key(value) };
    let after = |verb, patches: Vec<Patch>, row: &Option<Row>| {
        Kept::after(&Change { verb, patches }, row).expect("a record's write is never refused")
    };
    let twice = vec![patch(1, Some(1)), patch(2, Some(2))];
    let added = after(Verb::Add, twice.clone(), &None);
    assert_eq!(added.as_ref().map(|row| row.embedding), Some(1), "the first of two wins in an add");
    assert_eq!(after(Verb::Upsert, twice, &None).map(|row| row.embedding), Some(2));
    let removed = after(Verb::Update, vec![Patch { metadata: key(None), ..Patch::default() }], &added);
    assert_eq!(removed, Some(Row { embedding: 1, document: None, metadata: BTreeMap::new() }));
    assert_eq!(after(Verb::Update, vec![patch(3, None)], &None), None);
    let grouped = after(Verb::Upsert, change(Verb::Upsert, 4).patches, &None);
    assert_eq!(after(Verb::DeleteGroup(0), vec![], &grouped), grouped);
    assert_eq!(after(Verb::DeleteGroup(1), vec![], &grouped), None);
}

#[test]
fn names_tell_a_collection_from_its_namesake() {
    let create = |born, outcome| What::<Names>::Write(NameOp::Create { name: "a".to_owned(), born }, outcome);
    let delete = |outcome| What::<Names>::Write(NameOp::Delete { name: "a".to_owned() }, outcome);
    let found = |born| What::<Names>::Read(Found { name: "a".to_owned(), born });
    let judged = |whats: &[What<Names>]| {
        let calls: Vec<_> =
            (0..).step_by(2).zip(whats).map(|(at, what)| call(at, at + 1, what.clone())).collect();
        judge::<Names>(BTreeMap::new(), &calls)
    };
    let again = [create(1, Acknowledged), delete(Acknowledged), create(2, Acknowledged)];
    let now: Vec<_> = judged(&again).finals.into_iter().collect();
    assert_eq!(now, [BTreeMap::from([("a".to_owned(), 2)])], "an older one that came back is found");
    assert_eq!(judged(&[&again[..], &[found(Some(1))]].concat()).wrong, [3]);
    assert_eq!(judged(&[&again[..], &[found(Some(2))]].concat()).wrong, Vec::<usize>::new());
    // A success seen twice is no refusal, and a name is given once.
    assert_eq!(judged(&[create(1, Refused)]).wrong, [0]);
    assert_eq!(judged(&[create(1, Acknowledged), create(2, Acknowledged)]).wrong, [1]);
    assert_eq!(judged(&[create(1, Unanswered), create(2, Refused)]).wrong, Vec::<usize>::new());
    assert_eq!(judged(&[create(1, Acknowledged), delete(Refused)]).wrong, [1]);
}

#[test]
fn many_unanswered_writes_stay_within_bounds() {
    let mut calls = Vec::new();
    for n in 0..40 {
        let outcome = if n % 8 == 0 { Unanswered } else { Acknowledged };
        calls.push(write(10 * n, 10 * n + 5, (Verb::Upsert, n, outcome)));
    }
    let judgement = judged(&calls);
    assert!(!judgement.undecided && judgement.finals.len() == 6, "{:?}", judgement.finals);
}

#[test]
fn many_unanswered_writes_at_once_too() {
    let mut calls: Vec<_> = (0..5).map(|n| write(n, 100 + n, (Verb::Upsert, n, Unanswered))).collect();
    for n in 20..40 {
        calls.push(write(10 * n, 10 * n + 5, (Verb::Upsert, n, Acknowledged)));
        calls.push(read(10 * n + 6, 10 * n + 8, Seen::Embedding(n)));
    }
    let judgement = judged(&calls);
    assert!(!judgement.undecided && judgement.wrong.is_empty());
    assert_eq!(judgement.finals.len(), 6, "{:?}", judgement.finals);
}
