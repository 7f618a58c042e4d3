//! What is remembered of copies onto nodes, and of nodes that the log cannot bring up to date any more? It
//! refuses to decide what is copied: `core::sequencer` does.

use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::port::{Leftover, LeftoverState, StoreError};
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::pool::{fault, run};
use super::{number, seq_of};

/// What a copy will replace on the node; `None`: the copy has ended.
pub(super) async fn copying(
    tx: &Transaction<'_>,
    node: &str,
    collection: Uuid,
    node_collection: Option<Uuid>,
) -> Result<(), StoreError> {
    let Some(own) = node_collection else {
        let sql = "DELETE FROM catalog_copies WHERE node = $1 AND collection = $2";
        return run(tx, sql, &[(&node, Type::TEXT), (&collection, Type::UUID)]).await;
    };
    let sql = "INSERT INTO catalog_copies (node, collection, node_collection) VALUES ($1, $2, $3) \
        ON CONFLICT (node, collection) DO UPDATE SET node_collection = excluded.node_collection, \
            begun = NULL, position = NULL, unchecked = NULL";
    run(tx, sql, &[(&node, Type::TEXT), (&collection, Type::UUID), (&own, Type::UUID)]).await
}

/// A copy fills a collection that it has made on the node.
pub(super) async fn begun(
    tx: &Transaction<'_>,
    node: &str,
    collection: Uuid,
    own: Uuid,
    position: Seq,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO catalog_copies (node, collection, node_collection, begun, position) \
            VALUES ($1, $2, $3, $3, $4) \
        ON CONFLICT (node, collection) DO UPDATE SET node_collection = excluded.node_collection, \
            begun = excluded.begun, position = excluded.position, unchecked = NULL";
    let row: [(&(dyn ToSql + Sync), Type); 4] =
        [(&node, Type::TEXT), (&collection, Type::UUID), (&own, Type::UUID), (&number(position), Type::INT8)];
    run(tx, sql, &row).await
}

/// By node. A release that knows no positions leaves what it noted void.
pub(super) async fn all(tx: &Transaction<'_>) -> Result<Vec<(String, CollectionId, Leftover)>, StoreError> {
    let sql = "SELECT node, collection, node_collection, \
            CASE WHEN begun = node_collection THEN position END AS begun_at, \
            coalesce(unchecked = node_collection, false) AS unchecked \
        FROM catalog_copies ORDER BY node, collection";
    let rows = tx.query_typed(sql, &[]).await.map_err(fault)?;
    let left = |row: &tokio_postgres::Row| {
        let state = match row.get::<_, Option<i64>>("begun_at") {
            Some(position) => LeftoverState::Begun(seq_of(position)),
            None if row.get("unchecked") => LeftoverState::Unchecked,
            None => LeftoverState::Void,
        };
        (row.get(0), CollectionId(row.get(1)), Leftover { node_collection: row.get(2), state })
    };
    Ok(rows.iter().map(left).collect())
}

/// Nodes that miss entries which are no longer in the log are no longer members: when they come back, what
/// they hold is compared and copied. Never the one that is furthest: it is the source then. The caller
/// holds the lease.
pub(super) async fn set_aside(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let behind = "UPDATE wal_cursors SET joined = false, updated_at = now() FROM wal_low \
        WHERE joined AND applied_seq < low \
            AND applied_seq < (SELECT max(applied_seq) FROM wal_cursors WHERE joined) \
        RETURNING node, applied_seq, low";
    let rows = tx.query_typed(behind, &[]).await.map_err(fault)?;
    for row in rows {
        let (node, applied, low): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
        tracing::warn!(
            node,
            applied,
            low,
            "the log no longer holds what this node missed: its collections are compared and copied"
        );
        // What a copy had begun to fill cannot be brought up to date from the log either.
        let sql = "UPDATE catalog_copies SET begun = NULL, position = NULL WHERE node = $1";
        run(tx, sql, &[(&node, Type::TEXT)]).await?;
        let sql = "INSERT INTO catalog_copies (node, collection, node_collection, unchecked) \
                SELECT node, collection, node_collection, node_collection FROM catalog_mappings \
                WHERE node = $1 ON CONFLICT (node, collection) DO NOTHING";
        run(tx, sql, &[(&node, Type::TEXT)]).await?;
        run(tx, "DELETE FROM catalog_mappings WHERE node = $1", &[(&node, Type::TEXT)]).await?;
    }
    Ok(())
}
