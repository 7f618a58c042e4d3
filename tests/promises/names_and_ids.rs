//! Does a client ever notice that each node has ids of its own? Ids, order and texts must be the same
//! whichever node answers, also while one of them is away.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::surface::{NODES, create, records, until_quiet, until_state, upsert};
use crate::harness::twin::id_of;
use crate::harness::{Options, Stack, assert_nodes_equal, delete, get, node_records, post};

const SOON: Duration = Duration::from_secs(5);

/// Both nodes answer, in turn.
async fn in_turn() -> Stack {
    Stack::start(Options::default().env("LOAD_BALANCE_STRATEGY", "round_robin")).await
}

/// Ids that must never reach a client: those that differ from the logical one.
async fn hidden_ids(stack: &Stack, name: &str, logical: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for node in &stack.nodes {
        ids.insert(id_of(&node.url(), name).await);
    }
    assert_eq!(ids.len(), 2, "each node mints its own");
    ids.remove(logical);
    ids
}

#[tokio::test]
async fn an_id_stays_the_same_over_failover_and_return() {
    let mut stack = in_turn().await;
    let url = stack.url();
    let id = create(&url, "stable").await;
    upsert(&url, &id, "a", "before").await;
    let by_name = format!("{}/stable", collections_url(&url));
    for node in [0, 1] {
        stack.nodes[node].kill9();
        assert_eq!(get(&by_name).await.1["id"], id.as_str());
        upsert(&url, &id, &format!("without-{node}"), "during").await;
        let made = create(&url, &format!("born-without-{node}")).await;
        upsert(&url, &made, "b", "during").await;
        stack.nodes[node].start_again().await.expect("the node again");
        until_state(&url, NODES[node], "up").await;
        until_quiet(&url).await;
        for _ in 0..4 {
            assert_eq!(get(&by_name).await.1["id"], id.as_str());
            assert_eq!(id_of(&url, &format!("born-without-{node}")).await, made);
        }
        for name in ["stable", &format!("born-without-{node}")] {
            assert_nodes_equal(&stack, name, SOON).await;
        }
    }
    assert_eq!(node_records(&stack.primary().url(), "stable").await.len(), 3);
}

const QUERIES: [&str; 12] = [
    "?limit=0",
    "?limit=-1",
    "?limit=x",
    "?offset=x",
    "?limit=2&offset=",
    "?limit=+3",
    "?limit=%33",
    "?limit",
    "?limit=1&limit=2",
    "?limit=4294967296",
    "?offset=4294967296",
    "?other=1",
];

async fn names(url: &str) -> Vec<String> {
    let (status, list) = get(url).await;
    assert_eq!(status, 200, "{list}");
    let name = |one: &Value| format!("{} {}", one["name"], one["id"]);
    list.as_array().expect("a list").iter().map(name).collect()
}

#[tokio::test]
async fn lists_have_one_order_and_pages_fit_together_whichever_node_answers() {
    let mut stack = in_turn().await;
    let url = stack.url();
    let base = collections_url(&url);
    for n in 0..7 {
        create(&url, &format!("number-{n}")).await;
    }
    until_quiet(&url).await;
    let databases = format!("{url}/api/v2/tenants/default_tenant/databases");
    for name in ["zeta", "alpha", "muse", "etas"] {
        assert_eq!(post(&databases, &json!({"name": name})).await.0, 200);
    }
    until_quiet(&url).await;
    let (all, all_databases) = (names(&base).await, names(&databases).await);
    assert_eq!((all.len(), all_databases.len()), (7, 5));
    for primary_down in [false, true] {
        if primary_down {
            stack.primary().kill9();
        }
        for _ in 0..4 {
            assert_eq!(names(&base).await, all);
            let mut paged = Vec::new();
            for offset in [0, 3, 6, 9] {
                paged.extend(names(&format!("{base}?limit=3&offset={offset}")).await);
            }
            assert_eq!(paged, all);
            assert_eq!(names(&databases).await, all_databases);
            assert_eq!(names(&format!("{databases}?limit=2&offset=1")).await, all_databases[1..3]);
        }
        assert_eq!(get(&format!("{base}_count")).await.1, 7);
    }
    // What a client asks wrongly is answered as a node answers it.
    let node = collections_url(&stack.replica().url());
    for query in QUERIES {
        let answer = get(&format!("{node}{query}")).await;
        let ours = get(&format!("{base}{query}")).await;
        let seen = |(status, body): &(u16, Value)| match body.as_array() {
            Some(list) => (*status, json!(list.len())),
            None => (*status, body.clone()),
        };
        assert_eq!(seen(&ours), seen(&answer), "{query}");
    }
}

#[tokio::test]
async fn every_way_to_name_a_thing_leads_to_its_one_id() {
    let mut stack = in_turn().await;
    let url = stack.url();
    let base = collections_url(&url);
    let id = create(&url, "named").await;
    upsert(&url, &id, "a", "text").await;
    until_quiet(&url).await;
    let hidden = hidden_ids(&stack, "named", &id).await;
    let tenant = format!("{url}/api/v2/tenants/default_tenant");
    assert_eq!(post(&format!("{tenant}/databases"), &json!({"name": "side"})).await.0, 200);
    let (_, side) = get(&format!("{tenant}/databases/side")).await;
    let plain: String = id.chars().filter(|one| *one != '-').collect();
    for _ in 0..4 {
        for path in [
            format!("{base}/named"),
            format!("{base}/by-id/{id}"),
            format!("{url}/api/v2/collections/default_tenant:default_database:named"),
        ] {
            let (status, found) = get(&path).await;
            assert_eq!((status, &found["id"]), (200, &json!(id)), "{path}: {found}");
        }
        for spelling in [id.to_uppercase(), plain.clone(), format!("%7B{id}%7D"), format!("urn:uuid:{id}")] {
            assert_eq!(get(&format!("{base}/{spelling}/count")).await, (200, json!(1)), "{spelling}");
        }
        assert_eq!(get(&format!("{tenant}/databases/side")).await.1["id"], side["id"]);
        let (_, databases) = get(&format!("{tenant}/databases")).await;
        let listed = databases.as_array().expect("a list").iter().find(|one| one["name"] == "side");
        assert_eq!(listed.map(|one| &one["id"]), Some(&side["id"]));
        // A node's own id is nobody's: not for reading, not for writing.
        for own in &hidden {
            assert_eq!(get(&format!("{base}/{own}/count")).await.0, 404);
            assert_eq!(get(&format!("{base}/by-id/{own}")).await.0, 404);
            let row = json!({"ids": ["x"], "embeddings": [[1, 2, 3]]});
            assert_eq!(records(&url, own, "add", &row).await.0, 404);
        }
    }
    stack.primary().kill9();
    assert_eq!(get(&format!("{tenant}/databases/side")).await.1["id"], side["id"]);
}

/// A node that has lost the collection says so with its own id; the client must read the logical one.
#[tokio::test]
async fn texts_of_errors_carry_the_id_that_the_client_knows() {
    let stack = in_turn().await;
    let url = stack.url();
    let id = create(&url, "lost").await;
    upsert(&url, &id, "a", "text").await;
    until_quiet(&url).await;
    let hidden = hidden_ids(&stack, "lost", &id).await;
    for node in &stack.nodes {
        assert_eq!(delete(&format!("{}/lost", collections_url(&node.url()))).await.0, 200);
    }
    let row = json!({"ids": ["x"], "embeddings": [[1, 2, 3]]});
    // The first answer is a node's own; then both are looked at, and it is known that all have lost it.
    let answers =
        [("get", json!({}), 404), ("get", json!({}), 503), ("add", row.clone(), 503), ("update", row, 503)];
    for (verb, body, expected) in answers {
        let (status, answer) = records(&url, &id, verb, &body).await;
        assert!(status == expected || status == 404, "{verb}: {status} {answer}");
        let text = answer.to_string();
        assert!(text.contains(&id), "{verb}: {text}");
        assert!(hidden.iter().all(|own| !text.contains(own)), "{verb}: {text}");
    }
}
