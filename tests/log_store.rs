//! Does `PgLog` keep what the port promises, on a real PostgreSQL server? It refuses to look into the
//! implementation: what is not in the trait is read from the tables, as an operator would.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test, in helpers too")]

#[path = "log_store/archive.rs"]
mod archive;
#[path = "log_store/beginning.rs"]
mod beginning;
#[path = "log_store/entries.rs"]
mod entries;
#[path = "log_store/holes.rs"]
mod holes;
#[path = "log_store/lease.rs"]
mod lease;
#[path = "log_store/length.rs"]
mod length;
#[path = "log_store/operator.rs"]
mod operator;
#[path = "log_store/outage.rs"]
mod outage;
#[path = "log_store/outcomes.rs"]
mod outcomes;
#[path = "log_store/recovery.rs"]
mod recovery;
#[path = "log_store/retention.rs"]
mod retention;
#[path = "log_store/server.rs"]
mod server;
#[path = "log_store/tls.rs"]
mod tls;
#[path = "log_store/writer.rs"]
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chroma_ha::postgres::{self, PgLog, Settings};
use chroma_ha_core::catalog::Move;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::entry::{Decision, Draft, Entry, Op};
use chroma_ha_core::ids::{CollectionId, Seq, Stream};
use chroma_ha_core::lease::Peer;
use chroma_ha_core::port::{Change, LogStore, Page, Recovered, StoreError};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use server::Server;

/// A migrated database of one test's own.
struct Base {
    server: Arc<Server>,
    name: String,
    /// An operator's session.
    sql: Client,
}

impl Base {
    async fn new() -> Base {
        Base::on(server::shared()).await
    }

    async fn on(server: Arc<Server>) -> Base {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("log_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let admin = connect(&server.url("postgres")).await;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let sql = connect(&server.url(&name)).await;
        let base = Base { server, name, sql };
        postgres::migrate(&base.settings()).await.unwrap();
        base
    }

    fn settings(&self) -> Settings {
        Settings::parse(&self.server.url(&self.name)).unwrap()
    }

    fn log(&self) -> PgLog {
        // One place: what was there before is gone, so nobody waits for its lease to be over.
        self.log_at("http://here")
    }

    fn log_at(&self, address: &str) -> PgLog {
        PgLog::new(self.settings()).advertising(address.to_owned())
    }

    /// A log that holds the lease; an earlier holder's session ends a moment after its value.
    async fn holder(&self) -> (PgLog, Recovered) {
        let log = self.log();
        let recovered = taken(&log).await;
        (log, recovered)
    }

    async fn number(&self, sql: &str) -> i64 {
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn statuses(&self) -> BTreeMap<String, i64> {
        let sql = "SELECT status, COUNT(*) FROM wal_pending_writes GROUP BY status;";
        let rows = self.sql.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Kills the sessions of the log, as a failing network does; ours stays.
    async fn cut_sessions(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE application_name = 'chroma-ha' AND datname = current_database()";
        self.sql.query(sql, &[]).await.unwrap();
    }
}

async fn taken(log: &PgLog) -> Recovered {
    let begun = Instant::now();
    loop {
        if let Some(recovered) = log.acquire().await.unwrap() {
            return recovered;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the lease is not free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

fn collection(n: u128) -> CollectionId {
    CollectionId(Uuid::from_u128(n))
}

fn node() -> String {
    "primary".to_owned()
}

fn draft(seq: u64, op: Op, target: Option<Uuid>, body: Vec<u8>) -> Draft {
    Draft {
        write_id: format!("write-{seq}"),
        op,
        target,
        method: "POST".to_owned(),
        path: format!("/api/v2/x?n={seq}"),
        body: Bytes::from(body),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
    }
}

/// An `add` to collection `n`.
fn add(seq: u64, n: u128, bytes: usize) -> Arc<Entry> {
    let draft = draft(seq, Op::Add, Some(Uuid::from_u128(n)), vec![7; bytes]);
    Arc::new(Entry::new(Seq(seq), draft, 1_700_000_000_123))
}

fn create(seq: u64, n: u128) -> Arc<Entry> {
    let draft = draft(seq, Op::CreateCollection, Some(Uuid::from_u128(n)), Vec::new());
    Arc::new(Entry::new(Seq(seq), draft, 1_700_000_000_123))
}

fn adds(seqs: std::ops::RangeInclusive<u64>) -> Vec<Arc<Entry>> {
    seqs.map(|seq| add(seq, 1, 10)).collect()
}

fn all(from: u64, through: u64) -> Page {
    Page { stream: None, from: Seq(from), through: Seq(through), max_entries: 1_000, max_bytes: 1 << 20 }
}

async fn seqs(log: &PgLog, page: Page) -> (Vec<u64>, u64) {
    let pages = log.page(page).await.unwrap();
    (pages.entries.iter().map(|entry| entry.seq.0).collect(), pages.complete_through.0)
}
