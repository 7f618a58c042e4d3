//! Does `PgLog` keep what the port promises, on a real PostgreSQL server? It refuses to look into the
//! implementation: what is not in the trait is read from the tables, as an operator would.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test, in helpers too")]

#[path = "log_store/holes.rs"]
mod holes;
#[path = "log_store/operator.rs"]
mod operator;
#[path = "log_store/outcomes.rs"]
mod outcomes;
#[path = "log_store/server.rs"]
mod server;
#[path = "log_store/tls.rs"]
mod tls;

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

    /// A log that holds the lease.
    async fn holder(&self) -> (PgLog, Recovered) {
        let log = self.log();
        let recovered = log.acquire().await.unwrap().unwrap();
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

#[tokio::test]
async fn a_fresh_log_holds_the_defaults_and_starts_at_zero() {
    let base = Base::new().await;
    let (log, recovered) = base.holder().await;
    assert_eq!((recovered.head, recovered.epoch), (Seq::ZERO, 1));
    assert_eq!(recovered.tenants, ["default_tenant"]);
    let default = (Uuid::nil(), "default_tenant".to_owned(), "default_database".to_owned());
    assert_eq!(recovered.databases, [default]);
    assert!(recovered.collections.is_empty() && recovered.deleted.is_empty() && recovered.nodes.is_empty());
    log.check().await.unwrap();
    assert_eq!(seqs(&log, all(1, 100)).await, (vec![], 0));
}

#[tokio::test]
async fn two_migrations_at_once_are_one() {
    let server = server::shared();
    let admin = connect(&server.url("postgres")).await;
    admin.batch_execute("CREATE DATABASE twice").await.unwrap();
    let settings = Settings::parse(&server.url("twice")).unwrap();
    let (a, b) = tokio::join!(postgres::migrate(&settings), postgres::migrate(&settings));
    let (a, b) = (a.unwrap(), b.unwrap());
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let version = |file: std::io::Result<std::fs::DirEntry>| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name.strip_prefix('V')?.split_once("__")?.0.parse::<i32>().ok()
    };
    let versions: Vec<i32> = files.filter_map(version).collect();
    assert_eq!(a.applied.len() + b.applied.len(), versions.len(), "{a:?} {b:?}");
    let latest = versions.into_iter().max().unwrap();
    assert_eq!((a.version, b.version), (latest, latest));
    assert_eq!(postgres::check(&settings).await.unwrap().schema_version, Some(latest));

    admin.batch_execute("CREATE DATABASE foreign_table").await.unwrap();
    let foreign = connect(&server.url("foreign_table")).await;
    foreign.batch_execute("CREATE TABLE wal_pending_writes (id uuid)").await.unwrap();
    let settings = Settings::parse(&server.url("foreign_table")).unwrap();
    let error = postgres::migrate(&settings).await.unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
}

#[tokio::test]
async fn what_is_appended_is_read_back() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    let mut update = draft(3, Op::Update, Some(Uuid::from_u128(1)), vec![0, 255, 10]);
    update.headers = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
    let written = vec![
        create(1, 1),
        add(2, 1, 0),
        Arc::new(Entry::new(Seq(3), update, 1_700_000_000_999)),
        Arc::new(Entry::new(Seq(4), draft(4, Op::Reset, None, vec![]), 5)),
        add(5, 2, 100),
    ];
    log.append(written.clone()).await.unwrap();
    let strange = Effect::Ids { ids: vec!["a\0b".to_owned(), "\u{1f600}".to_owned()] };
    let again = Change::Effect { seq: Seq(3), effect: Effect::Ids { ids: vec![] } };
    let plain = Change::CatalogAccepted { seq: Seq(4), effect: Effect::Plain, moves: vec![] };
    log.record(vec![Change::Effect { seq: Seq(3), effect: strange.clone() }, plain]).await.unwrap();
    log.record(vec![again]).await.unwrap();

    let pages = log.page(all(1, 5)).await.unwrap();
    assert_eq!(pages.complete_through, Seq(5));
    for (read, wrote) in pages.entries.iter().zip(&written) {
        assert_eq!(format!("{:?}", read.draft), format!("{:?}", wrote.draft));
        assert_eq!((read.seq, read.logged_at_ms), (wrote.seq, wrote.logged_at_ms));
    }
    let decided: Vec<_> = pages.entries.iter().map(|entry| entry.decision()).collect();
    assert_eq!(decided, [None, None, None, Some(Decision::Accepted), None]);
    assert_eq!(pages.entries[2].effect(), Some(&strange));
    assert_eq!(pages.entries[3].effect(), Some(&Effect::Plain));

    let of = |stream| Page { stream: Some(stream), ..all(1, 5) };
    assert_eq!(seqs(&log, of(Stream::Catalog)).await, (vec![1, 4], 5));
    assert_eq!(seqs(&log, of(Stream::Collection(collection(1)))).await, (vec![2, 3], 5));
    assert_eq!(seqs(&log, of(Stream::Collection(collection(9)))).await, (vec![], 5));

    let row = log.find("write-3".to_owned()).await.unwrap().unwrap();
    assert_eq!((row.seq, row.op, row.status.as_str()), (Seq(3), Op::Update, "pending"));
    assert_eq!(row.timestamp, "2023-11-14T22:13:20.999Z");
    assert!(row.updated_at.ends_with('Z'));
    assert!(log.find("nothing".to_owned()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_append_is_all_or_nothing_and_leaves_no_gap() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=2)).await.unwrap();
    // The second has a write id that is taken.
    let taken = Entry::new(Seq(4), draft(1, Op::Add, Some(Uuid::from_u128(1)), vec![]), 0);
    let error = log.append(vec![add(3, 1, 1), Arc::new(taken)]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(text) if text.contains("idx_wal_write_id")), "{error}");
    assert!(matches!(log.append(vec![add(3, 1, 1), add(5, 1, 1)]).await, Err(StoreError::Refused(_))));
    assert_eq!(seqs(&log, all(1, 9)).await, (vec![1, 2], 2));
    // A refusal costs nothing: the position is still free.
    log.append(adds(3..=3)).await.unwrap();
    // Somebody else wrote meanwhile, or we lost count: never a gap, never a second entry.
    assert!(matches!(log.append(adds(9..=9)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(log.append(adds(4..=4)).await, Err(StoreError::LeaseLost(_))), "the lease is gone");
    assert_eq!(log.acquire().await.unwrap().unwrap().head, Seq(3));
}

#[tokio::test]
async fn a_record_is_all_or_nothing() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=1)).await.unwrap();
    let created = |n, name: &str| Move::CollectionCreated {
        id: collection(n),
        tenant: "t".to_owned(),
        database: "d".to_owned(),
        name: name.to_owned(),
    };
    let moves = vec![created(1, "same"), created(2, "same")];
    let error = log
        .record(vec![
            Change::Rejected { seq: Seq(1), reason: "no".to_owned() },
            Change::Cursor { node: node(), seq: Seq(1) },
            Change::CatalogAccepted { seq: Seq(1), effect: Effect::Plain, moves },
        ])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert_eq!(base.statuses().await, BTreeMap::from([("pending".to_owned(), 1)]));
    assert_eq!(base.number("SELECT count(*) FROM wal_cursors").await, 0);
    assert_eq!(base.number("SELECT count(*) FROM catalog_collections").await, 0);
    log.append(adds(2..=2)).await.unwrap();
}

#[tokio::test]
async fn one_holder_at_a_time_and_the_last_one_is_fenced() {
    let base = Base::new().await;
    let (first, recovered) = base.holder().await;
    first.append(adds(1..=3)).await.unwrap();
    let second = base.log_at("http://second");
    assert!(second.acquire().await.unwrap().is_none());
    assert!(matches!(second.append(adds(4..=4)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(second.record(vec![]).await, Err(StoreError::LeaseLost(_))));

    first.release(true).await.unwrap();
    let taken = second.acquire().await.unwrap().unwrap();
    assert!(taken.epoch > recovered.epoch);
    assert_eq!(taken.head, Seq(3));
    assert_eq!(first.holder().await.unwrap().as_deref(), Some("http://second"));
    let cursor = || vec![Change::Cursor { node: node(), seq: Seq(1) }];
    assert!(matches!(first.append(adds(4..=4)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(first.record(cursor()).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(first.check().await, Err(StoreError::LeaseLost(_))));
    assert!(first.acquire().await.unwrap().is_none());
    second.append(adds(4..=4)).await.unwrap();
    second.record(cursor()).await.unwrap();
}

#[tokio::test]
async fn a_lost_session_loses_the_lease() {
    let base = Base::new().await;
    let (first, _) = base.holder().await;
    base.cut_sessions().await;
    assert!(first.append(adds(1..=1)).await.is_err());
    let (second, _) = base.holder().await;
    assert!(matches!(first.append(adds(1..=1)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(first.record(vec![]).await, Err(StoreError::LeaseLost(_))));
    second.append(adds(1..=1)).await.unwrap();
}

#[tokio::test]
async fn a_stale_epoch_fences_even_a_living_session() {
    let base = Base::new().await;
    let changes = [
        Change::Cursor { node: node(), seq: Seq(9) },
        Change::Completed { through: Seq(9) },
        Change::NodeState { node: node(), from: "up".into(), to: "down".into(), reason: "test".into() },
    ];
    for change in changes {
        let (log, _) = base.holder().await;
        base.sql.batch_execute("UPDATE wal_lease SET epoch = epoch + 1").await.unwrap();
        let lost = log.record(vec![change]).await;
        assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
        assert!(matches!(log.append(adds(1..=1)).await, Err(StoreError::LeaseLost(_))));
    }
    let (log, _) = base.holder().await;
    base.sql.batch_execute("UPDATE wal_lease SET epoch = epoch + 1").await.unwrap();
    assert!(matches!(log.append(adds(1..=1)).await, Err(StoreError::LeaseLost(_))));
    assert!(base.statuses().await.is_empty());
    let (log, _) = base.holder().await;
    base.sql.batch_execute("UPDATE wal_lease SET epoch = epoch + 1").await.unwrap();
    assert!(matches!(log.check().await, Err(StoreError::LeaseLost(_))));
}

#[tokio::test]
async fn a_holder_that_stops_checking_is_replaced() {
    let base = Base::new().await;
    let (paused, _) = base.holder().await;
    let waiting = base.log();
    let started = Instant::now();
    while waiting.acquire().await.unwrap().is_none() {
        assert!(started.elapsed() < postgres::LEASE + Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(started.elapsed() > postgres::LEASE - Duration::from_secs(2));
    assert!(paused.append(adds(1..=1)).await.is_err());
    assert!(matches!(paused.record(vec![]).await, Err(StoreError::LeaseLost(_))));
    waiting.append(adds(1..=1)).await.unwrap();
}

#[tokio::test]
async fn a_holder_that_checks_is_left_alone() {
    let base = Base::new().await;
    let (holder, _) = base.holder().await;
    let waiting = base.log();
    let started = Instant::now();
    while started.elapsed() < postgres::LEASE + Duration::from_secs(2) {
        assert!(waiting.acquire().await.unwrap().is_none());
        holder.check().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Its session is gone at once; but it may not have noticed, and may think for the rest of its lease that
/// it is the holder.
#[tokio::test]
async fn a_lease_that_was_not_given_back_is_waited_out_by_another_balancer() {
    let base = Base::new().await;
    let lease = Duration::from_secs(2);
    let gone = base.log().leasing(lease);
    gone.acquire().await.unwrap().unwrap();
    gone.check().await.unwrap();
    let begun = Instant::now();
    drop(gone);
    let other = base.log_at("http://other").leasing(Duration::from_secs(60));
    let recovered = loop {
        if let Some(recovered) = other.acquire().await.unwrap() {
            break recovered;
        }
        assert!(begun.elapsed() < lease * 3);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(begun.elapsed() >= lease - Duration::from_millis(600), "{:?}", begun.elapsed());
    assert!(!recovered.quiet);
}

#[tokio::test]
async fn a_lease_that_was_given_back_or_was_held_in_this_place_is_free_at_once() {
    let base = Base::new().await;
    let (first, _) = base.holder().await;
    first.release(true).await.unwrap();
    let second = base.log_at("http://second");
    assert!(second.acquire().await.unwrap().unwrap().quiet);
    assert!(!second.acquire().await.unwrap().unwrap().quiet, "its own, but not given back");
    second.release(false).await.unwrap();
    assert!(!base.log().acquire().await.unwrap().unwrap().quiet);
    base.cut_sessions().await;
    assert!(base.log().acquire().await.unwrap().is_some(), "killed, and started in the same place");
}

#[tokio::test]
async fn balancers_know_of_each_other_and_of_the_holder() {
    let base = Base::new().await;
    let (a, b) = (base.log_at("http://a"), base.log_at("http://b"));
    let alone = a.company().await.unwrap();
    assert_eq!((alone.holder, alone.others.len()), (None, 0));
    let epoch = a.acquire().await.unwrap().unwrap().epoch;
    let seen = b.company().await.unwrap();
    assert_eq!(seen.holder, Some(Peer { address: "http://a".to_owned(), epoch }));
    assert_eq!(seen.others, ["http://a"]);
    let met = a.company().await.unwrap();
    assert_eq!(met.holder, None);
    assert_eq!(met.others, ["http://b"]);
    assert_eq!(met.key, seen.key);
    assert!(met.key.0.len() >= 64 && !format!("{met:?}").contains(&met.key.0));
    a.release(true).await.unwrap();
    assert_eq!(a.company().await.unwrap().others, ["http://b"]);
    let left = b.company().await.unwrap();
    assert_eq!((left.holder, left.others.len()), (None, 0), "who has left is nobody to wait for");
}

#[tokio::test]
async fn the_head_survives_the_loss_of_every_row() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=7)).await.unwrap();
    base.sql.batch_execute("DELETE FROM wal_pending_writes").await.unwrap();
    let recovered = log.acquire().await.unwrap().unwrap();
    assert_eq!(recovered.head, Seq(7));
    assert_eq!(seqs(&log, all(1, 7)).await, (vec![], 7));
    log.append(adds(8..=8)).await.unwrap();
    // A database restored from an older dump of the head, with a node that was further.
    base.sql.batch_execute("UPDATE wal_head SET head = 0").await.unwrap();
    assert_eq!(log.acquire().await.unwrap().unwrap().head, Seq(8));
    log.record(vec![Change::CatalogCursor { node: node(), seq: Seq(30) }]).await.unwrap();
    assert_eq!(log.acquire().await.unwrap().unwrap().head, Seq(30));
}

#[tokio::test]
async fn cursors_never_move_back() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    for (cursor, catalog) in [(5, 2), (3, 4), (4, 1)] {
        log.record(vec![
            Change::Cursor { node: node(), seq: Seq(cursor) },
            Change::Cursor { node: node(), seq: Seq(1) },
            Change::CatalogCursor { node: node(), seq: Seq(catalog) },
        ])
        .await
        .unwrap();
    }
    let mapped = Change::Mapped {
        node: "replica-1".to_owned(),
        collection: collection(1),
        node_collection: Some(Uuid::from_u128(11)),
    };
    log.record(vec![mapped]).await.unwrap();
    let nodes = log.acquire().await.unwrap().unwrap().nodes;
    let read: Vec<_> = nodes.iter().map(|n| (n.name.as_str(), n.cursor.0, n.catalog_cursor.0)).collect();
    assert_eq!(read, [("primary", 5, 4), ("replica-1", 0, 0)]);
    assert_eq!(nodes[1].mapped, [(collection(1), Uuid::from_u128(11))]);
}

/// The moves applied in memory.
#[derive(Default)]
struct Model {
    databases: BTreeMap<(String, String), Uuid>,
    collections: BTreeMap<CollectionId, (String, String, String)>,
    deleted: BTreeMap<CollectionId, Seq>,
}

impl Model {
    fn apply(&mut self, step: &Move) {
        match step.clone() {
            Move::TenantCreated { .. } => {}
            Move::DatabaseCreated { id, tenant, name } => {
                self.databases.insert((tenant, name), id);
            }
            Move::DatabaseDeleted { tenant, name, seq } => {
                self.delete(seq, |(t, d, _)| *t == tenant && *d == name);
                self.databases.remove(&(tenant, name));
            }
            Move::CollectionCreated { id, tenant, database, name } => {
                self.collections.insert(id, (tenant, database, name));
            }
            Move::CollectionRenamed { id, name } => self.collections.get_mut(&id).unwrap().2 = name,
            Move::CollectionDeleted { id, seq } => {
                self.collections.remove(&id);
                self.deleted.insert(id, seq);
            }
            Move::Reset { seq } => {
                self.delete(seq, |_| true);
                self.databases.clear();
                self.databases.insert(("default_tenant".into(), "default_database".into()), Uuid::nil());
            }
        }
    }

    fn delete(&mut self, seq: Seq, which: impl Fn(&(String, String, String)) -> bool) {
        for (id, _) in self.collections.extract_if(.., |_, names| which(names)) {
            self.deleted.insert(id, seq);
        }
    }
}

#[tokio::test]
async fn the_catalog_reloads_as_it_was_in_memory() {
    let base = Base::new().await;
    let (log, recovered) = base.holder().await;
    let mut model = Model::default();
    for (id, tenant, name) in recovered.databases {
        model.databases.insert((tenant, name), id);
    }
    let text = str::to_owned;
    let created = |n, database: &str, name: &str| Move::CollectionCreated {
        id: collection(n),
        tenant: text("t"),
        database: text(database),
        name: text(name),
    };
    let database =
        |n, name: &str| Move::DatabaseCreated { id: Uuid::from_u128(n), tenant: text("t"), name: text(name) };
    let dropped = |n, seq| Move::CollectionDeleted { id: collection(n), seq: Seq(seq) };
    let steps = [
        vec![Move::TenantCreated { name: text("t") }, database(100, "d"), database(101, "e")],
        vec![created(1, "d", "a")],
        vec![created(2, "d", "b"), created(3, "e", "a")],
        vec![Move::CollectionRenamed { id: collection(1), name: text("c") }],
        // The freed name is taken, and freed and taken again.
        vec![created(4, "d", "a")],
        vec![dropped(4, 6)],
        vec![created(5, "d", "a")],
        vec![dropped(5, 8), created(6, "d", "a")],
        vec![Move::DatabaseDeleted { tenant: text("t"), name: text("d"), seq: Seq(9) }],
        vec![database(102, "d"), created(7, "d", "a")],
        vec![Move::Reset { seq: Seq(11) }],
        vec![created(8, "d", "a")],
    ];
    let entries = (1..=steps.len() as u64).map(|seq| create(seq, u128::from(seq))).collect();
    log.append(entries).await.unwrap();
    for (n, moves) in steps.iter().enumerate() {
        moves.iter().for_each(|step| model.apply(step));
        let accepted =
            Change::CatalogAccepted { seq: Seq(n as u64 + 1), effect: Effect::Plain, moves: moves.clone() };
        // Twice, as after an unknown outcome.
        log.record(vec![accepted.clone()]).await.unwrap();
        log.record(vec![accepted]).await.unwrap();
        let read = log.acquire().await.unwrap().unwrap();
        let databases = read.databases.into_iter().map(|(id, tenant, name)| ((tenant, name), id));
        assert_eq!(databases.collect::<BTreeMap<_, _>>(), model.databases, "after {n}");
        let collections = read.collections.into_iter().map(|(id, t, d, name)| (id, (t, d, name)));
        assert_eq!(collections.collect::<BTreeMap<_, _>>(), model.collections, "after {n}");
        assert_eq!(read.deleted.into_iter().collect::<BTreeMap<_, _>>(), model.deleted, "after {n}");
    }
    forgets(&log).await;
}

/// A deleted collection is remembered while a node is behind its deletion; what a node held of it, until it
/// has passed the deletion.
async fn forgets(log: &PgLog) {
    let mapped = |n: u128| Change::Mapped {
        node: node(),
        collection: collection(n),
        node_collection: Some(Uuid::from_u128(100 + n)),
    };
    log.record(vec![
        Change::Cursor { node: node(), seq: Seq(20) },
        Change::CatalogCursor { node: node(), seq: Seq(9) },
        mapped(1),
        mapped(3),
    ])
    .await
    .unwrap();
    let remembered = async || {
        let read = log.acquire().await.unwrap().unwrap();
        let deleted: Vec<_> = read.deleted.iter().map(|(id, seq)| (id.0.as_u128(), seq.0)).collect();
        let mapped = read.nodes.iter().flat_map(|node| &node.mapped).map(|(id, _)| id.0.as_u128());
        (deleted, mapped.collect::<Vec<_>>())
    };
    assert_eq!(remembered().await, (vec![(1, 9), (3, 11), (7, 11)], vec![1, 3]));
    log.expire(7, Seq(20), 100).await.unwrap();
    assert_eq!(remembered().await, (vec![(3, 11), (7, 11)], vec![3]));
}

#[tokio::test]
async fn the_operators_statements_work_as_typed() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=6)).await.unwrap();
    log.record(vec![
        Change::Rejected { seq: Seq(2), reason: "bad\0dimension".to_owned() },
        Change::Attempts { seq: Seq(5), retries: 3, error: "timeout".to_owned() },
        Change::Completed { through: Seq(4) },
    ])
    .await
    .unwrap();
    let statuses = [("completed".to_owned(), 3), ("pending".to_owned(), 2), ("rejected".to_owned(), 1)];
    assert_eq!(base.statuses().await, BTreeMap::from(statuses));
    let rejected = log.find("write-2".to_owned()).await.unwrap().unwrap();
    assert_eq!(rejected.error_message.as_deref(), Some("bad\u{fffd}dimension"));
    let pending = "SELECT write_id, method, path, timestamp, retry_count FROM wal_pending_writes \
        WHERE status='pending' ORDER BY timestamp;";
    let rows = base.sql.query(pending, &[]).await.unwrap();
    let mut read: Vec<(String, i32)> = rows.iter().map(|row| (row.get(0), row.get(4))).collect();
    read.sort();
    assert_eq!(read, [("write-5".to_owned(), 3), ("write-6".to_owned(), 0)]);

    base.sql
        .batch_execute("UPDATE wal_pending_writes SET updated_at = now() - interval '8 days'")
        .await
        .unwrap();
    let delete = "DELETE FROM wal_pending_writes WHERE status IN ('completed','failed') \
        AND updated_at < NOW() - INTERVAL '7 days';";
    assert_eq!(base.sql.execute(delete, &[]).await.unwrap(), 3);
    // Late changes about rows that are gone, and pages across them.
    let effect = Effect::Ids { ids: vec!["x".to_owned()] };
    log.record(vec![
        Change::Effect { seq: Seq(1), effect },
        Change::Attempts { seq: Seq(3), retries: 1, error: String::new() },
        Change::Rejected { seq: Seq(4), reason: String::new() },
        Change::Completed { through: Seq(4) },
    ])
    .await
    .unwrap();
    assert_eq!(seqs(&log, all(1, 6)).await, (vec![5, 6], 6));
    log.append(adds(7..=7)).await.unwrap();
}

#[tokio::test]
async fn a_rejection_does_not_undo_what_was_accepted() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(vec![create(1, 1), add(2, 1, 1), add(3, 1, 1)]).await.unwrap();
    let accepted = Change::CatalogAccepted { seq: Seq(1), effect: Effect::Plain, moves: vec![] };
    log.record(vec![accepted, Change::Completed { through: Seq(2) }]).await.unwrap();
    log.record((1..=3).map(|n| Change::Rejected { seq: Seq(n), reason: "late".to_owned() }).collect())
        .await
        .unwrap();
    let pages = log.page(all(1, 3)).await.unwrap();
    let read: Vec<_> = pages.entries.iter().map(|entry| (entry.seq.0, entry.decision())).collect();
    assert_eq!(read, [(1, Some(Decision::Accepted)), (2, Some(Decision::Accepted))]);
}

#[tokio::test]
async fn a_large_backlog_completes_in_batches() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    for first in (1..=12_000).step_by(4_000) {
        log.append(adds(first..=first + 3_999)).await.unwrap();
    }
    log.record(vec![Change::Completed { through: Seq(11_999) }]).await.unwrap();
    let statuses = [("completed".to_owned(), 11_999), ("pending".to_owned(), 1)];
    assert_eq!(base.statuses().await, BTreeMap::from(statuses));
}

#[tokio::test]
async fn only_old_finished_entries_expire_up_to_the_bound() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=10)).await.unwrap();
    log.record(vec![Change::Rejected { seq: Seq(2), reason: String::new() }]).await.unwrap();
    log.record(vec![Change::Completed { through: Seq(8) }]).await.unwrap();
    base.sql.batch_execute("UPDATE wal_pending_writes SET status = 'failed' WHERE seq = 3").await.unwrap();
    assert_eq!(log.expire(7, Seq(10), 100).await.unwrap(), 0, "nothing is old");
    let age = "UPDATE wal_pending_writes SET updated_at = now() - interval '8 days' WHERE seq <> 4";
    base.sql.batch_execute(age).await.unwrap();
    assert_eq!(log.expire(9, Seq(10), 100).await.unwrap(), 0, "not that old");
    assert_eq!(log.expire(7, Seq(6), 2).await.unwrap(), 2, "at most the limit");
    assert_eq!(log.expire(7, Seq(6), 100).await.unwrap(), 3, "never above the bound");
    assert_eq!(seqs(&log, all(1, 10)).await, (vec![4, 7, 8, 9, 10], 10));
    assert_eq!(log.expire(0, Seq(10), 100).await.unwrap(), 3, "pending ones stay");
    assert_eq!(seqs(&log, all(1, 10)).await, (vec![9, 10], 10));
}

#[tokio::test]
async fn pages_keep_to_both_bounds() {
    let base = Base::new().await;
    let (log, _) = base.holder().await;
    let sizes = [10, 50_000, 10, 10, 10, 50_000, 10];
    let entries = sizes.iter().zip(1..).map(|(bytes, seq)| add(seq, u128::from(seq % 2), *bytes)).collect();
    log.append(entries).await.unwrap();
    log.record(vec![Change::Rejected { seq: Seq(4), reason: String::new() }]).await.unwrap();
    let page = |from, max_entries, max_bytes| Page { max_entries, max_bytes, ..all(from, 7) };
    assert_eq!(seqs(&log, page(1, 100, 1 << 20)).await, (vec![1, 2, 3, 5, 6, 7], 7));
    assert_eq!(seqs(&log, page(1, 2, 1 << 20)).await, (vec![1, 2], 2));
    // The rejected fourth does not count as missing.
    assert_eq!(seqs(&log, page(1, 3, 1 << 20)).await, (vec![1, 2, 3], 4));
    assert_eq!(seqs(&log, page(1, 6, 1 << 20)).await, (vec![1, 2, 3, 5, 6, 7], 7));
    assert_eq!(seqs(&log, page(1, 100, 100)).await, (vec![1], 1));
    assert_eq!(seqs(&log, page(2, 100, 100)).await, (vec![2], 2), "always one");
    assert_eq!(seqs(&log, page(3, 100, 100)).await, (vec![3, 5], 5));
    assert_eq!(seqs(&log, page(3, 100, 20)).await, (vec![3, 5], 5), "exactly full");
    assert_eq!(seqs(&log, page(3, 0, 0)).await, (vec![3], 4));
    let odd = Page { stream: Some(Stream::Collection(collection(1))), ..page(1, 2, 1 << 20) };
    assert_eq!(seqs(&log, odd).await, (vec![1, 3], 4));
    assert_eq!(seqs(&log, all(6, 1_000)).await, (vec![6, 7], 7), "not beyond the head");
    assert_eq!(seqs(&log, all(5, 5)).await, (vec![5], 5));
}

#[tokio::test]
async fn a_restarted_server_is_used_again() {
    let base = Base::on(Arc::new(Server::start(&[]))).await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=3)).await.unwrap();
    log.record(vec![Change::Completed { through: Seq(1) }]).await.unwrap();
    base.server.down();
    for result in [
        log.append(adds(4..=4)).await,
        log.append(adds(4..=4)).await,
        log.record(vec![Change::Completed { through: Seq(2) }]).await,
        log.check().await,
        log.acquire().await.map(drop),
        log.page(all(1, 3)).await.map(drop),
    ] {
        let error = result.unwrap_err();
        println!("while away: {error}");
        assert!(matches!(error, StoreError::Unavailable(_) | StoreError::LeaseLost(_)), "{error}");
    }
    let asked = Instant::now();
    let error = base.log().page(all(1, 3)).await.unwrap_err();
    assert!(error.to_string().contains("refused") && asked.elapsed() < Duration::from_secs(3), "{error}");
    base.server.up();
    let recovered = log.acquire().await.unwrap().unwrap();
    assert_eq!((recovered.head, recovered.epoch), (Seq(3), 2));
    log.append(adds(4..=4)).await.unwrap();
    log.record(vec![Change::Completed { through: Seq(4) }]).await.unwrap();
    assert_eq!(seqs(&log, all(1, 9)).await, (vec![1, 2, 3, 4], 4));
}

#[tokio::test]
async fn a_hung_append_is_an_outage_with_an_outcome_that_is_found_out() {
    let base = Base::on(Arc::new(Server::start(&["fsync=off"]))).await;
    let (log, _) = base.holder().await;
    log.append(adds(1..=3)).await.unwrap();
    let holder = "SELECT pid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let pid = nix::unistd::Pid::from_raw(i32::try_from(base.number(holder).await).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let asked = Instant::now();
    let error = log.append(adds(4..=4)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)) && asked.elapsed() < Duration::from_secs(12));
    assert!(log.acquire().await.unwrap().is_none(), "it may still commit");
    assert_eq!(seqs(&log, all(1, 3)).await.0, [1, 2, 3], "reads go on");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    let recovered = loop {
        match log.acquire().await.unwrap() {
            Some(recovered) => break recovered,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    println!("head after the hung append of 4: {}", recovered.head);
    assert_eq!(seqs(&log, all(1, 9)).await.1, recovered.head.0);
    log.append(adds(recovered.head.0 + 1..=6)).await.unwrap();
    assert_eq!(seqs(&log, all(1, 9)).await.0, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn two_logs_fit_in_twenty_connections() {
    let base = Base::on(Arc::new(Server::start(&["fsync=off", "max_connections=20"]))).await;
    let (a, _) = base.holder().await;
    let b = base.log();
    assert!(b.acquire().await.unwrap().is_none());
    a.append(adds(1..=50)).await.unwrap();
    let busy = (0..40).map(async |n| {
        let log = if n % 2 == 0 { &a } else { &b };
        log.page(all(1, 50)).await.unwrap();
        log.find("write-1".to_owned()).await.unwrap();
    });
    futures_util::future::join_all(busy).await;
    let used = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chroma-ha'";
    let used = base.number(used).await;
    println!("connections of two logs: {used}");
    assert!(used <= 6, "{used}");
    let facts = postgres::check(&base.settings()).await.unwrap();
    assert_eq!((facts.max_connections, facts.ssl, facts.read_only), (20, false, false));
}

/// Prints figures; judges none.
#[tokio::test]
async fn how_fast_is_a_group() {
    let base = Base::on(Arc::new(Server::start(&[]))).await;
    let (log, _) = base.holder().await;
    let mut next = 1;
    for group in [1_u64, 32, 200] {
        let started = Instant::now();
        let mut groups = 0;
        while started.elapsed() < Duration::from_secs(1) {
            log.append((next..next + group).map(|seq| add(seq, 1, 4_000)).collect()).await.unwrap();
            next += group;
            groups += 1;
        }
        let seconds = started.elapsed().as_secs_f64();
        let (commits, rows) = (f64::from(groups) / seconds, f64::from(groups) * group as f64 / seconds);
        println!("groups of {group}: {commits:.0} commits/s, {rows:.0} entries/s");
    }
    let started = Instant::now();
    for seq in 1..=200 {
        let effect = Effect::Ids { ids: vec!["x".to_owned()] };
        log.record(vec![Change::Effect { seq: Seq(seq), effect }]).await.unwrap();
    }
    println!("one effect: {:.2} ms", started.elapsed().as_secs_f64() * 5.0);
    let started = Instant::now();
    log.record(vec![Change::Completed { through: Seq(next) }]).await.unwrap();
    println!("{} entries completed in {:.1} s", next - 1, started.elapsed().as_secs_f64());
}
