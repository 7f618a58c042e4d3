//! Is a node that an operator takes out left alone, by every balancer and through every restart, and does it
//! miss nothing when it is put back? And does no client notice any of it?

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::status::{PATIENCE, until_all_up};
use crate::harness::surface::{create, document, metric, node_state, until_quiet, until_state, upsert};
use crate::harness::{Balancer, Load, Options, Stack, assert_nodes_equal, get, post, until};

const SOON: Duration = Duration::from_secs(30);

async fn order(url: &str, node: &str, verb: &str, body: &Value) -> (u16, Value) {
    post(&format!("{url}/admin/nodes/{node}/{verb}"), body).await
}

/// As the balancer shows it to an operator.
async fn shown(url: &str, node: &str) -> Value {
    let (status, answer) = get(&format!("{url}/admin/nodes")).await;
    assert_eq!(status, 200, "{answer}");
    let nodes = answer["nodes"].as_array().expect("nodes").clone();
    nodes.into_iter().find(|one| one["name"] == node).expect("the node")
}

async fn until_drained(url: &str, node: &str) {
    until(SOON, &format!("{node} is drained"), async || shown(url, node).await["drain"]["complete"] == true)
        .await;
}

async fn drain(url: &str, node: &str) {
    let (status, answer) = order(url, node, "drain", &json!({})).await;
    assert_eq!(status, 202, "{answer}");
    until_drained(url, node).await;
}

async fn undrain(url: &str, node: &str) {
    let (status, answer) = order(url, node, "undrain", &json!({})).await;
    assert_eq!((status, &answer["drain"]), (202, &Value::Null), "{answer}");
}

/// It catches up with what clients go on writing.
async fn until_up(url: &str, node: &str) {
    until(PATIENCE, &format!("{node} is up"), async || node_state(url, node).await == "up").await;
}

/// Everything that was ever asked of a node for clients.
async fn asked_of(url: &str, node: &str) -> f64 {
    let mut all = metric(url, &format!("chroma_ha_reads_total{{node=\"{node}\"}}")).await;
    for role in ["acting", "following"] {
        all += metric(url, &format!("chroma_ha_applied_total{{node=\"{node}\",role=\"{role}\"}}")).await;
    }
    all
}

#[tokio::test]
async fn each_node_is_taken_out_stopped_and_put_back_and_no_client_notices() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let load = Load::start(&url, 3, 2).await;
    load.a_round(PATIENCE).await;
    for (at, node) in [(1, "replica-1"), (0, "primary")] {
        drain(&url, node).await;
        let asked = asked_of(&url, node).await;
        assert!(asked > 0.0, "the figures are those of {node}");
        load.a_round(PATIENCE).await;
        stack.nodes[at].kill9();
        load.a_round(PATIENCE).await;
        let now = shown(&url, node).await;
        assert_eq!(now["state"], "drained", "{now}");
        assert!(now["lag_entries"].as_u64() > Some(0), "the log keeps what it misses: {now}");
        until(SOON, "its probes are shown", async || shown(&url, node).await["probe_fault"] != Value::Null)
            .await;
        assert_eq!(asked_of(&url, node).await, asked, "nothing reached {node}");
        stack.nodes[at].start_again().await.expect("the node again");
        load.a_round(PATIENCE).await;
        assert_eq!(node_state(&url, node).await, "drained", "until it is put back");
        undrain(&url, node).await;
        until_up(&url, node).await;
        load.a_round(PATIENCE).await;
        assert!(asked_of(&url, node).await > asked);
    }
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
    let log = stack.balancer.log();
    assert!(!log.contains("is down"), "nobody was told that a node is down:\n{log}");
    let (_, audit) = get(&format!("{url}/admin/audit")).await;
    let deeds: Vec<_> = audit["audit"].as_array().expect("rows").iter().collect();
    let said =
        |row: &&Value| format!("{} {}", row["action"].as_str().unwrap(), row["target"].as_str().unwrap());
    let deeds: Vec<String> = deeds.iter().map(said).collect();
    assert_eq!(deeds, ["undrain primary", "drain primary", "undrain replica-1", "drain replica-1"]);
}

#[tokio::test]
async fn the_last_node_stays_unless_it_is_forced_and_an_order_outlives_restarts() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let id = create(&url, "kept").await;
    upsert(&url, &id, "r", "before").await;
    until_quiet(&url).await;
    let (status, answer) = order(&url, "replica-7", "drain", &json!({})).await;
    assert_eq!(status, 404, "{answer}");
    let (status, answer) = order(&url, "replica-1", "drain", &json!({"fore": true})).await;
    assert_eq!(status, 400, "{answer}");
    drain(&url, "primary").await;
    let first = shown(&url, "primary").await["drain"]["order"].clone();
    let (status, again) = order(&url, "primary", "drain", &json!({})).await;
    assert_eq!((status, &again["drain"]["order"]), (202, &first), "it was ordered already");
    let (status, refused) = order(&url, "replica-1", "drain", &json!({})).await;
    let message = refused["message"].as_str().expect("a message");
    assert_eq!(status, 409, "{refused}");
    assert!(message.contains("no other node is up to date") && message.lines().count() == 1, "{message}");
    upsert(&url, &id, "r", "after").await;
    assert_eq!(document(&url, &id, "r").await, "after");
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    until_state(&url, "replica-1", "up").await;
    until_drained(&url, "primary").await;
    assert_eq!(shown(&url, "primary").await["drain"]["order"], first);
    assert_eq!(document(&url, &id, "r").await, "after", "the primary lacks it");
    // Forced, writes of records are kept for later.
    let (status, answer) = order(&url, "replica-1", "drain", &json!({"force": true})).await;
    assert_eq!(status, 202, "{answer}");
    until_drained(&url, "replica-1").await;
    let body = json!({"ids": ["later"], "embeddings": [[1.0, 2.0, 3.0]], "documents": ["later"]});
    let (status, _) = crate::harness::surface::records(&url, &id, "upsert", &body).await;
    assert_eq!(status, 202);
    let (_, audit) = get(&format!("{url}/admin/audit?limit=1")).await;
    assert_eq!(audit["audit"][0]["detail"], "forced: no other node was up to date");
    // A server that comes back empty is not trusted.
    stack.primary().wipe().expect("an empty disk");
    stack.primary().start_again().await.expect("the primary again");
    undrain(&url, "replica-1").await;
    undrain(&url, "primary").await;
    until_all_up(&stack).await;
    until_quiet(&url).await;
    assert_nodes_equal(&stack, "kept", SOON).await;
    assert_eq!(document(&url, &id, "later").await, "later");
}

async fn beside(stack: &mut Stack) -> Balancer {
    let beside = stack.launch_beside();
    until(PATIENCE, "the second one stands by", async || {
        let url = format!("{}/status", beside.url());
        let answer = crate::harness::client::try_request(reqwest::Method::GET, &url, None).await;
        answer.is_ok_and(|(_, status)| status["role"] == "standby" && status["holder"] != Value::Null)
    })
    .await;
    beside
}

#[tokio::test]
async fn a_drain_waits_for_the_other_balancer_and_goes_on_under_it() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let mut beside = beside(&mut stack).await;
    let load = Load::start(&url, 4, 2).await;
    load.a_round(PATIENCE).await;
    until(SOON, "the holder knows of it", async || {
        // The standby looks at the nodes for itself.
        node_state(&beside.url(), "replica-1").await == "catching-up"
    })
    .await;
    beside.signal(Signal::SIGSTOP);
    let (status, answer) = order(&url, "replica-1", "drain", &json!({})).await;
    assert_eq!(status, 202, "{answer}");
    let awaited = json!([beside.url()]);
    until(SOON, "the other balancer is waited for", async || {
        let now = shown(&url, "replica-1").await;
        assert_ne!(now["drain"]["complete"], true, "the other one knows nothing of it: {now}");
        now["state"] == "drained" && now["drain"]["balancers_awaited"] == awaited
    })
    .await;
    beside.signal(Signal::SIGCONT);
    until_drained(&url, "replica-1").await;
    assert_eq!(node_state(&beside.url(), "replica-1").await, "drained");
    load.also_to(&beside.url());
    load.a_round(PATIENCE).await;
    stack.balancer.signal(Signal::SIGTERM);
    until(PATIENCE, "the second one took over", async || {
        get(&format!("{}/status", beside.url())).await.1["role"] == "holder"
    })
    .await;
    load.a_round(PATIENCE).await;
    until_drained(&beside.url(), "replica-1").await;
    undrain(&beside.url(), "replica-1").await;
    until_up(&beside.url(), "replica-1").await;
    load.a_round(PATIENCE).await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
    beside.stop().await;
}

async fn acting(url: &str) -> Value {
    get(&format!("{url}/status")).await.1["acting"].clone()
}

#[tokio::test]
async fn another_node_acts_for_as_long_as_an_operator_wants_it() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let switch = async |node: Value| post(&format!("{url}/admin/acting"), &json!({ "node": node })).await;
    let acted = async |node: &str| {
        metric(&url, &format!("chroma_ha_applied_total{{node=\"{node}\",role=\"acting\"}}")).await
    };
    let load = Load::start(&url, 4, 2).await;
    load.a_round(PATIENCE).await;
    let (status, answer) = switch(json!("replica-1")).await;
    assert_eq!((status, &answer["preferred"]), (200, &json!("replica-1")), "{answer}");
    until(SOON, "the replica acts", async || acting(&url).await == "replica-1").await;
    until(PATIENCE, "the replica judges all writes of a while", async || {
        let before = (acted("primary").await, acted("replica-1").await);
        load.a_round(PATIENCE).await;
        acted("primary").await == before.0 && acted("replica-1").await > before.1
    })
    .await;
    load.assert_nothing_failed();
    load.end(&stack, PATIENCE).await;
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    until_all_up(&stack).await;
    until(SOON, "it still acts", async || acting(&url).await == "replica-1").await;
    assert!(!stack.balancer.log().contains("acts in place of"), "it is as an operator wants it");
    assert_eq!(switch(Value::Null).await.1["preferred"], Value::Null);
    until(SOON, "the primary acts", async || acting(&url).await == "primary").await;
    // Only a node that could act at once.
    stack.replica().kill9();
    until_state(&url, "replica-1", "down").await;
    let (status, refused) = switch(json!("replica-1")).await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("not up to date")), "{refused}");
    assert_eq!(switch(json!("replica-9")).await.0, 404);
}
