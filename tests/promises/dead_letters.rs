//! What if a node refuses for ever what another one accepted? Its collection is set aside there, listed,
//! told, mended without anybody's help; and an operator may decide otherwise. Whatever restarts meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use super::embedded::connect;
use crate::harness::nodes::{collections_url, read};
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, records, until_quiet, until_state, upsert};
use crate::harness::{Options, Place, Refuser, Stack, assert_nodes_equal, get, post, until};

const SOON: Duration = Duration::from_secs(30);

const CLEAN: &str = "DELETE FROM wal_pending_writes WHERE status IN ('completed','failed') AND updated_at < NOW() - INTERVAL '0 days';";

/// A stack whose replica can be made to refuse.
pub(super) async fn stack() -> (Stack, Refuser) {
    let place = Place::new("refused");
    let nodes = start_nodes(&place, 2, false).await;
    let refuser = Refuser::before(nodes[1].url()).await;
    let options = Options::default().env("REPLICA_URL", &refuser.url()).env("WAL_RETRY_ATTEMPTS", "2");
    // The primary must be gone before the second attempt makes a letter of it: else it is copied from there.
    let options = options.env("WAL_RETRY_DELAY", "3");
    let stack = Stack::over(place, nodes, options).await;
    until_state(&stack.url(), "replica-1", "up").await;
    (stack, refuser)
}

async fn letters(url: &str, state: &str) -> Vec<Value> {
    let (status, page) = get(&format!("{url}/admin/dead-letters?state={state}")).await;
    assert_eq!(status, 200, "{page}");
    page["dead_letters"].as_array().expect("letters").clone()
}

async fn act(url: &str, id: &str, verb: &str, body: &Value) -> (u16, Value) {
    post(&format!("{url}/admin/dead-letters/{id}/{verb}"), body).await
}

/// A write that the replica refuses, with nobody left to copy from: the letter stays open.
pub(super) async fn open_letter(stack: &mut Stack, refuser: &Refuser, name: &str) -> (String, String) {
    let url = stack.url();
    let id = create(&url, name).await;
    upsert(&url, &id, "before", "text").await;
    until_quiet(&url).await;
    refuser.refuse(Some("/upsert"));
    upsert(&url, &id, "refused", "text").await;
    // Once the log knows how far the primary is, nobody but the replica needs the entry.
    let sql = connect(&stack.database_url).await;
    let passed = "SELECT applied_seq = (SELECT head FROM wal_head) FROM wal_cursors WHERE node = 'primary'";
    let passed = async || sql.query_one(passed, &[]).await.expect("a row").get::<_, bool>(0);
    until(SOON, "the primary's cursor", passed).await;
    stack.primary().kill9();
    until_state(&url, "primary", "down").await;
    until(SOON, "the letter", async || letters(&url, "open").await.len() == 1).await;
    let letter = letters(&url, "open").await.remove(0);
    assert_eq!((&letter["node"], &letter["op"]), (&json!("replica-1"), &json!("upsert")), "{letter}");
    assert_eq!((&letter["collection"], &letter["attempts"]), (&json!(id), &json!(2)), "{letter}");
    assert!(letter["reason"].as_str().is_some_and(|r| r.starts_with("400 ")), "{letter}");
    (id, letter["id"].as_str().expect("an id").to_owned())
}

async fn audited(url: &str) -> Vec<String> {
    let (_, page) = get(&format!("{url}/admin/audit")).await;
    let rows = page["audit"].as_array().expect("rows").iter();
    rows.map(|row| format!("{} {}", row["action"], row["outcome"]).replace('"', "")).collect()
}

#[tokio::test]
async fn a_node_that_refuses_an_accepted_write_is_mended_by_itself() {
    let mut stack = Stack::start(Options::default().env("WAL_RETRY_DELAY", "0.05")).await;
    let url = stack.url();
    let id = create(&url, "odd").await;
    let calm = create(&url, "calm").await;
    until_quiet(&url).await;
    // Past the balancer: the replica's copy has another dimension now.
    let replica = stack.replica().url();
    let (_, own) = get(&format!("{}/odd", collections_url(&replica))).await;
    let own = own["id"].as_str().expect("an id").to_owned();
    let odd = json!({"ids": ["odd"], "embeddings": [[1.0, 2.0]]});
    assert_eq!(records(&replica, &own, "add", &odd).await.0, 201);
    let answer = crate::harness::client::exchange(
        reqwest::Method::POST,
        &format!("{}/{id}/add", collections_url(&url)),
        Some(&json!({"ids": ["r"], "embeddings": [[1.0, 2.0, 3.0]]})),
    )
    .await
    .expect("an answer");
    assert_eq!(answer.status, 201);
    upsert(&url, &calm, "r", "not held up").await;
    let resolved = async || letters(&url, "resolved").await.len() == 1;
    until(SOON, "the letter is resolved", resolved).await;
    let letter = letters(&url, "all").await.remove(0);
    assert_eq!((&letter["how"], &letter["collection"]), (&json!("rebuilt"), &json!(id)), "{letter}");
    let reason = letter["reason"].as_str().expect("a reason");
    assert!(reason.contains("dimension") && !reason.contains(&own), "{reason}");
    assert_nodes_equal(&stack, "odd", SOON).await;
    assert_nodes_equal(&stack, "calm", SOON).await;
    until_quiet(&url).await;
    // Its row went the ordinary way, and tells what happened.
    let write = answer.headers["x-chroma-ha-write-id"].to_str().expect("text").to_owned();
    let row = async || get(&format!("{url}/wal/writes/{write}")).await.1;
    until(SOON, "completed", async || row().await["status"] == "completed").await;
    let row = row().await;
    assert!(row["retry_count"].as_u64() >= Some(3), "{row}");
    assert!(row["error_message"].as_str().is_some_and(|text| text.contains("dimension")), "{row}");
    let (_, wal) = get(&format!("{url}/wal/status")).await;
    assert_eq!((&wal["dead_letters"], &wal["quarantined"]), (&json!([]), &json!([])));
    let told = |stack: &Stack, key: &str| {
        let log = stack.balancer.log();
        log.lines().filter(|line| line.contains(" alert ") && line.contains(key)).count()
    };
    let dead = format!("key=\"dead-letter:{}\"", letter["id"].as_str().expect("an id"));
    for key in [dead.as_str(), "key=\"quarantine:replica-1\""] {
        until(SOON, "opened and resolved, each told once", async || told(&stack, key) == 2).await;
    }
}

#[tokio::test]
async fn an_open_dead_letter_survives_a_restart_and_its_row_may_be_removed() {
    let (mut stack, refuser) = stack().await;
    let (id, letter) = open_letter(&mut stack, &refuser, "kept").await;
    let url = stack.url();
    refuser.refuse(None);
    let sql = connect(&stack.database_url).await;
    let failed = "SELECT count(*) FROM wal_pending_writes WHERE status = 'failed' AND retry_count >= 2";
    let failed = async || sql.query_one(failed, &[]).await.expect("a row").get::<_, i64>(0) == 1;
    until(SOON, "the row says failed", failed).await;
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    let listed = async || {
        let (_, wal) = get(&format!("{url}/wal/status")).await;
        wal["dead_letters"][0]["id"] == json!(letter) && wal["quarantined"][0]["stream"] == json!(id)
    };
    until(SOON, "it is still open", listed).await;
    until_state(&url, "primary", "down").await;
    // The replica has the collection, but not what was acknowledged: it is not read.
    let (status, answer) = records(&url, &id, "get", &json!({})).await;
    assert_eq!(status, 503, "{answer}");
    // An operator cleans up. What only the replica lacked is gone, so only a copy can bring it.
    assert!(sql.execute(CLEAN, &[]).await.expect("a count") > 0);
    let (status, answer) = act(&url, &letter, "retry", &json!({})).await;
    assert!(status == 409 && answer["message"].as_str().is_some_and(|m| m.contains("rebuild")), "{answer}");
    stack.primary().start_again().await.expect("the primary again");
    assert_nodes_equal(&stack, "kept", SOON).await;
    until(SOON, "the letter is resolved", async || letters(&url, "open").await.is_empty()).await;
    assert_eq!(letters(&url, "all").await[0]["how"], "rebuilt");
    until_quiet(&url).await;
}

#[tokio::test]
async fn a_dead_letter_is_tried_again_when_an_operator_says_so() {
    let (mut stack, refuser) = stack().await;
    let (id, letter) = open_letter(&mut stack, &refuser, "again").await;
    let url = stack.url();
    for (wrong, status) in [("replica-1:999", 404), ("replica-9:1", 404), ("nonsense", 404)] {
        assert_eq!(act(&url, wrong, "retry", &json!({})).await.0, status, "{wrong}");
    }
    // Still refused: it is a dead letter again.
    assert_eq!(act(&url, &letter, "retry", &json!({})).await.0, 202);
    let tried = async || letters(&url, "open").await.iter().any(|letter| letter["attempts"] == 3);
    until(SOON, "it was tried once more", tried).await;
    refuser.refuse(None);
    let again = async || act(&url, &letter, "retry", &json!({})).await.0 == 202;
    until(SOON, "the retry is taken", again).await;
    until(SOON, "the letter is resolved", async || letters(&url, "open").await.is_empty()).await;
    assert_eq!(letters(&url, "resolved").await[0]["how"], "applied");
    let shown =
        async || records(&url, &id, "get", &json!({"ids": ["refused"]})).await.1["ids"] == json!(["refused"]);
    until(SOON, "the replica is read again", shown).await;
    assert!(audited(&url).await.iter().all(|row| row == "dead-letter.retry begun"));
    stack.primary().start_again().await.expect("the primary again");
    assert_nodes_equal(&stack, "again", SOON).await;
    until_quiet(&url).await;
}

#[tokio::test]
async fn an_operator_may_let_a_node_differ_and_end_that_by_a_rebuild() {
    let (mut stack, refuser) = stack().await;
    let (id, letter) = open_letter(&mut stack, &refuser, "differs").await;
    let url = stack.url();
    let (status, answer) = act(&url, &letter, "discard", &json!({"accept_differences": true})).await;
    assert_eq!(status, 400, "a word that is not known must not mean less: {answer}");
    let (status, answer) = act(&url, &letter, "discard", &json!({"accept_difference": true})).await;
    assert!(status == 202 && answer["message"].as_str().is_some_and(|m| m.contains("differs")), "{answer}");
    let shown = async || {
        records(&url, &id, "get", &json!({})).await
            == (200, {
                let mut page = records(
                    &stack.nodes[1].url(),
                    &own(&stack.nodes[1].url(), "differs").await,
                    "get",
                    &json!({}),
                )
                .await
                .1;
                assert_eq!(page["ids"], json!(["before"]));
                page.take()
            })
    };
    until(SOON, "the collection is read from the replica without the entry", shown).await;
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    stack.primary().start_again().await.expect("the primary again");
    until_quiet(&url).await;
    assert_eq!(letters(&url, "open").await, [] as [Value; 0]);
    assert_eq!(letters(&url, "discarded").await[0]["how"], "difference-accepted");
    assert_eq!(read(&stack.nodes[1].url(), "differs").await.expect("records").len(), 1);
    assert_eq!(audited(&url).await, ["dead-letter.discard difference accepted"]);
    refuser.refuse(None);
    let again = json!({"node": "replica-1", "collection": "differs"});
    assert_eq!(post(&format!("{url}/admin/rebuild"), &again).await.0, 202);
    assert_nodes_equal(&stack, "differs", SOON).await;
}

async fn own(node: &str, name: &str) -> String {
    let (_, found) = get(&format!("{}/{name}", collections_url(node))).await;
    found["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_letter_that_is_dropped_means_a_rebuild() {
    let (mut stack, refuser) = stack().await;
    let (_, letter) = open_letter(&mut stack, &refuser, "dropped").await;
    let url = stack.url();
    assert_eq!(act(&url, &letter, "discard", &json!({})).await.0, 202);
    assert_eq!(act(&url, &letter, "discard", &json!({})).await.0, 404, "there is no open one any more");
    let (_, wal) = get(&format!("{url}/wal/status")).await;
    assert_eq!((&wal["dead_letters"], &wal["quarantined"][0]["node"]), (&json!([]), &json!("replica-1")));
    stack.primary().start_again().await.expect("the primary again");
    assert_nodes_equal(&stack, "dropped", SOON).await;
    until_quiet(&url).await;
    assert_eq!(letters(&url, "discarded").await[0]["how"], "discarded");
}

#[tokio::test]
async fn a_refused_catalog_entry_is_listed_while_it_is_tried_on() {
    let (stack, refuser) = stack().await;
    let url = stack.url();
    refuser.refuse(Some("/collections"));
    let id = create(&url, "late").await;
    until(SOON, "the letter", async || letters(&url, "open").await.len() == 1).await;
    let letter = letters(&url, "open").await.remove(0);
    assert_eq!(
        (&letter["collection"], &letter["op"]),
        (&Value::Null, &json!("create_collection")),
        "{letter}"
    );
    let (status, answer) = act(&url, letter["id"].as_str().expect("an id"), "discard", &json!({})).await;
    assert_eq!(status, 409, "there is nothing to rebuild: {answer}");
    refuser.refuse(None);
    until(SOON, "it was tried on", async || letters(&url, "open").await.is_empty()).await;
    assert_eq!(letters(&url, "resolved").await[0]["how"], "applied");
    upsert(&url, &id, "r", "text").await;
    assert_nodes_equal(&stack, "late", SOON).await;
    until_quiet(&url).await;
}
