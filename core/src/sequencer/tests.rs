//! The rules of the sequencer, one at a time.

use super::*;
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT, Move};
use crate::effect::Effect;
use crate::entry::{Draft, Op};
use crate::ids::CollectionId;
use bytes::Bytes;
use uuid::Uuid;

mod ahead;
mod attacks;
mod carried_out;
mod courtesy;
mod in_doubt;
mod late;
mod late_copies;
mod memory;
mod orders;
mod taken;
mod together;

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const UP: Standing = Standing { applies: true, serves: true, gone: false, suspect: false, leaving: false };
const SUSPECT: Standing =
    Standing { applies: false, serves: false, gone: false, suspect: true, leaving: false };
const DOWN: Standing = Standing { applies: false, serves: false, gone: true, suspect: false, leaving: false };
const DOCS: CollectionId = CollectionId(Uuid::from_u128(7));
const STREAM: Stream = Stream::Collection(DOCS);

fn entry(seq: u64, op: Op) -> Arc<Entry> {
    let base = format!("/api/v2/tenants/{DEFAULT_TENANT}/databases/{DEFAULT_DATABASE}/collections");
    let (method, path, target) = match op {
        Op::DeleteCollection => ("DELETE", format!("{base}/docs"), None),
        Op::CreateCollection => ("POST", base, Some(DOCS.0)),
        _ => ("POST", format!("{base}/{DOCS}/{}", op.name()), Some(DOCS.0)),
    };
    let (write_id, method) = (seq.to_string(), method.to_owned());
    let draft = Draft { write_id, op, target, method, path, body: Bytes::new(), headers: Vec::new() };
    Arc::new(Entry::new(Seq(seq), draft, 0))
}

/// Every node belongs to the cluster already.
fn trust(s: &mut Sequencer) {
    s.nodes.iter_mut().for_each(|node| node.joined = true);
}

/// Nodes that are up and know the collection `docs`; the log is empty.
fn nodes(count: usize) -> Sequencer {
    let mut s = Sequencer::new(Limits { lane_entries: 2, page_entries: 1, ..Limits::default() }, count);
    s.recover(Recovered::default());
    trust(&mut s);
    let (tenant, database, name) = (DEFAULT_TENANT.into(), DEFAULT_DATABASE.into(), "docs".into());
    s.catalog.apply(&Move::CollectionCreated { id: DOCS, tenant, database, name });
    for node in s.node_ids() {
        s.nodes[node.0].map(DOCS, Some(Uuid::from_u128(100 + node.0 as u128)));
        s.set_standing(node, UP);
        idle(&mut s, node);
    }
    s
}

fn admit(s: &mut Sequencer, ops: &[Op]) {
    for op in ops {
        let entry = entry(s.head().next().0, *op);
        s.admit(&[entry]);
    }
}

/// What the node starts now: `a` acting, `f` following, `l` loading, `m` moot, each with its position.
fn starts(s: &mut Sequencer, node: NodeId) -> (String, Vec<Task>) {
    let (mut words, mut tasks) = (Vec::new(), Vec::new());
    for step in s.steps(node, 0) {
        match step {
            Step::Inspect { generation, .. } => {
                assert!(s.inspected(
                    node,
                    generation,
                    Some(Findings { joined: true, ..Findings::default() })
                ));
                return starts(s, node);
            }
            Step::Copy(task) => words.push(format!("c{}", task.position)),
            Step::Compare(task) => words.push(format!("compare with {}", task.reference)),
            Step::Replay(task) => words.push(format!("replay from {}", task.from)),
            Step::Apply(task) => {
                let letter = if task.role == Role::Acting { 'a' } else { 'f' };
                words.push(format!("{letter}{}", task.entries[0].seq));
                tasks.push(task);
            }
            Step::Load { page, .. } => words.push(format!("l{}", page.from)),
            Step::Moot { entry, decision } => words.push(format!("m{} {decision:?}", entry.seq)),
        }
    }
    (words.join(" "), tasks)
}

fn one(s: &mut Sequencer, node: NodeId, expected: &str) -> Task {
    let (words, mut tasks) = starts(s, node);
    assert_eq!(words, expected);
    tasks.pop().unwrap()
}

fn idle(s: &mut Sequencer, node: NodeId) {
    assert_eq!(starts(s, node).0, "");
}

fn ticket(node: NodeId, task: &Task) -> Ticket {
    Ticket { node, stream: task.stream, generation: task.generation }
}

fn applied(s: &mut Sequencer, node: NodeId, task: &Task) -> bool {
    s.finish(ticket(node, task), &task.entries, Outcome::Applied(CatalogOutcome::default()))
}

fn rejected(s: &mut Sequencer, node: NodeId, task: &Task) {
    assert!(s.claim(ticket(node, task)));
    assert!(s.finish(ticket(node, task), &task.entries, Outcome::Rejected));
}

/// The node deleted `docs`.
fn deleted(s: &mut Sequencer, node: NodeId, task: &Task) {
    let moves = if task.role == Role::Acting {
        vec![Move::CollectionDeleted { id: DOCS, seq: task.entries[0].seq }]
    } else {
        Vec::new()
    };
    let effect = Some(Effect::Collection { id: DOCS });
    let outcome = CatalogOutcome { effect, moves, mapped: Some((DOCS, None)) };
    assert!(s.claim(ticket(node, task)));
    assert!(s.finish(ticket(node, task), &task.entries, Outcome::Applied(outcome)));
}

fn readable(s: &Sequencer) -> Vec<usize> {
    s.readable(Gate::Stream(STREAM)).iter().map(|(node, _)| node.0).collect()
}

/// The last one that can be asked may be in doubt, but must not have come back without its disk.
#[test]
fn in_doubt_a_node_is_read_only_if_it_was_looked_at_since_it_came_back() {
    let mut s = nodes(1);
    s.set_standing(A, SUSPECT);
    assert_eq!(readable(&s), [0]);
    s.set_standing(A, DOWN);
    s.set_standing(A, UP);
    s.set_standing(A, SUSPECT);
    assert_eq!(readable(&s), [0; 0]);
    s.set_standing(A, UP);
    idle(&mut s, A);
    s.set_standing(A, SUSPECT);
    assert_eq!(readable(&s), [0]);
}

#[test]
fn the_acting_node_judges_first() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add, Op::Add]);
    idle(&mut s, B);
    let first = one(&mut s, A, "a1");
    idle(&mut s, B);
    assert!(applied(&mut s, A, &first));
    one(&mut s, B, "f1");
}

#[test]
fn what_the_acting_node_refused_goes_nowhere() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add]);
    let first = one(&mut s, A, "a1");
    rejected(&mut s, A, &first);
    idle(&mut s, B);
    assert_eq!(s.completed(), Seq(1));
}

#[test]
fn another_node_acts_while_the_primary_is_suspect() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add]);
    let asked = one(&mut s, A, "a1");
    s.set_standing(A, SUSPECT);
    let first = one(&mut s, B, "a1");
    assert!(!applied(&mut s, A, &asked), "it came too late");
    assert!(applied(&mut s, B, &first));
}

#[test]
fn the_primary_acts_again_under_a_steady_load() {
    let mut s = nodes(2);
    s.set_standing(A, SUSPECT);
    admit(&mut s, &[Op::Add]);
    let first = one(&mut s, B, "a1");
    s.set_standing(A, UP);
    assert_eq!(starts(&mut s, A).0, "l1");
    s.loaded(A, s.life, STREAM, Seq(1), vec![entry(1, Op::Add)], Seq(1));
    assert!(applied(&mut s, B, &first));
    admit(&mut s, &[Op::Add]);
    idle(&mut s, B); // the primary is a single request behind
    let first = one(&mut s, A, "f1");
    idle(&mut s, B);
    assert!(applied(&mut s, A, &first));
    one(&mut s, A, "a2");
}

#[test]
fn a_node_that_is_away_spills_and_reads_back() {
    let mut s = nodes(2);
    s.set_standing(B, DOWN);
    admit(&mut s, &[Op::Add, Op::Add, Op::Add]);
    for expected in ["a1", "a2"] {
        let task = one(&mut s, A, expected);
        assert!(applied(&mut s, A, &task));
    }
    s.set_standing(B, UP);
    assert_eq!(starts(&mut s, B).0, "l1");
    s.loaded(B, s.life, STREAM, Seq(1), vec![entry(1, Op::Add), entry(2, Op::Add)], Seq(2));
    let first = one(&mut s, B, "f1");
    assert!(applied(&mut s, B, &first));
    let second = one(&mut s, B, "f2");
    assert!(applied(&mut s, B, &second));
    assert_eq!(starts(&mut s, B).0, "l3");
}

#[test]
fn a_recovered_node_is_fed_in_pages() {
    let mut s = nodes(1);
    s.recover(Recovered { head: Seq(3), ..Recovered::default() });
    trust(&mut s);
    s.set_standing(A, UP);
    assert_eq!(starts(&mut s, A).0, "l1");
    s.feed(A, s.life, Seq(1), vec![entry(1, Op::DeleteCollection), entry(2, Op::DeleteCollection)], Seq(2));
    assert_eq!(starts(&mut s, A).0, "l3 a1");
}

#[test]
fn a_delete_waits_for_what_was_written_before_and_holds_back_what_comes_after() {
    let mut s = nodes(1);
    admit(&mut s, &[Op::Add, Op::DeleteCollection, Op::Add]);
    let add = one(&mut s, A, "a1");
    idle(&mut s, A);
    assert!(applied(&mut s, A, &add));
    let delete = one(&mut s, A, "a2");
    rejected(&mut s, A, &delete);
    one(&mut s, A, "a3");
}

#[test]
fn what_comes_after_a_delete_is_refused_also_with_a_single_node() {
    let mut s = nodes(1);
    admit(&mut s, &[Op::DeleteCollection, Op::Add]);
    let delete = one(&mut s, A, "a1");
    deleted(&mut s, A, &delete);
    assert_eq!(starts(&mut s, A).0, "m2 Rejected");
    assert_eq!(s.completed(), Seq(2));
}

#[test]
fn a_quarantine_ends_with_its_collection() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add, Op::DeleteCollection]);
    let add = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &add));
    let follow = one(&mut s, B, "f1");
    let outcome = Outcome::Quarantine { reason: "refused".to_owned() };
    assert!(s.finish(ticket(B, &follow), &follow.entries, outcome));
    assert_eq!(readable(&s), [0]);
    let delete = one(&mut s, A, "a2");
    deleted(&mut s, A, &delete);
    let delete = one(&mut s, B, "f2");
    deleted(&mut s, B, &delete);
    assert_eq!((s.completed(), s.view(B).quarantined), (Seq(2), Vec::new()));
}

#[test]
fn a_follower_deletes_the_collection_that_was_meant_although_its_name_is_taken_again() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::DeleteCollection]);
    let delete = one(&mut s, A, "a1");
    deleted(&mut s, A, &delete);
    let (tenant, database, name) = (DEFAULT_TENANT.into(), DEFAULT_DATABASE.into(), "docs".into());
    let again = CollectionId(Uuid::from_u128(8));
    s.catalog.apply(&Move::CollectionCreated { id: again, tenant, database, name });
    let follow = one(&mut s, B, "f1");
    assert_eq!((follow.subject, follow.node_collection), (Some(DOCS), Some(Uuid::from_u128(101))));
}

#[test]
fn a_collection_that_is_missing_on_the_node_was_taken_by_a_later_delete() {
    let mut s = nodes(1);
    admit(&mut s, &[Op::Add]);
    let add = one(&mut s, A, "a1");
    assert!(!s.taken_along(&add.entries[0]));
    admit(&mut s, &[Op::DeleteCollection]);
    assert!(s.taken_along(&add.entries[0]));
    assert!(!s.taken_along(&entry(3, Op::Add)));
    s.recover(Recovered { head: Seq(2), ..Recovered::default() });
    assert!(s.taken_along(&entry(1, Op::Add)), "the delete is not read back yet");
}

/// B reads its lane while A decides: what the page may lack is read again.
fn page_behind_a_decision(refused: bool) -> String {
    let mut s = nodes(2);
    s.set_standing(B, DOWN);
    admit(&mut s, &[Op::Update, Op::Add]);
    s.set_standing(B, UP);
    assert_eq!(starts(&mut s, B).0, "l1");
    let update = one(&mut s, A, "a1");
    if refused {
        rejected(&mut s, A, &update);
    } else {
        update.entries[0].resolve(Effect::Ids { ids: Vec::new() });
        assert!(applied(&mut s, A, &update));
    }
    s.loaded(B, s.life, STREAM, Seq(1), vec![entry(1, Op::Update), entry(2, Op::Add)], Seq(2));
    starts(&mut s, B).0
}

#[test]
fn a_stale_page_is_cut() {
    assert_eq!(page_behind_a_decision(false), "l1", "it lacks the effect");
    assert_eq!(page_behind_a_decision(true), "l1", "it lacks the refusal");
}

#[test]
fn an_outcome_is_claimed_only_with_the_standing_it_was_asked_with() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::DeleteCollection]);
    let late = one(&mut s, A, "a1");
    s.set_standing(A, SUSPECT);
    s.set_standing(A, UP);
    assert!(!s.claim(ticket(A, &late)));
    // A claimed one counts whatever happens to the standing, and nobody else is asked meanwhile.
    let task = one(&mut s, A, "a1");
    assert!(s.claim(ticket(A, &task)) && s.claimed(ticket(A, &task)));
    s.set_standing(A, DOWN);
    idle(&mut s, B);
    assert!(s.claimed(ticket(A, &task)));
    assert!(s.finish(ticket(A, &task), &task.entries, Outcome::Rejected));
    assert!(!s.claimed(ticket(A, &task)));
}

#[test]
fn a_claim_ends_with_the_lease() {
    let mut s = nodes(1);
    admit(&mut s, &[Op::DeleteCollection]);
    let task = one(&mut s, A, "a1");
    assert!(s.claim(ticket(A, &task)));
    s.recover(Recovered { head: Seq(1), ..Recovered::default() });
    trust(&mut s);
    assert!(!s.claimed(ticket(A, &task)));
    assert!(!s.finish(ticket(A, &task), &task.entries, Outcome::Rejected));
}

#[test]
fn a_read_sees_what_was_acknowledged() {
    let mut s = nodes(2);
    assert_eq!(readable(&s), [0, 1]);
    admit(&mut s, &[Op::Add]);
    assert_eq!(readable(&s), [0, 1], "nothing is acknowledged yet");
    let add = one(&mut s, A, "a1");
    assert!(applied(&mut s, A, &add));
    assert_eq!(readable(&s), [0]);
    let follow = one(&mut s, B, "f1");
    assert!(applied(&mut s, B, &follow));
    assert_eq!(readable(&s), [0, 1]);
}

#[test]
fn a_queued_write_counts_as_acknowledged() {
    let mut s = nodes(1);
    s.set_standing(A, DOWN);
    let add = entry(1, Op::Add);
    s.admit(&[Arc::clone(&add)]);
    s.acknowledge_queued(add.stream(), add.seq);
    s.set_standing(A, UP);
    assert_eq!(readable(&s), [] as [usize; 0]);
}

#[test]
fn an_effect_that_one_node_was_asked_for_holds_for_the_next_one() {
    let mut s = nodes(2);
    s.set_standing(B, DOWN);
    admit(&mut s, &[Op::Update]);
    s.set_standing(B, UP);
    assert_eq!(starts(&mut s, B).0, "l1");
    let update = one(&mut s, A, "a1");
    update.entries[0].resolve(Effect::Ids { ids: vec!["a".to_owned()] });
    s.loaded(B, s.life, STREAM, Seq(1), vec![entry(1, Op::Update)], Seq(1));
    s.set_standing(A, SUSPECT);
    let update = one(&mut s, B, "a1");
    assert!(update.entries[0].effect().is_some(), "B's copy was read before the effect was durable");
}

#[test]
fn a_page_asked_for_before_a_recovery_is_void() {
    let mut s = nodes(1);
    let recovered = || Recovered { head: Seq(1), ..Recovered::default() };
    s.recover(recovered());
    trust(&mut s);
    s.set_standing(A, UP);
    assert_eq!(starts(&mut s, A).0, "l1");
    let before = s.life;
    s.recover(recovered());
    trust(&mut s);
    s.set_standing(A, UP);
    assert_eq!(starts(&mut s, A).0, "l1");
    s.feed(A, before, Seq(1), vec![entry(1, Op::DeleteCollection)], Seq(1));
    idle(&mut s, A);
    s.load_failed(A, before, None);
    idle(&mut s, A);
    s.feed(A, s.life, Seq(1), vec![entry(1, Op::DeleteCollection)], Seq(1));
    one(&mut s, A, "a1");
}

#[test]
fn what_is_logged_before_the_first_look_does_not_prevent_the_adoption() {
    let mut s = Sequencer::new(Limits::default(), 2);
    s.recover(Recovered::default());
    admit(&mut s, &[Op::CreateCollection]);
    s.set_standing(A, UP);
    assert!(matches!(s.steps(A, 0)[..], [Step::Inspect { adopt: true, .. }]));
}
