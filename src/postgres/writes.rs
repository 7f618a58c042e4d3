//! What is in the log, for operators: writes by state, the latest first, and one with its body. Read only,
//! with or without a balancer. It refuses to say where a write stands on a node beyond what is flushed.

use chroma_ha_core::entry::{Decision, Op};
use chroma_ha_core::operator::{Flushed, WritePage, WriteRow};
use chroma_ha_core::port::StoreError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::entries::{stream_key, stream_of};
use super::pool::fault;
use super::{number, seq_of};

const COLUMNS: &str = "write_id, seq, op, stream, accepted, acknowledged, method, path, \
    coalesce(status, '') AS status, coalesce(retry_count, 0) AS retry_count, error_message, \
    coalesce(octet_length(data), 0) AS body_bytes, \
    to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS logged, \
    to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS updated";

pub(super) async fn find(client: &Client, write_id: &str) -> Result<Option<WriteRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM wal_pending_writes WHERE write_id = $1");
    let found = client.query_typed_opt(&sql, &[(&write_id, Type::TEXT)]).await.map_err(fault)?;
    found.as_ref().map(row).transpose()
}

pub(super) async fn page(client: &Client, page: &WritePage) -> Result<Vec<WriteRow>, StoreError> {
    let stream = page.stream.and_then(stream_key);
    let before = page.before.map_or(i64::MAX, number);
    let limit = i64::from(page.limit);
    let mut params: Vec<(&(dyn ToSql + Sync), Type)> =
        vec![(&page.states, Type::TEXT_ARRAY), (&before, Type::INT8), (&limit, Type::INT8)];
    let of_stream = match (page.stream, &stream) {
        (None, _) => "",
        (Some(_), None) => "AND stream IS NULL",
        (Some(_), Some(key)) => {
            params.push((key, Type::UUID));
            "AND stream = $4"
        }
    };
    let those = |which: &str| {
        format!(
            "SELECT {COLUMNS} FROM wal_pending_writes \
             WHERE status = ANY ($1) AND seq < $2 {of_stream} {which} ORDER BY seq DESC LIMIT $3"
        )
    };
    let sql = match page.stream {
        None => those(""),
        // The index of streams has no rejected writes: apart, each of the two is found by an index.
        Some(_) if !page.states.contains(&"rejected") => those("AND status <> 'rejected'"),
        Some(_) => {
            let (others, rejected) = (those("AND status <> 'rejected'"), those("AND status = 'rejected'"));
            format!("({others}) UNION ALL ({rejected}) ORDER BY seq DESC LIMIT $3")
        }
    };
    client.query_typed(&sql, &params).await.map_err(fault)?.iter().map(row).collect()
}

pub(super) async fn body(client: &Client, write_id: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT coalesce(data, '') FROM wal_pending_writes WHERE write_id = $1";
    let found = client.query_typed_opt(sql, &[(&write_id, Type::TEXT)]).await.map_err(fault)?;
    Ok(found.map(|row| row.get(0)))
}

/// How far each node was when that was written last.
pub(super) async fn flushed(client: &Client) -> Result<Vec<Flushed>, StoreError> {
    let sql = "SELECT node, applied_seq, catalog_seq FROM wal_cursors WHERE joined ORDER BY node";
    let rows = client.query_typed(sql, &[]).await.map_err(fault)?;
    let flushed = |row: &Row| Flushed {
        node: row.get(0),
        applied: seq_of(row.get(1)),
        catalog: seq_of(row.get::<_, i64>(2).max(row.get(1))),
    };
    Ok(rows.iter().map(flushed).collect())
}

fn row(row: &Row) -> Result<WriteRow, StoreError> {
    let write_id: String = row.get("write_id");
    let op = Op::parse(row.get("op"));
    let status: String = row.get("status");
    let decision = match status.as_str() {
        "rejected" => Some(Decision::Rejected),
        "completed" | "failed" => Some(Decision::Accepted),
        _ => row.get::<_, bool>("accepted").then_some(Decision::Accepted),
    };
    Ok(WriteRow {
        seq: seq_of(row.get("seq")),
        op: op.ok_or_else(|| StoreError::Refused(format!("write {write_id} has a strange op")))?,
        write_id,
        method: row.get("method"),
        path: row.get("path"),
        status,
        acknowledged: row.get("acknowledged"),
        retry_count: row.get("retry_count"),
        error_message: row.get("error_message"),
        body_bytes: u64::try_from(row.get::<_, i32>("body_bytes")).unwrap_or_default(),
        timestamp: row.get::<_, Option<String>>("logged").unwrap_or_default(),
        updated_at: row.get::<_, Option<String>>("updated").unwrap_or_default(),
        stream: stream_of(row.get("stream")),
        decision,
    })
}
