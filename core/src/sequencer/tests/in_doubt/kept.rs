//! A doubt does not hold a node's durable cursor back for ever: it is kept by itself, and found after a restart.

use super::*;
use crate::port::RecoveredNode;

/// As a restart finds it: both nodes have applied everything, and of B this is kept.
fn restarted(head: Seq, doubts: Vec<(Stream, Seq)>) -> Sequencer {
    let mut s = nodes(2);
    let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
    let node = |node: NodeId, doubts| RecoveredNode {
        name: node.name(),
        cursor: head,
        mapped: vec![(DOCS, Uuid::from_u128(100 + node.0 as u128))],
        joined: true,
        doubts,
        ..RecoveredNode::default()
    };
    s.recover(Recovered {
        head,
        collections: vec![(DOCS, tenant, database, "docs".to_owned())],
        nodes: vec![node(A, Vec::new()), node(B, doubts)],
        ..Recovered::default()
    });
    for node in [A, B] {
        s.set_standing(node, UP);
        let Some(Step::Inspect { generation, .. }) = s.steps(node, 0).pop() else { panic!("no inspection") };
        assert!(s.inspected(node, generation, Some(Findings { joined: true, ..Findings::default() })));
    }
    s
}

#[test]
fn a_doubt_that_would_hold_the_cursor_far_back_is_kept_and_the_cursor_goes_on() {
    let mut s = given_up();
    s.limits.held_entries = 3;
    comparison(&mut s, B, 0);
    for seq in 2..=5 {
        let before = s.durable(B);
        assert_eq!(before, (Seq(0), Vec::new()), "before {seq}");
        s.admit(&[write(seq, "b")]);
        let first = one(&mut s, A, &format!("a{seq}"));
        assert!(applied(&mut s, A, &first));
        let second = one(&mut s, B, &format!("f{seq}"));
        assert!(applied(&mut s, B, &second));
    }
    let keeping = vec![(STREAM, Some(Seq(1)))];
    assert_eq!(s.durable(B), (Seq(5), keeping.clone()));
    // Until that is durable it is said again.
    assert_eq!(s.durable(B).1, keeping);
    s.kept(B, &keeping);
    assert_eq!(s.durable(B), (Seq(5), Vec::new()));
    // What comes into doubt before it is not covered by it.
    s.nodes[B.0].doubts.note(&[write(0, "c")]);
    assert_eq!(s.durable(B), (Seq(5), vec![(STREAM, Some(Seq(0)))]));
}

#[test]
fn after_a_restart_a_kept_doubt_is_read_back_whole_and_then_forgotten() {
    let mut s = restarted(Seq(5), vec![(STREAM, Seq(1))]);
    assert_eq!(readable(&s), [0], "others are read first");
    assert_eq!(s.durable(B), (Seq(5), Vec::new()));
    let task = comparison(&mut s, B, 0);
    assert_eq!(s.scope(B, &task), Scope::Whole);
    assert_eq!(found(&mut s, B, &task, Finding::Equal { records: 1 }), Next::Nothing);
    assert_eq!(readable(&s), [0, 1]);
    let keeping = vec![(STREAM, None)];
    assert_eq!(s.durable(B), (Seq(5), keeping.clone()));
    s.unkeep(B, &keeping);
    assert_eq!(s.durable(B), (Seq(5), Vec::new()));
}

#[test]
fn what_is_applied_again_is_kept_until_it_is_because_the_durable_cursor_may_be_past_it() {
    let mut s = restarted(Seq(5), vec![(STREAM, Seq(2))]);
    let task = comparison(&mut s, B, 0);
    let Next::Replay(replay) = found(&mut s, B, &task, differs()) else { panic!("nothing is done") };
    assert!(s.replay(B, &replay));
    assert_eq!(s.durable(B), (Seq(1), Vec::new()), "it begins");
    assert_eq!(starts(&mut s, B).0, "l2");
    s.loaded(B, s.life, STREAM, Seq(2), (2..=3).map(|seq| write(seq, "b")).collect(), Seq(3));
    s.loaded(B, s.life, STREAM, Seq(2), Vec::new(), Seq(5));
    for expected in ["f2", "f3"] {
        let again = one(&mut s, B, expected);
        assert!(applied(&mut s, B, &again));
        if expected == "f2" {
            assert_eq!(s.durable(B), (Seq(2), Vec::new()), "half of it");
        }
    }
    assert_eq!(starts(&mut s, B).0, "l4");
    s.loaded(B, s.life, STREAM, Seq(4), vec![write(4, "b"), write(5, "b")], Seq(5));
    for expected in ["f4", "f5"] {
        assert_eq!(s.durable(B).1, Vec::new());
        let again = one(&mut s, B, expected);
        assert!(applied(&mut s, B, &again));
    }
    assert_eq!(s.durable(B), (Seq(5), vec![(STREAM, None)]), "all of it");
}

#[test]
fn one_that_comes_back_while_its_end_is_being_written_is_kept_anew() {
    let mut s = restarted(Seq(5), vec![(STREAM, Seq(1))]);
    s.limits.held_entries = 0;
    let task = comparison(&mut s, B, 0);
    assert_eq!(found(&mut s, B, &task, Finding::Equal { records: 1 }), Next::Nothing);
    let ended = s.durable(B).1;
    assert_eq!(ended, vec![(STREAM, None)]);
    s.unkeep(B, &ended);
    s.nodes[B.0].doubts.note(&[write(3, "c")]);
    // Whatever became of that record.
    assert_eq!(s.durable(B), (Seq(5), vec![(STREAM, Some(Seq(1)))]));
}

#[test]
fn after_a_restart_what_was_executed_late_is_undone_from_where_it_was_kept() {
    let mut s = restarted(Seq(5), vec![(STREAM, Seq(2))]);
    let task = comparison(&mut s, B, 0);
    let Next::Replay(replay) = found(&mut s, B, &task, differs()) else { panic!("nothing is done") };
    assert_eq!((replay.collection, replay.from), (DOCS, Seq(2)));
    assert!(restarted(Seq(5), Vec::new()).steps(B, 0).is_empty(), "nothing is in doubt without a note");
}
