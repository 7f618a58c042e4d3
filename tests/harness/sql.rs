//! The database of a stack, past the balancer: one connection, and a long log made in it. It reads nothing by
//! itself.

use tokio_postgres::Client;

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// A backlog of the first replica without the time that it takes to write it: rows as the balancer wrote them
/// during the same outage, again and again, under positions of their own. Says how many it took for a pattern.
pub(crate) async fn fill(client: &Client, many: u64) -> usize {
    const ROWS: &str =
        "op, target, stream, method, path, data, headers, retry_count, status, accepted, keyed";
    let template = format!(
        "SET synchronous_commit = off; \
        CREATE TEMP TABLE template AS SELECT row_number() OVER (ORDER BY seq) - 1 AS nth, {ROWS} \
            FROM wal_pending_writes WHERE status = 'pending'; \
        CREATE UNIQUE INDEX ON template (nth); ANALYZE template"
    );
    client.batch_execute(&template).await.expect("a template");
    let number = async |sql: &str| client.query_one(sql, &[]).await.expect("a number").get::<_, i64>(0);
    let (head, kinds) =
        (number("SELECT head FROM wal_head").await, number("SELECT count(*) FROM template").await);
    let insert = format!(
        "INSERT INTO wal_pending_writes (seq, write_id, timestamp, {ROWS}) \
            SELECT $1 + n, gen_random_uuid()::text, now(), {ROWS} \
            FROM generate_series($2::bigint, $3) n JOIN template ON nth = n % $4 ORDER BY n"
    );
    let indexes = "SELECT indexname::text, indexdef FROM pg_indexes \
        WHERE tablename = 'wal_pending_writes' AND indexname LIKE 'idx%'";
    // Made afterwards, they take a fraction of the time.
    let indexes = client.query(indexes, &[]).await.expect("the indexes");
    assert!(!indexes.is_empty());
    for index in &indexes {
        client.batch_execute(&format!("DROP INDEX {}", index.get::<_, &str>(0))).await.expect("an index");
    }
    let (many, piece) = (i64::try_from(many).expect("a number"), 200_000);
    for first in (1..=many).step_by(200_000) {
        let last = many.min(first + piece - 1);
        client.execute(&insert, &[&head, &first, &last, &kinds]).await.expect("rows");
    }
    client.batch_execute("SET maintenance_work_mem = '256MB'").await.expect("memory");
    for index in &indexes {
        client.batch_execute(index.get(1)).await.expect("an index");
    }
    let end = head + many;
    client.execute("UPDATE wal_head SET head = $1", &[&end]).await.expect("the head");
    let of_primary = "UPDATE wal_cursors SET applied_seq = $1 WHERE node = 'primary'";
    client.execute(of_primary, &[&end]).await.expect("the primary's cursor");
    // As autovacuum does by itself, some time after.
    client.batch_execute("ANALYZE wal_pending_writes").await.expect("statistics");
    usize::try_from(kinds).expect("a number")
}
