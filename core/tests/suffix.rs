//! Does applying any suffix of the log again, from any earlier position, end in the same state? Random
//! histories against a model of Chroma's semantics, delivered as the real effects say. How a real server
//! takes it is a promise's business.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[path = "simulation/chroma.rs"]
#[expect(dead_code, unreachable_pub, reason = "the simulation uses the rest")]
mod chroma;
#[path = "suffix/histories.rs"]
mod histories;
#[path = "simulation/names.rs"]
#[expect(dead_code, unreachable_pub, reason = "the simulation uses the rest")]
mod names;
#[path = "suffix/node.rs"]
mod node;
#[path = "simulation/rng.rs"]
#[expect(dead_code, unreachable_pub, reason = "the simulation uses the rest")]
mod rng;

use chroma_ha_core::entry::Op;
use proptest::prelude::*;
use serde_json::json;

use histories::{Step, histories};
use node::{Delivery, Log, Node};

/// The state after the whole log, applied once, in order.
fn once(log: &Log, delivery: Delivery, salt: u64) -> Node {
    let mut node = Node::new(salt);
    log.deliver(&mut node, 0..log.len(), delivery);
    node
}

/// What differs when the log is applied up to `crash`, then again from `back`, and so on to its end.
fn ends_alike(log: &Log, delivery: Delivery, restarts: &[(usize, usize)]) -> Result<(), String> {
    let expected = once(log, delivery, 1);
    let mut node = Node::new(2);
    let mut position = 0;
    for (crash, back) in restarts {
        let crash = position.max(crash % (log.len() + 1));
        log.deliver(&mut node, position..crash, delivery);
        position = back % (crash + 1);
    }
    log.deliver(&mut node, position..log.len(), delivery);
    if node.contents() == expected.contents() {
        return Ok(());
    }
    Err(format!("{:#?}\nagain {restarts:?}: {:#?}\nonce: {:#?}", log, node.contents(), expected.contents()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn any_suffix_again_ends_in_the_same_state(
        steps in histories(),
        restarts in prop::collection::vec((any::<usize>(), any::<usize>()), 1..6),
    ) {
        let log = Log::decided(&steps);
        let follower = once(&log, Delivery::Effects, 3);
        prop_assert_eq!(log.acting().contents(), follower.contents(), "{:#?}", log);
        prop_assert_eq!(ends_alike(&log, Delivery::Effects, &restarts), Ok(()));
        // The whole log again over its own end, too.
        prop_assert_eq!(ends_alike(&log, Delivery::Effects, &[(log.len(), 0)]), Ok(()));
    }
}

fn write(op: Op, body: serde_json::Value) -> Step {
    Step::Write { collection: 0, op, body }
}

/// The test above can fail: delivered as the clients wrote them, these histories end differently.
#[test]
fn the_requests_themselves_would_not_do() {
    let created = Step::Create { collection: 0 };
    let rows = json!({ "ids": ["a", "b"], "documents": ["x", "y"], "metadatas": [{ "k": 0 }, { "k": 0 }] });
    let histories = [
        vec![
            created.clone(),
            write(Op::Update, json!({ "ids": ["m"], "metadatas": [{ "from": "update" }] })),
            write(Op::Add, json!({ "ids": ["m"], "metadatas": [{ "k": 1 }] })),
        ],
        vec![
            created.clone(),
            write(Op::Add, rows.clone()),
            write(Op::Delete, json!({ "where": { "k": 0 }, "limit": 1 })),
        ],
        vec![
            created,
            write(Op::Add, rows),
            write(Op::Delete, json!({ "where_document": { "$contains": "x" } })),
            write(Op::Update, json!({ "ids": ["b"], "documents": ["x"] })),
        ],
    ];
    for steps in histories {
        let log = Log::decided(&steps);
        let restarts = [(log.len(), 1)];
        assert_eq!(ends_alike(&log, Delivery::Effects, &restarts), Ok(()));
        assert!(ends_alike(&log, Delivery::Requests, &restarts).is_err(), "{log:#?}");
    }
}
