//! How are entries written, decided and removed in `wal_pending_writes`? It refuses to assign a
//! position: the caller does, and a gap or a second writer is noticed here. `reads` reads them back.

use std::sync::Arc;

use chroma_ha_core::effect::Effect;
use chroma_ha_core::entry::Entry;
use chroma_ha_core::ids::{CollectionId, Seq, Stream};
use chroma_ha_core::port::StoreError;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::lease::{self, Held};
use super::number;
use super::pool::{fault, run};
use super::{conversions, failovers};

/// The epoch and the position before the first entry must be what we think they are, else nothing is
/// inserted. One statement is one transaction and one flush.
pub(super) const APPEND: &str = "WITH fence AS ( \
        UPDATE wal_head SET head = $2 \
        WHERE head = $3 AND EXISTS (SELECT FROM wal_lease WHERE epoch = $1) RETURNING head) \
    INSERT INTO wal_pending_writes \
        (seq, write_id, op, target, stream, method, path, data, headers, timestamp, acknowledged) \
    SELECT e.seq, e.write_id, e.op, e.target, e.stream, e.method, e.path, e.data, e.headers, \
        to_timestamp(e.logged_at_ms / 1000.0), e.acknowledged \
    FROM fence CROSS JOIN unnest($4::bigint[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], \
        $9::text[], $10::text[], $11::bytea[], $12::jsonb[], $13::bigint[], $14::bool[]) \
        AS e (seq, write_id, op, target, stream, method, path, data, headers, logged_at_ms, acknowledged)";

/// The same for a group in which clients named writes with a key: the claims come and go with the entries.
/// A key that is taken makes the whole statement fail; whoever appends has looked it up before.
pub(super) const APPEND_CLAIMING: &str = "WITH fence AS ( \
        UPDATE wal_head SET head = $2 \
        WHERE head = $3 AND EXISTS (SELECT FROM wal_lease WHERE epoch = $1) RETURNING head), \
    claims AS (INSERT INTO wal_outcomes (seq, write_id, key, digest) \
        SELECT c.* FROM fence CROSS JOIN unnest($15::bigint[], $16::text[], $17::bytea[], $18::bytea[]) AS c) \
    INSERT INTO wal_pending_writes \
        (seq, write_id, op, target, stream, method, path, data, headers, timestamp, acknowledged, keyed) \
    SELECT e.seq, e.write_id, e.op, e.target, e.stream, e.method, e.path, e.data, e.headers, \
        to_timestamp(e.logged_at_ms / 1000.0), e.acknowledged, e.seq = ANY ($15) \
    FROM fence CROSS JOIN unnest($4::bigint[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], \
        $9::text[], $10::text[], $11::bytea[], $12::jsonb[], $13::bigint[], $14::bool[]) \
        AS e (seq, write_id, op, target, stream, method, path, data, headers, logged_at_ms, acknowledged)";

/// Rows that one statement completes or removes: a long transaction would hold back everybody else.
const COMPLETE_BATCH: i64 = 5_000;
const EXPIRE_BATCH: u32 = 2_000;

/// For a transaction that takes the oldest rows by an index: they are read in its order, up to the limit, and
/// not all of them sorted, which a server may find cheaper and which fails when there are millions.
pub(super) const OLDEST_FIRST: &str = "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off";

/// Longest error text kept, in characters.
const ERROR_CHARS: usize = 2_000;

pub(super) async fn append(held: &Held, entries: &[Arc<Entry>]) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(());
    };
    if entries.windows(2).any(|pair| pair[1].seq != pair[0].seq.next()) {
        return Err(StoreError::Refused(format!("positions {}..{} have gaps", first.seq, last.seq)));
    }
    let column = |text: fn(&Entry) -> &str| entries.iter().map(|e| text(e)).collect::<Vec<_>>();
    let seqs: Vec<i64> = entries.iter().map(|e| number(e.seq)).collect();
    let targets: Vec<Option<Uuid>> = entries.iter().map(|e| e.draft.target).collect();
    let streams: Vec<Option<Uuid>> = entries.iter().map(|e| stream_key(e.stream())).collect();
    let data: Vec<&[u8]> = entries.iter().map(|e| e.draft.body.as_ref()).collect();
    let headers: Vec<Value> = entries.iter().map(|e| headers_to_json(&e.draft.headers)).collect();
    let logged: Vec<i64> =
        entries.iter().map(|e| i64::try_from(e.logged_at_ms).unwrap_or(i64::MAX)).collect();
    let acknowledged: Vec<bool> = entries.iter().map(|e| e.is_acknowledged()).collect();
    let (through, before) = (number(last.seq), number(first.seq.prev()));
    let write_ids = column(|e| &e.draft.write_id);
    let ops = column(|e| e.draft.op.name());
    let (methods, paths) = (column(|e| &e.draft.method), column(|e| &e.draft.path));
    let mut row: Vec<&(dyn ToSql + Sync)> = vec![&held.epoch, &through, &before, &seqs, &write_ids, &ops];
    row.extend([&targets as &(dyn ToSql + Sync), &streams, &methods, &paths, &data, &headers, &logged]);
    row.push(&acknowledged);
    let claims = Claims::of(entries);
    let client = &held.session.client;
    let inserted = if claims.seqs.is_empty() {
        client.execute(&held.append, &row).await
    } else {
        row.extend([&claims.seqs as &(dyn ToSql + Sync), &claims.write_ids, &claims.keys, &claims.digests]);
        client.execute(&held.append_claiming, &row).await
    };
    let inserted = inserted.map_err(fault)?;
    if inserted == 0 {
        return Err(StoreError::LeaseLost(format!("the log does not end before {} any more", first.seq)));
    }
    Ok(())
}

/// The claims of a group, by column.
#[derive(Default)]
struct Claims<'a> {
    seqs: Vec<i64>,
    write_ids: Vec<&'a str>,
    keys: Vec<&'a [u8]>,
    digests: Vec<&'a [u8]>,
}

impl<'a> Claims<'a> {
    fn of(entries: &'a [Arc<Entry>]) -> Claims<'a> {
        let mut claims = Claims::default();
        for (entry, claim) in entries.iter().filter_map(|e| Some((e, e.claim()?))) {
            claims.seqs.push(number(entry.seq));
            claims.write_ids.push(&entry.draft.write_id);
            claims.keys.push(&claim.key);
            claims.digests.push(&claim.digest);
        }
        claims
    }
}

pub(super) fn stream_key(stream: Stream) -> Option<Uuid> {
    match stream {
        Stream::Catalog => None,
        Stream::Collection(id) => Some(id.0),
    }
}

pub(super) fn stream_of(key: Option<Uuid>) -> Stream {
    key.map(CollectionId).map_or(Stream::Catalog, Stream::Collection)
}

/// An object, as operators expect; pairs in the unlikely case that a name comes twice.
pub(super) fn headers_to_json(headers: &[(String, String)]) -> Value {
    let object: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    if object.len() == headers.len() { Value::Object(object) } else { serde_json::json!(headers) }
}

/// Effects that were resolved, before any node gets the entries. The first one stays, as in memory; the
/// acceptance of a catalog entry says what it came to.
pub(super) async fn set_effects(
    tx: &Transaction<'_>,
    effects: &[(Seq, &Effect)],
    accepted: bool,
) -> Result<(), StoreError> {
    let seqs: Vec<i64> = effects.iter().map(|(seq, _)| number(*seq)).collect();
    let values = effects.iter().map(|(_, effect)| serde_json::to_string(effect));
    let values: Vec<String> =
        values.collect::<Result<_, _>>().map_err(|e| StoreError::Refused(e.to_string()))?;
    let sql = "UPDATE wal_pending_writes w SET accepted = accepted OR $3, updated_at = now(), \
            effect = CASE WHEN $3 THEN e.effect::json ELSE coalesce(w.effect, e.effect::json) END \
        FROM unnest($1::bigint[], $2::text[]) AS e (seq, effect) WHERE w.seq = e.seq";
    run(tx, sql, &[(&seqs, Type::INT8_ARRAY), (&values, Type::TEXT_ARRAY), (&accepted, Type::BOOL)]).await
}

/// A record entry whose acceptance must not be left to the cursors.
pub(super) async fn accept(tx: &Transaction<'_>, seq: Seq) -> Result<(), StoreError> {
    let sql = "UPDATE wal_pending_writes SET accepted = true, updated_at = now() \
        WHERE seq = $1 AND status = 'pending'";
    run(tx, sql, &[(&number(seq), Type::INT8)]).await
}

/// Entries that the acting node refused. An accepted or completed one stays what it is.
pub(super) async fn reject(tx: &Transaction<'_>, rejected: &[(Seq, &str)]) -> Result<(), StoreError> {
    let seqs: Vec<i64> = rejected.iter().map(|(seq, _)| number(*seq)).collect();
    let reasons: Vec<String> = rejected.iter().map(|(_, reason)| storable(reason)).collect();
    let sql = "UPDATE wal_pending_writes w \
        SET status = 'rejected', error_message = e.reason, updated_at = now() \
        FROM unnest($1::bigint[], $2::text[]) AS e (seq, reason) \
        WHERE w.seq = e.seq AND w.status = 'pending' AND NOT w.accepted";
    run(tx, sql, &[(&seqs, Type::INT8_ARRAY), (&reasons, Type::TEXT_ARRAY)]).await
}

/// Failed deliveries so far and the last error of each.
pub(super) async fn set_attempts(
    tx: &Transaction<'_>,
    failed: &[(Seq, u32, &str)],
) -> Result<(), StoreError> {
    let seqs: Vec<i64> = failed.iter().map(|(seq, ..)| number(*seq)).collect();
    let retries: Vec<i32> = failed.iter().map(|(_, n, _)| i32::try_from(*n).unwrap_or(i32::MAX)).collect();
    let errors: Vec<String> = failed.iter().map(|(.., error)| storable(error)).collect();
    let sql = "UPDATE wal_pending_writes w \
        SET retry_count = greatest(w.retry_count, e.retries), error_message = e.error, updated_at = now() \
        FROM unnest($1::bigint[], $2::int[], $3::text[]) AS e (seq, retries, error) \
        WHERE w.seq = e.seq AND w.status IN ('pending', 'failed')";
    run(tx, sql, &[(&seqs, Type::INT8_ARRAY), (&retries, Type::INT4_ARRAY), (&errors, Type::TEXT_ARRAY)])
        .await
}

/// PostgreSQL's text holds no NUL, and nobody reads a megabyte of error.
pub(super) fn storable(text: &str) -> String {
    text.chars().take(ERROR_CHARS).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

/// Completes one batch of what is pending up to `through`; says whether there may be more.
pub(super) async fn complete_batch(client: &Client, epoch: i64, through: Seq) -> Result<bool, StoreError> {
    // An array rather than a join, for which all that is pending may be read.
    let sql = "WITH fence AS (SELECT FROM wal_lease WHERE epoch = $1 FOR SHARE), \
        done AS (UPDATE wal_pending_writes w SET status = 'completed', updated_at = now() \
            FROM fence WHERE w.status = 'pending' AND w.seq = ANY (ARRAY( \
                SELECT seq FROM wal_pending_writes WHERE status = 'pending' AND seq <= $2 \
                ORDER BY seq LIMIT $3)) RETURNING 1) \
        SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM done)";
    let params: [(&(dyn ToSql + Sync), Type); 3] =
        [(&epoch, Type::INT8), (&number(through), Type::INT8), (&COMPLETE_BATCH, Type::INT8)];
    let row = client.query_typed_one(sql, &params).await.map_err(fault)?;
    if row.get::<_, i64>(0) == 0 {
        return Err(StoreError::LeaseLost(format!("epoch {epoch} is over")));
    }
    Ok(row.get::<_, i64>(1) == COMPLETE_BATCH)
}

/// Removes one batch of old finished entries, oldest first; returns how many went.
pub(super) async fn expire_batch(
    client: &mut Client,
    epoch: i64,
    days: u32,
    through: Seq,
    limit: u32,
) -> Result<u64, StoreError> {
    let tx = client.transaction().await.map_err(fault)?;
    lease::fence(&tx, epoch).await?;
    tx.batch_execute(OLDEST_FIRST).await.map_err(fault)?;
    // `IS TRUE`: so that no index but the one by age can serve; any other would be read from end to end.
    let sql = "DELETE FROM wal_pending_writes WHERE seq = ANY (ARRAY( \
            SELECT seq FROM wal_pending_writes WHERE status <> 'pending' AND (seq <= $1) IS TRUE \
                AND (status IN ('completed', 'rejected', 'failed')) IS TRUE \
                AND updated_at < now() - make_interval(days => $2) \
            ORDER BY updated_at LIMIT $3))";
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let limit = i64::from(limit.min(EXPIRE_BATCH));
    let params: [(&(dyn ToSql + Sync), Type); 3] =
        [(&number(through), Type::INT8), (&days, Type::INT4), (&limit, Type::INT8)];
    let gone = tx.execute_typed(sql, &params).await.map_err(fault)?;
    conversions::expire(&tx, through, limit).await?;
    failovers::expire(&tx, limit).await?;
    tx.commit().await.map_err(fault)?;
    Ok(gone)
}
