//! The failover history: which node was in which state, and why. People read it; nothing is decided by it.

use chroma_ha_core::port::{PastTurn, StoreError};
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::pool::{fault, run};

/// Read back for the dashboard.
const RECOVERED: i64 = 100;

/// Longer than entries are kept: what happened last month is asked after this month's outage.
const KEPT_DAYS: i32 = 90;

pub(super) async fn add(
    tx: &Transaction<'_>,
    epoch: i64,
    [node, from, to, reason]: [&str; 4],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO failover_history (epoch, node, from_state, to_state, reason) \
        VALUES ($1, $2, $3, $4, $5)";
    let reason = reason.replace('\0', "\u{fffd}");
    let row: [(&(dyn ToSql + Sync), Type); 5] = [
        (&epoch, Type::INT8),
        (&node, Type::TEXT),
        (&from, Type::TEXT),
        (&to, Type::TEXT),
        (&reason, Type::TEXT),
    ];
    run(tx, sql, &row).await
}

/// The last changes, the oldest first.
pub(super) async fn recover(tx: &Transaction<'_>) -> Result<Vec<PastTurn>, StoreError> {
    let sql = "SELECT (extract(epoch FROM at) * 1000)::bigint, node, from_state, to_state, reason \
        FROM failover_history ORDER BY id DESC LIMIT $1";
    let rows = tx.query_typed(sql, &[(&RECOVERED, Type::INT8)]).await.map_err(fault)?;
    let turn = |row: &tokio_postgres::Row| PastTurn {
        at_ms: u64::try_from(row.get::<_, i64>(0)).unwrap_or_default(),
        node: row.get(1),
        from: row.get(2),
        to: row.get(3),
        reason: row.get(4),
    };
    Ok(rows.iter().rev().map(turn).collect())
}

/// Removes one batch of old ones.
pub(super) async fn expire(tx: &Transaction<'_>, limit: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM failover_history WHERE id IN ( \
            SELECT id FROM failover_history WHERE at < now() - make_interval(days => $1) ORDER BY at LIMIT $2)";
    run(tx, sql, &[(&KEPT_DAYS, Type::INT4), (&limit, Type::INT8)]).await
}
