//! Which collections must not be served from which node? Kept so that a restart does not trust a node
//! again; it refuses to know why a collection may come back.

use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::port::StoreError;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::entries::storable;
use super::pool::{fault, run};

/// `None`: the collection is in order there again.
pub(super) async fn set(
    tx: &Transaction<'_>,
    node: &str,
    collection: Uuid,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let Some(reason) = reason.map(storable) else {
        let sql = "DELETE FROM quarantined_collections WHERE node = $1 AND collection = $2";
        return run(tx, sql, &[(&node, Type::TEXT), (&collection, Type::UUID)]).await;
    };
    let sql = "INSERT INTO quarantined_collections (node, collection, reason) \
        SELECT $1, id, $3 FROM catalog_collections WHERE id = $2 AND deleted_seq IS NULL \
        ON CONFLICT (node, collection) DO UPDATE SET reason = excluded.reason";
    run(tx, sql, &[(&node, Type::TEXT), (&collection, Type::UUID), (&reason, Type::TEXT)]).await
}

/// What was deleted since needs no quarantine any more.
pub(super) async fn forget_deleted(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let sql = "DELETE FROM quarantined_collections q WHERE NOT EXISTS ( \
        SELECT FROM catalog_collections c WHERE c.id = q.collection AND c.deleted_seq IS NULL)";
    run(tx, sql, &[]).await
}

pub(super) async fn recover(tx: &Transaction<'_>) -> Result<Vec<(String, CollectionId, String)>, StoreError> {
    let sql = "SELECT node, collection, reason FROM quarantined_collections ORDER BY node, collection";
    let rows = tx.query_typed(sql, &[]).await.map_err(fault)?;
    Ok(rows.iter().map(|row| (row.get(0), CollectionId(row.get(1)), row.get(2))).collect())
}
