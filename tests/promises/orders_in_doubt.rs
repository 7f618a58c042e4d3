//! Is what an operator ordered carried out by the balancer that was asked, whoever heard that it was given? Nobody
//! may hear it: PostgreSQL's answer is lost, or the operator has gone.

use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_postgres::Client;

use crate::harness::nodes::collections_url;
use crate::harness::sql::connect;
use crate::harness::status::until_all_up;
use crate::harness::surface::{create, node_state, records, until_quiet, upsert};
use crate::harness::{Options, Stack, assert_nodes_equal, get, post, until};

const SOON: Duration = Duration::from_secs(30);

async fn drain(url: &str, node: &str) -> (u16, String) {
    let (status, answer) = post(&format!("{url}/admin/nodes/{node}/drain"), &json!({})).await;
    (status, answer["message"].as_str().unwrap_or_default().to_owned())
}

/// Nobody else reads or changes the table until this session says COMMIT.
async fn locked(stack: &Stack, table: &str) -> Client {
    let session = connect(&stack.database_url).await;
    let sql = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    session.batch_execute(&sql).await.expect("the lock");
    session
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_followed_and_others_wait_until_it_is_known() {
    let stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let session = locked(&stack, "node_orders").await;
    let (status, message) = drain(&url, "replica-1").await;
    assert!(status == 503 && message.contains("it may have been done"), "{status} {message}");
    let (status, message) = drain(&url, "primary").await;
    assert!(status == 503 && message.contains("an earlier order"), "{status} {message}");
    // As if it had been committed after all.
    let given = "INSERT INTO node_orders (node, drain) VALUES ('replica-1', gen_random_uuid()); COMMIT";
    session.batch_execute(given).await.expect("an order");
    until(SOON, "it is followed", async || node_state(&url, "replica-1").await == "drained").await;
    let (status, message) = drain(&url, "primary").await;
    assert!(status == 409 && message.contains("no other node is up to date"), "{status} {message}");
    session.batch_execute("DELETE FROM node_orders").await.expect("no order");
    until_all_up(&stack).await;
}

/// Asks for a rebuild and breaks the connection once PostgreSQL waits with it.
async fn rebuild_and_leave(stack: &Stack, session: &Client) {
    let body = json!({"node": "replica-1", "collection": "mended"}).to_string();
    let asked =
        format!("POST /admin/rebuild HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let address = stack.url().trim_start_matches("http://").to_owned();
    let mut operator = TcpStream::connect(address).await.expect("a connection");
    operator.write_all(asked.as_bytes()).await.expect("a request");
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'quarantined_collections'::regclass";
    until(SOON, "the change waits", async || {
        session.query_one(waiting, &[]).await.expect("a count").get::<_, i64>(0) > 0
    })
    .await;
    SockRef::from(&operator).set_linger(Some(Duration::ZERO)).expect("a reset at the end");
    drop(operator);
    // So that the balancer has surely noticed it.
    for _ in 0..20 {
        get(&format!("{}/health", stack.url())).await;
    }
}

#[tokio::test]
async fn an_act_is_carried_out_although_its_operator_has_gone() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let id = create(&url, "mended").await;
    upsert(&url, &id, "r", "right").await;
    until_quiet(&url).await;
    let replica = stack.replica().url();
    let (_, found) = get(&format!("{}/mended", collections_url(&replica))).await;
    let body = json!({"ids": ["r"], "documents": ["wrong"]});
    assert_eq!(records(&replica, found["id"].as_str().expect("an id"), "update", &body).await.0, 200);
    let session = locked(&stack, "quarantined_collections").await;
    rebuild_and_leave(&stack, &session).await;
    session.batch_execute("COMMIT").await.expect("the lock is given back");
    assert_nodes_equal(&stack, "mended", SOON).await;
    let (_, page) = get(&format!("{url}/admin/audit")).await;
    let deeds: Vec<&Value> =
        page["audit"].as_array().expect("rows").iter().map(|row| &row["action"]).collect();
    assert_eq!(deeds, [&json!("rebuild")], "{page}");
}
