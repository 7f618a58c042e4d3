//! What a node does next, while so many collections exist, and while so many wait for it. A cost that grows with
//! collections that merely exist would be a defect.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use chroma_ha_core::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use chroma_ha_core::entry::{Draft, Entry, Op};
use chroma_ha_core::ids::{CollectionId, NodeId};
use chroma_ha_core::port::{Recovered, RecoveredNode};
use chroma_ha_core::sequencer::{
    CatalogOutcome, Findings, Limits, Outcome, Sequencer, Standing, Step, Task, Ticket,
};
use criterion::{BenchmarkId, Criterion};
use uuid::Uuid;

const COLLECTIONS: [u128; 4] = [1, 10, 1_000, 20_000];
const NODES: usize = 2;
const UP: Standing = Standing { applies: true, serves: true, gone: false, suspect: false, leaving: false };

/// Nodes that are up and hold so many empty collections; nothing is logged.
fn cluster(nodes: usize, collections: u128) -> Sequencer {
    let ids = || (0..collections).map(|n| CollectionId(Uuid::from_u128(1 + n)));
    let own =
        |node: usize| ids().map(move |id| (id, Uuid::from_u128(id.0.as_u128() + ((1 + node as u128) << 64))));
    let remembered = |node: usize| RecoveredNode {
        name: NodeId(node).name(),
        joined: true,
        mapped: own(node).collect(),
        ..RecoveredNode::default()
    };
    let place =
        |id: CollectionId| (id, DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned(), id.to_string());
    let recovered = Recovered {
        collections: ids().map(place).collect(),
        nodes: (0..nodes).map(remembered).collect(),
        ..Recovered::default()
    };
    let mut sequencer = Sequencer::new(Limits::default(), nodes);
    sequencer.recover(recovered);
    for node in sequencer.node_ids() {
        sequencer.set_standing(node, UP);
        for step in sequencer.steps(node, 0) {
            let Step::Inspect { generation, .. } = step else { panic!("a node is looked at first") };
            let found = Findings { joined: true, ..Findings::default() };
            assert!(sequencer.inspected(node, generation, Some(found)));
        }
        assert!(sequencer.steps(node, 0).is_empty());
    }
    sequencer
}

fn admit(sequencer: &mut Sequencer, collection: u128) {
    let id = Uuid::from_u128(1 + collection);
    let path = format!("/api/v2/tenants/default_tenant/databases/default_database/collections/{id}/upsert");
    let draft = Draft {
        write_id: String::new(),
        op: Op::Upsert,
        target: Some(id),
        method: "POST".to_owned(),
        path,
        body: Bytes::from_static(b"{}"),
        headers: Vec::new(),
    };
    let entry = Arc::new(Entry::new(sequencer.head().next(), draft, 0));
    sequencer.admit(&[entry]);
}

fn tasks(sequencer: &mut Sequencer, node: NodeId) -> Vec<Task> {
    let steps = sequencer.steps(node, 0).into_iter();
    steps.filter_map(|step| if let Step::Apply(task) = step { Some(task) } else { None }).collect()
}

fn apply(sequencer: &mut Sequencer, node: NodeId, task: &Task) {
    let ticket = Ticket { node, stream: task.stream, generation: task.generation };
    let outcome = Outcome::Applied(CatalogOutcome::default());
    assert!(sequencer.finish(ticket, &task.entries, outcome), "the outcome counts");
}

/// From the log to both nodes, while nothing else waits.
pub(crate) fn one_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("planner, one write");
    for collections in COLLECTIONS {
        let mut sequencer = cluster(NODES, collections);
        group.bench_function(BenchmarkId::new("collections that exist", collections), |bencher| {
            bencher.iter(|| {
                admit(&mut sequencer, collections / 2);
                for node in black_box(&sequencer).node_ids() {
                    let task = tasks(&mut sequencer, node).pop().expect("the write's turn");
                    apply(&mut sequencer, node, &task);
                }
            });
        });
    }
    group.finish();
}

/// One request ends, the next one begins, and another write arrives: all collections wait all the time.
pub(crate) fn backlog(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("planner, backlog");
    for collections in COLLECTIONS {
        let mut sequencer = cluster(1, collections);
        (0..collections).for_each(|n| admit(&mut sequencer, n));
        let mut under_way: VecDeque<Task> = tasks(&mut sequencer, NodeId::PRIMARY).into();
        group.bench_function(BenchmarkId::new("collections that wait", collections), |bencher| {
            bencher.iter(|| {
                let done = under_way.pop_front().expect("a request under way");
                let collection = done.entries[0].collection().expect("a record").0.as_u128() - 1;
                apply(&mut sequencer, NodeId::PRIMARY, &done);
                admit(&mut sequencer, collection);
                under_way.extend(tasks(&mut sequencer, NodeId::PRIMARY));
            });
        });
    }
    group.finish();
}
