//! Several writes in one request: taken as a whole, or nothing is said of any of them.

use super::*;

mod unanswered;

fn upsert(id: &str, text: &str) -> Value {
    json!({"ids": [id], "documents": [text], "embeddings": [[1, 2]]})
}

/// The only attempt, and what it asks first.
fn only(bench: &Bench, node: NodeId, now_ms: u64) -> (Attempt, String) {
    let mut attempts = bench.starts(node, now_ms);
    assert_eq!(attempts.len(), 1);
    let mut attempt = attempts.remove(0);
    let first = bench.begin(&mut attempt);
    (attempt, first)
}

fn seqs(attempt: &Attempt) -> Vec<u64> {
    attempt.task().entries.iter().map(|entry| entry.seq.0).collect()
}

fn taken(bench: &Bench, attempt: &mut Attempt, body: &Value) -> End {
    match bench.next(attempt, answer(200, body)) {
        Next::Done(end) => *end,
        Next::Record(_) => done(bench.next(attempt, Input::Recorded(Ok(())))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_goes_together_and_each_client_hears_its_own_answer() {
    let bench = Bench::new();
    for n in 0..3 {
        bench.admit(Op::Delete, &json!({"ids": vec!["a"; n + 1]}));
    }
    let (mut attempt, first) = only(&bench, A, 0);
    assert_eq!((first.as_str(), seqs(&attempt)), ("delete", vec![1, 2, 3]));
    let end = taken(&bench, &mut attempt, &json!({"deleted": 6}));
    let said: Vec<_> = end.answers.iter().map(|a| String::from_utf8_lossy(&a.body).into_owned()).collect();
    assert_eq!(said, [r#"{"deleted":1}"#, r#"{"deleted":2}"#, r#"{"deleted":3}"#]);
}

#[test]
fn a_refusal_is_halved_down_to_its_write_also_where_the_log_had_acknowledged_it() {
    for status in [400, 413] {
        let bench = Bench::new();
        (0..4).for_each(|n| bench.admit_as(Op::Upsert, &upsert("a", &n.to_string()), true));
        for wanted in [4, 2, 1] {
            let (mut attempt, _) = only(&bench, A, 0);
            assert_eq!(seqs(&attempt).len(), wanted);
            if wanted > 1 {
                let end = done(bench.next(&mut attempt, answer(status, &json!({}))));
                assert!(matches!(end.outcome, Outcome::Split) && end.answers.is_empty(), "{end:?}");
            }
        }
    }
}

#[test]
fn what_the_node_says_as_it_fails_is_kept() {
    let bench = Bench::new();
    (0..2).for_each(|n| bench.admit(Op::Upsert, &upsert("a", &n.to_string())));
    let (mut attempt, _) = only(&bench, A, 0);
    assert_eq!(seqs(&attempt), [1, 2]);
    let end = done(bench.next(&mut attempt, answer(500, &json!({"message": "no space"}))));
    assert_eq!(end.trouble.as_deref(), Some(r#"500 {"message":"no space"}"#));
    assert!(matches!(end.outcome, Outcome::Retry { .. }));
}

#[test]
fn another_content_type_goes_by_itself() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &upsert("a", "1"));
    let (path, seq) = {
        let sequencer = bench.0.lock();
        let first = sequencer.node(A).lane(Stream::Collection(DOCS)).and_then(|lane| lane.front().cloned());
        (first.expect("an entry").draft.path.clone(), sequencer.head().next())
    };
    let draft = Draft {
        write_id: seq.to_string(),
        op: Op::Upsert,
        target: Some(DOCS.0),
        method: "POST".into(),
        path,
        body: Bytes::from(upsert("b", "2").to_string()),
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
    };
    bench.0.lock().admit(&[Arc::new(Entry::new(seq, draft, 0))]);
    let (attempt, _) = only(&bench, A, 0);
    assert_eq!((seqs(&attempt), attempt.task().end), (vec![1], RunEnd::Shape));
}

#[test]
fn a_node_gets_no_more_records_in_one_request_than_it_says_it_takes() {
    let bench = Bench::new();
    bench.0.lock().set_standing(A, SUSPECT);
    bench.up_with(A, Some(10));
    (0..25).for_each(|n| bench.admit(Op::Upsert, &upsert(&n.to_string(), "text")));
    let many: Vec<String> = (0..15).map(|n| n.to_string()).collect();
    bench.admit(Op::Upsert, &json!({"ids": many, "embeddings": vec![[1, 2]; 15]}));
    for (wanted, end) in
        [(10, RunEnd::Records), (10, RunEnd::Records), (5, RunEnd::Records), (1, RunEnd::Drained)]
    {
        let (mut attempt, _) = only(&bench, A, 0);
        let ended = taken(&bench, &mut attempt, &json!({}));
        assert_eq!((seqs(&attempt).len(), ended.run_end), (wanted, end));
    }
    // The other one did not tell.
    assert_eq!(seqs(&only(&bench, B, 0).0).len(), 26);
}

#[test]
fn what_cannot_be_joined_does_not_go_under_the_name_of_those_that_need_no_request() {
    let bench = Bench::new();
    (0..2).for_each(|_| bench.admit(Op::Update, &json!({"ids": ["missing"], "documents": ["x"]})));
    bench.admit(Op::Update, &json!({"ids": ["a"], "documents": ["y"], "unknown": 1}));
    let (mut attempt, _) = only(&bench, A, 0);
    assert_eq!(seqs(&attempt), [1, 2]);
    taken(&bench, &mut attempt, &json!({"ids": []}));
    let (mut attempt, _) = only(&bench, A, 0);
    assert!(matches!(bench.next(&mut attempt, answer(200, &json!({"ids": ["a"]}))), Next::Record(_)));
    assert_eq!(asked(bench.next(&mut attempt, Input::Recorded(Ok(())))), "update");
    taken(&bench, &mut attempt, &json!({}));
    let mut attempt = bench.starts(B, 0).pop().expect("a task");
    let end = done(bench.next(&mut attempt, Input::Begin));
    assert!(matches!(end.outcome, Outcome::Applied(_)), "{end:?}");
    assert_eq!(seqs(&attempt), [1, 2]);
    assert_eq!(only(&bench, B, 0).1, "update");
}

/// Numbers are written anew where rows are left out: `1e9` becomes longer than it came.
#[test]
fn what_grew_as_it_was_resolved_is_not_said_to_be_done() {
    let bench = Bench::new();
    let many = vec!["1e9"; Bounds::default().bytes / 20].join(",");
    for n in 0..2 {
        let body = format!(r#"{{"ids": ["a{n}", "missing"], "embeddings": [[{many}], [{many}]]}}"#);
        bench.admit_text(Op::Update, &body);
    }
    let (mut attempt, first) = only(&bench, A, 0);
    assert_eq!((first.as_str(), seqs(&attempt)), ("get", vec![1, 2]));
    let effects = bench.next(&mut attempt, answer(200, &json!({"ids": ["a0", "a1"]})));
    assert!(matches!(effects, Next::Record(_)));
    match bench.next(&mut attempt, Input::Recorded(Ok(()))) {
        Next::Done(end) => assert!(matches!(end.outcome, Outcome::Split) && end.answers.is_empty()),
        Next::Ask(request) => panic!("{} bytes are sent", request.body.len()),
        _ => panic!("neither sent nor split"),
    }
}

#[test]
fn what_did_not_fit_into_the_request_is_not_looked_for() {
    let bench = Bench::new();
    bench.admit(Op::Upsert, &upsert("a", "1"));
    bench.admit(Op::Upsert, &json!({"ids": ["b"], "embeddings": [[1, 2]], "unknown": 1}));
    let (attempt, _) = only(&bench, A, 0);
    assert_eq!((seqs(&attempt), attempt.task().end), (vec![1], RunEnd::Shape));
    bench.fall(A);
    assert_eq!(only(&bench, A, 0).1, "upsert");
}

/// Its entries are not to blame for what is asked of several.
#[test]
fn an_error_under_several_counts_against_none_of_them() {
    let bench = Bench::new();
    (0..2).for_each(|n| bench.admit(Op::Upsert, &upsert("a", &n.to_string())));
    let (mut attempt, _) = only(&bench, A, 0);
    assert!(matches!(done(bench.next(&mut attempt, answer(500, &json!({})))).outcome, Outcome::Retry { .. }));
    assert_eq!(bench.starts(A, 60_000).pop().expect("a task").task().failures, 0);
}

#[test]
fn that_the_collection_is_gone_is_found_out_one_by_one() {
    let bench = Bench::new();
    (0..2).for_each(|n| bench.admit(Op::Upsert, &upsert("a", &n.to_string())));
    let (mut attempt, _) = only(&bench, A, 0);
    let deleted = crate::catalog::Move::CollectionDeleted { id: DOCS, seq: Seq(9) };
    bench.0.lock().catalog.apply(&deleted);
    let end = done(bench.next(&mut attempt, answer(404, &json!({}))));
    assert!(matches!(end.outcome, Outcome::Split) && end.answers.is_empty(), "{end:?}");
}

#[test]
fn what_several_updates_reach_is_durable_once_and_each_id_in_it_once() {
    let bench = Bench::new();
    bench.admit(Op::Update, &json!({"ids": ["a", "a"], "documents": ["x", "y"]}));
    bench.admit(Op::Update, &json!({"ids": ["missing"], "documents": ["z"]}));
    // A row that is not sent, but would be refused: Chroma must see it.
    bench.admit(Op::Update, &json!({"ids": ["missing"], "metadatas": [{"#k": 1}]}));
    let (mut attempt, first) = only(&bench, A, 0);
    assert_eq!((first.as_str(), seqs(&attempt)), ("get", vec![1, 2, 3]));
    let Next::Record(effects) = bench.next(&mut attempt, answer(200, &json!({"ids": ["a"]}))) else {
        panic!("effects are not made durable")
    };
    let ids = |change: &Change| match change {
        Change::Effect { effect: Effect::Ids { ids }, .. } => ids.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(effects.iter().map(ids).collect::<Vec<_>>(), [vec!["a".to_owned()], vec![]]);
    assert_eq!((seqs(&attempt), attempt.task().end), (vec![1, 2], RunEnd::Shape));
    let Next::Ask(request) = bench.next(&mut attempt, Input::Recorded(Ok(()))) else { panic!("not sent") };
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent, json!({"ids": ["a", "a"], "documents": ["x", "y"]}));
    assert!(attempt.task().entries.iter().all(|entry| entry.effect_is_durable()));
}
