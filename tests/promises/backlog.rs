//! What does a long outage of a node cost (G7)? Its backlog is in PostgreSQL: memory stays flat, starts and status
//! pages are as quick as without it, clients are served, and when the node returns the backlog falls.
//! `CHROMA_HA_BACKLOG` says how many entries; ten million are the goal that the design names.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::harness::sql::{connect, fill};
use crate::harness::status::{pending, state};
use crate::harness::surface::{create, document, exchange, metric, records, until_quiet, until_state};
use crate::harness::{Options, Stack, assert_nodes_equal, get, until};

const SOON: Duration = Duration::from_secs(30);

const COLLECTIONS: usize = 20;
/// Writes to each that the balancer itself logs; the backlog is made of rows like theirs.
const WRITES: usize = 5;
/// Of the node's queue; the smallest that makes sense.
const QUEUE_BYTES: u64 = 8 << 20;
/// The program with two idle nodes, built for tests: 60 MB were seen.
const PROGRAM_BYTES: u64 = 100_000_000;
/// Rows that the whole start, and what is asked afterwards, may read of the log: far fewer than it has.
const ROWS_READ: i64 = 20_000;
/// How much of the backlog is waited for: all of it takes long.
const DRAINED: u64 = 500;

fn entries() -> u64 {
    let wanted = std::env::var("CHROMA_HA_BACKLOG").ok().and_then(|number| number.parse().ok());
    wanted.unwrap_or(200_000)
}

/// Resident memory of the balancer in bytes: now, and the most since its start.
fn memory(stack: &Stack) -> (u64, u64) {
    let pid = stack.balancer.pid().expect("a running balancer");
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn assert_bounded(stack: &Stack, when: &str) {
    let (now, most) = memory(stack);
    println!("{when}: {:.0} MB resident, at most {:.0} MB", now as f64 / 1e6, most as f64 / 1e6);
    assert!(most < PROGRAM_BYTES + 2 * QUEUE_BYTES, "{when}: {most} bytes");
}

/// Rows of the log that statements have looked at so far. A session tells when it ends, at the latest, so all others
/// must have; this one is made to tell, or what the filling read would be counted as the balancer's.
async fn rows_read(client: &Client) -> i64 {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
        AND backend_type = 'client backend' AND datname = current_database()";
    let alone = async || client.query_one(others, &[]).await.expect("a count").get::<_, i64>(0) == 0;
    until(SOON, "every other session has ended", alone).await;
    client.execute("SELECT pg_stat_force_next_flush()", &[]).await.expect("statistics told");
    let sql = "SELECT (t.seq_tup_read + sum(i.idx_tup_read))::bigint FROM pg_stat_user_tables t \
        JOIN pg_stat_user_indexes i USING (relid) WHERE t.relname = 'wal_pending_writes' GROUP BY t.seq_tup_read";
    client.query_one(sql, &[]).await.expect("statistics").get(0)
}

/// The figure is worth something: one walk over the log is in it.
async fn assert_counts_rows(stack: &Stack, client: &Client, logged: u64) {
    let before = rows_read(client).await;
    let walk = connect(&stack.database_url).await;
    walk.query_one("SELECT count(retry_count) FROM wal_pending_writes", &[]).await.expect("a count");
    drop(walk);
    let seen = rows_read(client).await - before;
    assert!(seen >= i64::try_from(logged).expect("a number"), "{seen} rows of a walk over the log");
}

/// Starts it and serves a read; the time until then, and until it is ready.
async fn start(stack: &mut Stack, id: &str, what: &str) {
    let begun = Instant::now();
    stack.balancer.start_again().await;
    let ready = begun.elapsed();
    assert_eq!(document(&stack.url(), id, "r0").await, "text");
    println!("start with {what}: ready after {ready:.2?}, first read answered after {:.2?}", begun.elapsed());
    let holds = async || metric(&stack.url(), "chroma_ha_lease_held").await == 1.0;
    until(SOON, "it holds the log", holds).await;
    until_state(&stack.url(), "primary", "up").await;
}

/// How long the pages about the balancer itself take.
async fn time_pages(url: &str, when: &str) {
    for page in ["/status", "/wal/status", "/metrics", "/health"] {
        let mut times = Vec::new();
        for _ in 0..100 {
            let begun = Instant::now();
            let (status, _, text) = exchange("GET", &format!("{url}{page}"), &[], "").await;
            times.push(begun.elapsed());
            assert_eq!(status, 200, "{page}: {text}");
        }
        times.sort_unstable();
        println!("{when}: {page} p50 {:.2?}, p99 {:.2?}", times[50], times[98]);
        assert!(times[98] < Duration::from_secs(1), "{page}: {:?}", times[98]);
    }
}

async fn write(url: &str, id: &str, n: usize) {
    let body = json!({"ids": [format!("r{n}")], "embeddings": [[1.0, 2.0, n]], "documents": ["text"]});
    let (status, answer) = records(url, id, "upsert", &body).await;
    assert_eq!(status, 200, "{answer}");
}

/// A replica that is away misses writes to every collection; the balancer is stopped after them.
async fn outage(stack: &mut Stack) -> Vec<String> {
    let url = stack.url();
    let mut ids = Vec::new();
    for n in 0..COLLECTIONS {
        ids.push(create(&url, &format!("missed-{n}")).await);
    }
    until_quiet(&url).await;
    stack.replica().kill9();
    until_state(&url, "replica-1", "down").await;
    let all = ids.iter().map(async |id| {
        for n in 0..WRITES {
            write(&url, id, n).await;
        }
    });
    futures_util::future::join_all(all).await;
    ids
}

/// The node is back: its lag falls look after look, in the same memory, and clients are served meanwhile.
async fn drain(stack: &mut Stack, client: &Client, ids: &[String]) {
    let cursor = async || {
        let sql = "SELECT applied_seq FROM wal_cursors WHERE node = 'replica-1'";
        client.query_one(sql, &[]).await.expect("a cursor").get::<_, i64>(0)
    };
    let began_at = cursor().await;
    stack.replica().start_again().await.expect("the replica again");
    start(stack, &ids[0], "the node back").await;
    let (url, begun) = (stack.url(), Instant::now());
    let lag = async || metric(&url, "chroma_ha_node_lag_entries{node=\"replica-1\"}").await as u64;
    let (first, mut last, mut falls) = (lag().await, lag().await, 0);
    until(SOON * 4, "a part of the backlog is applied", async || {
        sleep(Duration::from_millis(500)).await;
        let now = lag().await;
        falls += u32::from(now < last);
        assert!(now <= last, "the lag rises from {last} to {now} although nothing is written");
        last = now;
        falls >= 3 && last + DRAINED <= first
    })
    .await;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} entries applied in {seconds:.1} s", first - last);
    // What is applied needs not be applied again by the next balancer, however much is still to come.
    until(SOON, "the cursor is durable", async || cursor().await > began_at + 200).await;
    // What the balancer before may have sent there is not forgotten for it.
    let doubts = async || {
        let sql = "SELECT count(*) FROM wal_doubts WHERE node = 'replica-1'";
        client.query_one(sql, &[]).await.expect("a count").get::<_, i64>(0)
    };
    until(SOON, "a row for each collection in doubt", async || doubts().await == COLLECTIONS as i64).await;
    let batch = async || get(&format!("{url}/status")).await.1["nodes"][1]["batch_entries"].clone();
    until(SOON, "a node far behind reads its log in large pages", async || batch().await == 150).await;
    time_pages(&url, "the node catches up").await;
    write(&url, &ids[0], 0).await;
    assert_eq!(document(&url, &ids[0], "r0").await, "text");
    assert_bounded(stack, "the node catches up");
    // Whatever part is applied: what is written again is the same.
    assert_nodes_equal(stack, "missed-0", SOON).await;
}

#[tokio::test]
async fn a_long_backlog_costs_neither_memory_nor_time_and_falls_when_the_node_returns() {
    let many = entries();
    let options = Options::default().env("WAL_MEMORY_BYTES", &QUEUE_BYTES.to_string());
    // What else the machine does must not make batches small.
    let options = options.env("WAL_MEMORY_THRESHOLD", "100").env("WAL_HIGH_VOLUME_BATCH_SIZE", "150");
    let mut stack = Stack::start(options).await;
    let (url, client) = (stack.url(), connect(&stack.database_url).await);
    let ids = outage(&mut stack).await;
    stack.balancer.stop().await;
    start(&mut stack, &ids[0], "a short log").await;
    time_pages(&url, "a short log").await;
    stack.balancer.stop().await;

    let begun = Instant::now();
    let kinds = fill(&client, many).await;
    assert_eq!(kinds, COLLECTIONS * WRITES, "what the balancer itself logged");
    println!("{many} entries made in {:.1?}", begun.elapsed());
    let logged = many + (COLLECTIONS * WRITES) as u64;
    let before = rows_read(&client).await;
    start(&mut stack, &ids[0], &format!("{logged} entries pending")).await;
    assert_eq!(pending(&stack).await, logged);
    time_pages(&url, "the node away").await;
    for (n, id) in ids.iter().enumerate() {
        write(&url, id, n % WRITES).await;
        assert_eq!(document(&url, id, &format!("r{}", n % WRITES)).await, "text");
    }
    assert_eq!(pending(&stack).await, logged + ids.len() as u64);
    assert_eq!(state(&stack, "replica-1").await, "down");
    assert_bounded(&stack, "the node away");
    stack.balancer.stop().await;
    let read = rows_read(&client).await - before;
    println!("rows of the log read for all that: {read}");
    assert!(read < ROWS_READ, "{read} rows were read");
    assert_counts_rows(&stack, &client, logged).await;

    drain(&mut stack, &client, &ids).await;
}
