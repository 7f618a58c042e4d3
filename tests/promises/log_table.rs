//! Can an operator work on the log with the statements that they know, while writes run, and does
//! every row tell the truth? The table is read with plain SQL; nothing of it may hold a credential.

use std::time::Duration;

use chroma_ha_core::ids::NodeId;
use futures_util::future::join;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::embedded::connect;
use crate::harness::nodes::collections_url;
use crate::harness::surface::{create, exchange, until_quiet, until_state, upsert};
use crate::harness::{Options, Stack, assert_nodes_equal, get, until};

const SOON: Duration = Duration::from_secs(5);

const COUNT: &str = "SELECT status, COUNT(*) FROM wal_pending_writes GROUP BY status;";

const PENDING: &str = "SELECT write_id, method, path, timestamp, retry_count FROM wal_pending_writes WHERE status='pending' ORDER BY timestamp;";

const CLEAN: &str = "DELETE FROM wal_pending_writes WHERE status IN ('completed','failed') AND updated_at < NOW() - INTERVAL '7 days';";

const BAD_ROW: &str = r#"{"ids": ["bad"], "embeddings": [[1, 2]]}"#;

/// As `COUNT` gives it: pending, completed, rejected, failed.
async fn counts(client: &Client) -> [i64; 4] {
    let rows = client.query(COUNT, &[]).await.expect("a count");
    let of =
        |status: &str| rows.iter().find(|row| row.get::<_, &str>(0) == status).map_or(0, |row| row.get(1));
    ["pending", "completed", "rejected", "failed"].map(of)
}

/// Writes and returns the id under which the log keeps the write.
async fn logged(url: &str, body: &str, expected: u16, headers: &[(&str, &str)]) -> String {
    let mut request = crate::harness::client::client().post(url).body(body.to_owned());
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    let id = answer.headers().get("x-chroma-ha-write-id").map(|id| id.to_str().expect("text").to_owned());
    let status = answer.status().as_u16();
    assert_eq!(status, expected, "{}", answer.text().await.unwrap_or_default());
    id.expect("the id of the write")
}

async fn write_row(url: &str, write_id: &str) -> Value {
    let (status, row) = get(&format!("{url}/wal/writes/{write_id}")).await;
    assert_eq!(status, 200, "{row}");
    row
}

fn state_on(row: &Value, node: usize) -> Value {
    let name = NodeId(node).name();
    let nodes = row["nodes"].as_array().expect("nodes");
    nodes.iter().find(|one| one["node"] == name.as_str()).map_or(Value::Null, |one| one["state"].clone())
}

async fn pending_of(url: &str, node: usize) -> u64 {
    let (_, status) = get(&format!("{url}/wal/status")).await;
    status["nodes"][node]["pending"].as_u64().expect("a count")
}

#[tokio::test]
async fn every_row_tells_its_fate_over_an_outage_of_the_replica() {
    // Rows are counted exactly: a slow probe must not hold a write up.
    let mut stack = Stack::start(Options::default().env("PROBE_TIMEOUT", "20")).await;
    let (url, client) = (stack.url(), connect(&stack.database_url).await);
    let id = create(&url, "fates").await;
    let upsert_url = format!("{}/{id}/upsert", collections_url(&url));
    let row = |n: u32| json!({"ids": [format!("r{n}")], "embeddings": [[1, 2, n]]}).to_string();
    let applied = logged(&upsert_url, &row(0), 200, &[]).await;
    let rejected = logged(&upsert_url, BAD_ROW, 400, &[]).await;
    let all_done = async || counts(&client).await == [0, 2, 1, 0];
    until(SOON, "create and upsert completed, one rejected", all_done).await;
    assert!(client.query(PENDING, &[]).await.expect("rows").is_empty());
    stack.replica().kill9();
    // From here on nothing is tried there, so nothing counts as tried.
    until_state(&url, "replica-1", "down").await;
    let mut waiting = Vec::new();
    for n in 1..=4 {
        waiting.push(logged(&upsert_url, &row(n), 200, &[]).await);
        assert_eq!(pending_of(&url, 1).await, u64::from(n), "the figure rises with every write");
        assert_eq!(pending_of(&url, 0).await, 0);
    }
    let also_rejected = logged(&upsert_url, BAD_ROW, 400, &[]).await;
    assert_eq!(counts(&client).await, [4, 2, 2, 0]);
    let listed = client.query(PENDING, &[]).await.expect("rows");
    assert_eq!(listed.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), waiting);
    for row in &listed {
        assert_eq!((row.get::<_, &str>(1), row.get::<_, i32>(4)), ("POST", 0));
        assert!(upsert_url.ends_with(row.get::<_, &str>(2)), "the path as the client sent it");
    }
    let pending = write_row(&url, &waiting[0]).await;
    assert_eq!(
        (&pending["status"], state_on(&pending, 0), state_on(&pending, 1)),
        (&json!("pending"), json!("applied"), json!("pending"))
    );
    stack.replica().start_again().await.expect("the replica again");
    until_state(&url, "replica-1", "up").await;
    until(SOON, "nothing is pending on the replica", async || pending_of(&url, 1).await == 0).await;
    until(SOON, "all rows are completed", async || counts(&client).await == [0, 6, 2, 0]).await;
    for write_id in waiting.iter().chain([&applied]) {
        let row = write_row(&url, write_id).await;
        assert_eq!(
            (&row["status"], state_on(&row, 0), state_on(&row, 1)),
            (&json!("completed"), json!("applied"), json!("applied"))
        );
    }
    for write_id in [rejected, also_rejected] {
        let row = write_row(&url, &write_id).await;
        assert_eq!((&row["status"], &row["nodes"]), (&json!("rejected"), &json!([])));
        assert!(row["error_message"].as_str().is_some_and(|text| text.starts_with("400")), "{row}");
    }
    assert_eq!(get(&format!("{url}/wal/writes/unknown")).await.0, 404);
    assert_nodes_equal(&stack, "fates", SOON).await;
}

/// The operator's clean-up takes finished rows and nothing else, and the balancer goes on.
#[tokio::test]
async fn the_log_can_be_listed_and_cleaned_while_writes_run() {
    let mut stack = Stack::start(Options::default()).await;
    let (url, client) = (stack.url(), connect(&stack.database_url).await);
    let id = create(&url, "cleaned").await;
    upsert(&url, &id, "first", "kept").await;
    until_quiet(&url).await;
    until(SOON, "two rows are completed", async || counts(&client).await[1] == 2).await;
    stack.replica().kill9();
    upsert(&url, &id, "waiting", "kept").await;
    let age = "UPDATE wal_pending_writes SET updated_at = NOW() - INTERVAL '8 days', timestamp = NOW() - INTERVAL '8 days'";
    client.execute(age, &[]).await.expect("older rows");
    let writes = async {
        for n in 0..10 {
            upsert(&url, &id, &format!("r{n}"), "text").await;
        }
    };
    let operator = async {
        let mut gone = 0;
        for _ in 0..10 {
            gone += client.execute(CLEAN, &[]).await.expect("a clean-up");
            client.query(PENDING, &[]).await.expect("a list");
            counts(&client).await;
        }
        gone
    };
    let ((), gone) = join(writes, operator).await;
    assert_eq!(gone, 2, "the finished rows went, the pending one stayed");
    assert_eq!(counts(&client).await, [11, 0, 0, 0]);
    // The head does not depend on rows that are gone.
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    stack.replica().start_again().await.expect("the replica again");
    until_state(&url, "replica-1", "up").await;
    upsert(&url, &id, "last", "text").await;
    until_quiet(&url).await;
    assert_nodes_equal(&stack, "cleaned", SOON).await;
    let seq =
        client.query_one("SELECT max(seq), count(*) FROM wal_pending_writes", &[]).await.expect("a row");
    assert_eq!((seq.get::<_, i64>(0), seq.get::<_, i64>(1)), (14, 12));
}

#[tokio::test]
async fn no_credential_is_in_any_column_of_any_table() {
    let stack = Stack::start(Options::default()).await;
    let (url, client) = (stack.url(), connect(&stack.database_url).await);
    let secrets = [
        ("authorization", "Bearer very-secret-one"),
        ("x-chroma-token", "very-secret-two"),
        ("cookie", "session=very-secret-three"),
        ("proxy-authorization", "Basic very-secret-four"),
        ("x-api-key", "very-secret-five"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let base = collections_url(&url);
    logged(&base, r#"{"name": "private"}"#, 200, &secrets).await;
    let (_, found) = get(&format!("{base}/private")).await;
    let of_collection = format!("{base}/{}", found["id"].as_str().expect("an id"));
    logged(&format!("{of_collection}/upsert"), r#"{"ids": ["a"], "embeddings": [[1]]}"#, 200, &secrets).await;
    logged(&format!("{of_collection}/upsert"), r#"{"ids": ["a"], "embeddings": [[]]}"#, 400, &secrets).await;
    let (status, _, _) = exchange("DELETE", &format!("{base}/private"), &secrets, "").await;
    assert_eq!(status, 200);
    let text =
        "SELECT string_agg(w::text || coalesce(encode(w.data, 'escape'), ''), '') FROM wal_pending_writes w";
    let all: String = client.query_one(text, &[]).await.expect("the log").get(0);
    assert!(all.contains("traceparent"), "the allow-list is seen: {all}");
    assert!(!all.contains("very-secret"), "{all}");
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    for table in client.query(tables, &[]).await.expect("tables") {
        let name: String = table.get(0);
        let text = format!("SELECT coalesce(string_agg(t::text, ''), '') FROM {name} t");
        let all: String = client.query_one(&text, &[]).await.expect("a table").get(0);
        assert!(!all.contains("very-secret"), "{name}: {all}");
    }
    assert!(!stack.balancer.log().contains("very-secret"), "the balancer's own log");
}
