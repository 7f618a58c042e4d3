//! How are the outcomes of writes with a key kept, found and forgotten? It refuses to know the key: it
//! gets a hash. The claim itself is inserted with the entry, in `entries`.

use bytes::Bytes;
use chroma_ha_core::answer::Answer;
use chroma_ha_core::idempotency::{Claimed, Fate, kept};
use chroma_ha_core::ids::Seq;
use chroma_ha_core::port::StoreError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};

use super::entries::{OLDEST_FIRST, headers_to_json, storable, stream_of};
use super::pool::{fault, run};
use super::reads::headers_from_json;
use super::{lease, number, seq_of};

/// What is known of an outcome: the kept answer, and what the entry itself tells.
const FATE: &str = "o.status, o.headers, o.body, w.status AS log_status, w.accepted, w.error_message";

/// The first answer stays.
pub(super) async fn keep(tx: &Transaction<'_>, seq: Seq, answer: &Answer) -> Result<(), StoreError> {
    let answer = kept(answer);
    let headers: Vec<(String, String)> =
        answer.headers.iter().map(|(name, value)| (storable(name), storable(value))).collect();
    let sql = "UPDATE wal_outcomes SET status = $2, headers = $3, body = $4, answered_at = now() \
        WHERE seq = $1 AND status IS NULL";
    let row: [(&(dyn ToSql + Sync), Type); 4] = [
        (&number(seq), Type::INT8),
        (&i32::from(answer.status), Type::INT4),
        (&headers_to_json(&headers), Type::JSONB),
        (&answer.body.as_ref(), Type::BYTEA),
    ];
    run(tx, sql, &row).await
}

pub(super) async fn recall(client: &Client, key: [u8; 32]) -> Result<Option<Claimed>, StoreError> {
    let sql = format!(
        "SELECT o.digest, o.write_id, o.seq, w.stream, {FATE} \
        FROM wal_outcomes o LEFT JOIN wal_pending_writes w USING (seq) WHERE o.key = $1"
    );
    let row = client.query_typed_opt(&sql, &[(&key.as_slice(), Type::BYTEA)]).await.map_err(fault)?;
    let Some(row) = row else { return Ok(None) };
    let seq = seq_of(row.get("seq"));
    let digest = row.get::<_, &[u8]>("digest").try_into();
    Ok(Some(Claimed {
        digest: digest
            .map_err(|_| StoreError::Refused(format!("the claim on {seq} has a strange digest")))?,
        write_id: row.get("write_id"),
        seq,
        stream: stream_of(row.get("stream")),
        fate: fate(&row),
    }))
}

pub(super) async fn fates(client: &Client, seqs: &[Seq]) -> Result<Vec<(Seq, Fate)>, StoreError> {
    let sql = format!(
        "SELECT w.seq, {FATE} FROM wal_pending_writes w LEFT JOIN wal_outcomes o USING (seq) \
        WHERE w.seq = ANY ($1)"
    );
    let seqs: Vec<i64> = seqs.iter().map(|seq| number(*seq)).collect();
    let rows = client.query_typed(&sql, &[(&seqs, Type::INT8_ARRAY)]).await.map_err(fault)?;
    Ok(rows.iter().map(|row| (seq_of(row.get("seq")), fate(row))).collect())
}

fn fate(row: &Row) -> Fate {
    if let Some(status) = row.get::<_, Option<i32>>("status") {
        let body = row.get::<_, Option<Vec<u8>>>("body").map(Bytes::from).unwrap_or_default();
        let status = u16::try_from(status).unwrap_or(500);
        return Fate::Kept(Answer { status, headers: headers_from_json(row.get("headers")), body });
    }
    match row.get::<_, Option<&str>>("log_status") {
        Some("rejected") => Fate::Rejected(row.get::<_, Option<String>>("error_message").unwrap_or_default()),
        Some("pending") if row.get::<_, Option<bool>>("accepted") != Some(true) => Fate::Undecided,
        _ => Fate::Accepted,
    }
}

/// Forgets one batch of outcomes that are as old as the entries that leave; returns how many went.
pub(super) async fn expire(
    client: &mut Client,
    epoch: i64,
    days: u32,
    limit: u32,
) -> Result<u64, StoreError> {
    let tx = client.transaction().await.map_err(fault)?;
    lease::fence(&tx, epoch).await?;
    tx.batch_execute(OLDEST_FIRST).await.map_err(fault)?;
    let sql = "DELETE FROM wal_outcomes WHERE seq IN ( \
            SELECT o.seq FROM wal_outcomes o \
            WHERE coalesce(o.answered_at, o.claimed_at) < now() - make_interval(days => $1) \
                AND NOT EXISTS (SELECT FROM wal_pending_writes w WHERE w.seq = o.seq AND w.status = 'pending') \
            ORDER BY coalesce(o.answered_at, o.claimed_at) LIMIT $2)";
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&days, Type::INT4), (&i64::from(limit), Type::INT8)];
    let gone = tx.execute_typed(sql, &params).await.map_err(fault)?;
    tx.commit().await.map_err(fault)?;
    Ok(gone)
}
