//! Requests with several writes that had no answer are read back before any of them goes alone.

use super::*;

/// Two upserts of one record went out together and had no answer.
fn unanswered() -> Bench {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &upsert("a", "first"));
    bench.admit(Op::Upsert, &upsert("a", "last"));
    let (mut attempt, _) = only(&bench, A, 0);
    assert_eq!(seqs(&attempt), [1, 2]);
    assert!(matches!(done(bench.next(&mut attempt, broken())).outcome, Outcome::InDoubt));
    bench.fall(A);
    bench
}

#[test]
fn without_an_answer_they_are_read_back_as_a_whole_and_their_acceptance_is_durable() {
    let bench = unanswered();
    let (mut attempt, first) = only(&bench, A, 0);
    assert_eq!((first.as_str(), seqs(&attempt)), ("get", vec![1, 2]));
    let shown = json!({"ids": ["a"], "documents": ["last"], "embeddings": [[1, 2]]});
    let Next::Record(changes) = bench.next(&mut attempt, answer(200, &shown)) else { panic!("not durable") };
    assert!(
        matches!(changes[..], [Change::Accepted { seq: Seq(1) }, Change::Accepted { seq: Seq(2) }]),
        "{changes:?}"
    );
    assert_eq!(done(bench.next(&mut attempt, Input::Recorded(Ok(())))).answers.len(), 2);
}

/// It may have been set up otherwise meanwhile.
#[test]
fn what_a_node_was_sent_is_read_back_whatever_it_takes_now() {
    let bench = unanswered();
    bench.0.lock().set_standing(A, SUSPECT);
    bench.up_with(A, Some(1));
    let (_, first) = only(&bench, A, 0);
    assert_eq!(first, "get");
}

#[test]
fn if_they_are_not_there_each_goes_alone_on_every_node() {
    let bench = unanswered();
    let (mut attempt, _) = only(&bench, A, 0);
    let end = done(bench.next(&mut attempt, answer(200, &json!({"ids": []}))));
    assert!(matches!(end.outcome, Outcome::Split), "{end:?}");
    let (_, first) = only(&bench, A, 0);
    assert_eq!(first, "upsert");
    bench.0.lock().set_standing(A, SUSPECT);
    let (attempt, first) = only(&bench, B, 0);
    assert_eq!((first.as_str(), seqs(&attempt)), ("upsert", vec![1]));
}

#[test]
fn a_node_that_cannot_be_read_is_not_asked_for_ever() {
    let bench = unanswered();
    for now_ms in (1..=4).map(|n| n * 60_000) {
        let (mut attempt, first) = only(&bench, A, now_ms);
        if first == "upsert" {
            assert_eq!(seqs(&attempt), [1]);
            // What it shows later is not trusted either.
            return assert!(bench.0.lock().is_masked(A, &attempt.task().entries[0]));
        }
        done(bench.next(&mut attempt, answer(500, &json!({}))));
    }
    panic!("it is read again and again");
}

/// Nothing was sent before the log could take the effects: what is read says nothing.
#[test]
fn what_was_never_sent_is_not_found_by_reading() {
    let bench = Bench::new();
    bench.admit(Op::Update, &json!({"ids": ["a"], "documents": ["x"]}));
    bench.admit(Op::Update, &json!({"ids": ["a", "missing"], "documents": ["y", "z"]}));
    let (mut attempt, first) = only(&bench, A, 0);
    assert_eq!(first, "get");
    let Next::Record(effects) = bench.next(&mut attempt, answer(200, &json!({"ids": ["a"]}))) else {
        panic!("effects are not made durable")
    };
    assert_eq!(effects.len(), 2);
    let away = Input::Recorded(Err(StoreError::Unavailable("away".into())));
    assert!(matches!(done(bench.next(&mut attempt, away)).outcome, Outcome::Retry { .. }));
    let mut attempt = bench.starts(A, 60_000).pop().expect("a task");
    assert!(matches!(bench.next(&mut attempt, Input::Begin), Next::Done(_)), "it is read");
    assert_eq!(seqs(&only(&bench, A, 60_000).0), [1]);
}
