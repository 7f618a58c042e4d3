//! How are dead letters kept beside the entries that they are about? An entry's status says `failed`
//! once no other node needs it any more, so that whoever removes failed rows takes nothing from a node.
//! It refuses to decide when a letter opens or ends.

use chroma_ha_core::entry::Op;
use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::operator::{Closing, DeadLetter, LetterPage, LetterRow, LetterState, Letters};
use chroma_ha_core::port::StoreError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};
use uuid::Uuid;

use super::entries::{accept, storable};
use super::pool::{fault, run};
use super::{number, seq_of};

/// The letter, and that the entry was accepted: a record entry's acceptance is not stored otherwise.
pub(super) async fn open(tx: &Transaction<'_>, letter: &DeadLetter) -> Result<(), StoreError> {
    let sql = "INSERT INTO dead_letters (node, seq, write_id, collection, op, reason, attempts) \
        SELECT $1, $2, $3, $4, $5, $6, $7 WHERE $4 IS NULL \
            OR EXISTS (SELECT FROM catalog_collections WHERE id = $4 AND deleted_seq IS NULL) \
        ON CONFLICT (node, seq) DO UPDATE SET reason = excluded.reason, attempts = excluded.attempts, \
            at = now(), state = 'open', resolved_at = NULL, how = NULL";
    let (seq, reason) = (number(letter.seq), storable(&letter.reason));
    let attempts = i32::try_from(letter.attempts).unwrap_or(i32::MAX);
    let (collection, op) = (letter.collection.map(|id| id.0), letter.op.name());
    let row: [(&(dyn ToSql + Sync), Type); 7] = [
        (&letter.node, Type::TEXT),
        (&seq, Type::INT8),
        (&letter.write_id, Type::TEXT),
        (&collection, Type::UUID),
        (&op, Type::TEXT),
        (&reason, Type::TEXT),
        (&attempts, Type::INT4),
    ];
    run(tx, sql, &row).await?;
    accept(tx, letter.seq).await
}

/// The entries go the ordinary way again: pending, until every node has passed them.
pub(super) async fn close(
    tx: &Transaction<'_>,
    node: &str,
    letters: Letters,
    how: Closing,
) -> Result<(), StoreError> {
    let (seq, collection): (Option<i64>, Option<Uuid>) = match letters {
        Letters::Entry(seq) => (Some(number(seq)), None),
        Letters::Collection(id) => (None, Some(id.0)),
    };
    let sql = "UPDATE dead_letters SET state = $4, how = $5, resolved_at = now() \
        WHERE node = $1 AND state = 'open' AND (seq = $2 OR collection = $3) RETURNING seq";
    let (state, name) = (how.state().name(), how.name());
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&node, Type::TEXT),
        (&seq, Type::INT8),
        (&collection, Type::UUID),
        (&state, Type::TEXT),
        (&name, Type::TEXT),
    ];
    let closed = tx.query_typed(sql, &params).await.map_err(fault)?;
    reopen(tx, &closed).await
}

/// What was deleted is refused by nobody any more.
pub(super) async fn close_deleted(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE dead_letters d SET state = 'resolved', how = 'deleted', resolved_at = now() \
        WHERE state = 'open' AND collection IS NOT NULL AND NOT EXISTS ( \
            SELECT FROM catalog_collections c WHERE c.id = d.collection AND c.deleted_seq IS NULL) \
        RETURNING seq";
    let closed = tx.query_typed(sql, &[]).await.map_err(fault)?;
    reopen(tx, &closed).await
}

async fn reopen(tx: &Transaction<'_>, closed: &[Row]) -> Result<(), StoreError> {
    if closed.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = closed.iter().map(|row| row.get(0)).collect();
    let sql = "UPDATE wal_pending_writes w SET status = 'pending', updated_at = now() \
        WHERE w.seq = ANY ($1) AND w.status = 'failed' AND NOT EXISTS ( \
            SELECT FROM dead_letters d WHERE d.seq = w.seq AND d.state = 'open')";
    run(tx, sql, &[(&seqs, Type::INT8_ARRAY)]).await
}

/// Entries that only nodes with an open letter still lack are `failed`.
pub(super) async fn fail(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let open = "SELECT EXISTS (SELECT FROM dead_letters WHERE state = 'open')";
    let rows = tx.query_typed(open, &[]).await.map_err(fault)?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    // Locked: one that is being closed at this moment would reopen its entry before this fails it.
    let sql = "WITH open AS MATERIALIZED (SELECT * FROM dead_letters WHERE state = 'open' FOR SHARE) \
        UPDATE wal_pending_writes w SET status = 'failed', error_message = d.reason, \
            retry_count = greatest(w.retry_count, d.attempts), updated_at = now() \
        FROM open d WHERE w.seq = d.seq AND w.status = 'pending' \
            AND NOT EXISTS (SELECT FROM wal_cursors c WHERE c.joined \
                AND CASE WHEN w.stream IS NULL THEN c.catalog_seq ELSE c.applied_seq END < d.seq \
                AND NOT EXISTS (SELECT FROM dead_letters o \
                    WHERE o.seq = d.seq AND o.node = c.node AND o.state = 'open'))";
    run(tx, sql, &[]).await
}

/// Closed letters that are older than the retention.
pub(super) async fn expire(client: &Client, days: u32) -> Result<(), StoreError> {
    let sql = "DELETE FROM dead_letters d WHERE state <> 'open' \
        AND resolved_at < now() - make_interval(days => $1) \
        AND seq <= (SELECT least(applied_seq, catalog_seq) FROM wal_cursors c WHERE c.node = d.node)";
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    client.execute_typed(sql, &[(&days, Type::INT4)]).await.map(drop).map_err(fault)
}

/// What a node that holds the lease must know: open letters, and entries that a node passes over.
pub(super) struct Remembered {
    pub(super) node: String,
    pub(super) collection: Option<CollectionId>,
    pub(super) seq: Seq,
    pub(super) skipped: bool,
}

pub(super) async fn recover(tx: &Transaction<'_>) -> Result<Vec<Remembered>, StoreError> {
    let sql = "SELECT d.node, d.collection, d.seq, d.state <> 'open' AS skipped FROM dead_letters d \
        LEFT JOIN wal_cursors c ON c.node = d.node \
        WHERE d.state = 'open' OR (d.how = 'difference-accepted' \
            AND d.seq > coalesce(least(c.applied_seq, c.catalog_seq), 0)) ORDER BY d.seq, d.node";
    let rows = tx.query_typed(sql, &[]).await.map_err(fault)?;
    let remembered = |row: &Row| Remembered {
        node: row.get(0),
        collection: row.get::<_, Option<Uuid>>(1).map(CollectionId),
        seq: seq_of(row.get(2)),
        skipped: row.get(3),
    };
    Ok(rows.iter().map(remembered).collect())
}

pub(super) async fn page(client: &Client, page: &LetterPage) -> Result<Vec<LetterRow>, StoreError> {
    let sql = "SELECT d.node, d.seq, d.write_id, d.collection, d.op, d.reason, d.attempts, d.state, d.how, \
            to_char(d.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS at, \
            to_char(d.resolved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS resolved_at, \
            EXISTS (SELECT FROM wal_pending_writes w WHERE w.seq = d.seq) AS logged \
        FROM dead_letters d WHERE ($1 IS NULL OR d.state = $1) \
            AND ($2 IS NULL OR (d.seq, d.node) < ($2, $3)) AND ($4 IS NULL OR (d.seq = $4 AND d.node = $5)) \
        ORDER BY d.seq DESC, d.node DESC LIMIT $6";
    let split = |place: &Option<(String, Seq)>| -> (Option<String>, Option<i64>) {
        place.as_ref().map(|(node, seq)| (node.clone(), number(*seq))).unzip()
    };
    let ((before_node, before), (only_node, only)) = (split(&page.before), split(&page.only));
    let (state, limit) = (page.state.map(LetterState::name), i64::from(page.limit));
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&state, Type::TEXT),
        (&before, Type::INT8),
        (&before_node, Type::TEXT),
        (&only, Type::INT8),
        (&only_node, Type::TEXT),
        (&limit, Type::INT8),
    ];
    client.query_typed(sql, &params).await.map_err(fault)?.iter().map(row).collect()
}

fn row(row: &Row) -> Result<LetterRow, StoreError> {
    let (node, seq): (String, Seq) = (row.get("node"), seq_of(row.get("seq")));
    let id = DeadLetter::id(&node, seq);
    let op = Op::parse(row.get("op"))
        .ok_or_else(|| StoreError::Refused(format!("dead letter {id} has a strange op")))?;
    let letter = DeadLetter {
        node,
        seq,
        write_id: row.get("write_id"),
        collection: row.get::<_, Option<Uuid>>("collection").map(CollectionId),
        op,
        reason: row.get("reason"),
        attempts: u32::try_from(row.get::<_, i32>("attempts")).unwrap_or_default(),
    };
    Ok(LetterRow {
        id,
        letter,
        state: row.get("state"),
        at: row.get("at"),
        resolved_at: row.get("resolved_at"),
        how: row.get("how"),
        logged: row.get("logged"),
    })
}
