//! Does any statement read more of a long log than it is asked for? What statements have looked at is taken from
//! the server's own statistics, so it is the plans that are judged, and not how quick the machine is.

use chroma_ha_core::operator::{DeadLetter, LetterPage, WritePage};

use super::*;

/// Rows of the log; two fifths are completed.
const ROWS: u64 = 100_000;
const DONE: u64 = 40_000;
/// Of a collection that was written to in the beginning only.
const EARLY: u64 = 150;
/// Entries of a page.
const PAGE: usize = 100;
/// What one task may look at besides what it was asked for: the ends of indexes, rows that are checked again.
const BESIDES: i64 = 1_000;

async fn fill(base: &Base) {
    let rows = format!(
        "INSERT INTO wal_pending_writes (seq, write_id, op, target, stream, method, path, data, status) \
            SELECT n, 'write-' || n, 'add', t.id, t.id, 'POST', '/', repeat('x', 200)::bytea, \
                CASE WHEN n <= {DONE} THEN 'completed' ELSE 'pending' END \
            FROM generate_series(1, {ROWS}) n CROSS JOIN LATERAL \
                (SELECT lpad(to_hex(CASE WHEN n <= {EARLY} THEN 99 ELSE n % 20 + 1 END), 32, '0')::uuid AS id) t ORDER BY n; \
        INSERT INTO wal_conversions (seq, node, ids) SELECT n, 'replica-1', '[]' FROM generate_series(1, 500) n; \
        INSERT INTO wal_outcomes (key, digest, seq, write_id) \
            SELECT sha256(n::text::bytea), '', n, 'write-' || n FROM generate_series(1, 500) n; \
        UPDATE wal_head SET head = {ROWS}; \
        INSERT INTO wal_cursors (node, applied_seq, joined) VALUES ('primary', {ROWS}, true), ('replica-1', {DONE}, true)"
    );
    base.sql.batch_execute(&rows).await.unwrap();
}

/// Rows of the log that were looked at so far. Sessions say it at their end.
async fn looked_at(base: &Base) -> i64 {
    let open = "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
        AND backend_type = 'client backend' AND datname = current_database()";
    let begun = Instant::now();
    while base.number(open).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "sessions stay open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    base.number(
        "SELECT (t.seq_tup_read + sum(i.idx_tup_read))::bigint FROM pg_stat_user_tables t \
        JOIN pg_stat_user_indexes i USING (relid) WHERE t.relname = 'wal_pending_writes' GROUP BY t.seq_tup_read",
    )
    .await
}

/// What a store with the lease looks at for `task`, and to take the lease.
async fn cost(base: &Base, task: impl AsyncFnOnce(&PgLog)) -> i64 {
    let before = looked_at(base).await;
    let (log, _) = base.holder().await;
    task(&log).await;
    drop(log);
    looked_at(base).await - before
}

async fn assert_no_task_walks(base: &Base, when: &str, done: u64) {
    let page = |stream| Page {
        stream,
        from: Seq(50_000),
        through: Seq(ROWS),
        max_entries: PAGE,
        max_bytes: 1 << 20,
    };
    let full = async |log: &PgLog, stream| {
        let pages = log.page(page(stream)).await.unwrap();
        assert_eq!(pages.entries.len(), PAGE);
    };
    let head = Seq(u64::try_from(base.number("SELECT head FROM wal_head").await).unwrap());
    let changes = |at: u64| {
        let letter = DeadLetter {
            node: "replica-1".to_owned(),
            seq: Seq(at + 3),
            write_id: format!("write-{}", at + 3),
            collection: None,
            op: Op::Add,
            reason: "refused".to_owned(),
            attempts: 3,
        };
        vec![
            Change::Effect { seq: Seq(at), effect: Effect::Ids { ids: vec!["a".to_owned()] } },
            Change::Rejected { seq: Seq(at + 1), reason: "bad".to_owned() },
            Change::Attempts { seq: Seq(at + 2), retries: 1, error: "timeout".to_owned() },
            Change::DeadLetter { letter },
            Change::Accepted { seq: Seq(at + 4) },
            Change::Cursor { node: "replica-1".to_owned(), seq: Seq(at) },
        ]
    };
    let letters = LetterPage { state: None, before: None, only: None, limit: 100 };
    let costs = [
        ("taking the lease", cost(base, async |_| {}).await),
        ("a page of all", cost(base, async |log| full(log, None).await).await),
        (
            "a page of a stream",
            cost(base, async |log| full(log, Some(Stream::Collection(collection(7)))).await).await,
        ),
        (
            "an append",
            cost(base, async |log| log.append(vec![add(head.next().0, 1, 9)]).await.unwrap()).await,
        ),
        ("facts", cost(base, async |log| log.record(changes(done + 200)).await.unwrap()).await),
        (
            "a completion",
            cost(base, async |log| {
                log.record(vec![Change::Completed { through: Seq(done + PAGE as u64) }]).await.unwrap();
            })
            .await,
        ),
        (
            "nothing to complete",
            cost(base, async |log| log.record(vec![Change::Completed { through: Seq(done) }]).await.unwrap())
                .await,
        ),
        (
            "nothing to expire",
            cost(base, async |log| assert_eq!(log.expire(7, Seq(done), 1_000).await.unwrap(), 0)).await,
        ),
        (
            "finding a write",
            cost(base, async |log| assert!(log.find("write-77".to_owned()).await.unwrap().is_some())).await,
        ),
        (
            "fates",
            cost(base, async |log| assert_eq!(log.fates(vec![Seq(9), Seq(90_000)]).await.unwrap().len(), 2))
                .await,
        ),
        ("letters", cost(base, async |log| assert_eq!(log.letters(letters).await.unwrap().len(), 1)).await),
    ];
    println!("{when}: {costs:?}");
    for (task, rows) in costs {
        assert!(rows < BESIDES + 5 * PAGE as i64, "{when}, {task}: {rows} rows of {ROWS} were looked at");
    }
}

/// What operators list. The server must know how many writes have which state, as it does a minute after a change.
async fn assert_no_list_walks(base: &Base) {
    let early = Some(Stream::Collection(collection(99)));
    let lists = [
        ("all", None, true),
        ("unfinished", None, true),
        ("rejected", None, false),
        ("all", early, true),
        ("unfinished", early, false),
        ("rejected", early, false),
    ];
    for (word, stream, full) in lists {
        let states = WritePage::states(word).unwrap();
        let page = WritePage { states, stream, before: None, limit: PAGE as u32 };
        let rows =
            cost(base, async |log| assert_eq!(log.writes(page).await.unwrap().len() == PAGE, full, "{word}"))
                .await;
        println!("{word} writes of {stream:?}: {rows} rows");
        assert!(
            rows < BESIDES + 5 * PAGE as i64,
            "{word} of {stream:?}: {rows} rows of {ROWS} were looked at"
        );
    }
}

#[tokio::test]
async fn no_task_looks_at_more_of_a_long_log_than_it_is_about() {
    let base = Base::new().await;
    fill(&base).await;
    // Whether the server knows the table's shape yet, or not.
    assert_no_task_walks(&base, "without statistics", DONE).await;
    base.sql.batch_execute("ANALYZE").await.unwrap();
    assert_no_list_walks(&base).await;
    base.sql.batch_execute("DELETE FROM dead_letters").await.unwrap();
    assert_no_task_walks(&base, "with statistics", DONE + PAGE as u64).await;
    // Age alone makes rows go, some at a time.
    let age =
        format!("UPDATE wal_pending_writes SET updated_at = now() - interval '8 days' WHERE seq <= {DONE}");
    // In a session of its own: what an open one has looked at is told up to a second later.
    connect(&base.server.url(&base.name)).await.batch_execute(&age).await.unwrap();
    base.sql.batch_execute("ANALYZE").await.unwrap();
    let expired =
        cost(&base, async |log| assert_eq!(log.expire(7, Seq(DONE), 1_000).await.unwrap(), 1_000)).await;
    assert!(expired < 6_000, "{expired} rows were looked at to remove 1,000");
}

#[tokio::test]
async fn a_walk_over_the_log_would_be_seen() {
    let base = Base::new().await;
    fill(&base).await;
    let before = looked_at(&base).await;
    let walk = connect(&base.server.url(&base.name)).await;
    walk.query_one("SELECT count(retry_count) FROM wal_pending_writes", &[]).await.unwrap();
    drop(walk);
    let begun = Instant::now();
    while looked_at(&base).await - before < i64::try_from(ROWS).unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the statistics do not tell");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
