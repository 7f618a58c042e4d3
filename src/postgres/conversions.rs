//! How is it kept what a deletion came to on a node with other record ids, and which nodes those are? It
//! refuses to change what was kept: a repeated delivery must find the same ids.

use std::collections::BTreeMap;

use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::port::StoreError;
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::number;
use super::pool::run;

/// Of an entry that is being read: what it came to, by node. The effect is not looked into: PostgreSQL
/// refuses to, where an id holds \u0000.
pub(super) const OF_ENTRY: &str = "CASE WHEN op = 'delete' THEN ( \
    SELECT json_object_agg(c.node, c.ids)::text FROM wal_conversions c WHERE c.seq = page.seq) END";

pub(super) async fn keep(
    tx: &Transaction<'_>,
    node: &str,
    seq: Seq,
    ids: &[String],
) -> Result<(), StoreError> {
    let ids = serde_json::to_string(ids).map_err(|error| StoreError::Refused(error.to_string()))?;
    let sql = "INSERT INTO wal_conversions (seq, node, ids) SELECT w.seq, $2, $3::text::json \
        FROM wal_pending_writes w WHERE w.seq = $1 ON CONFLICT DO NOTHING";
    let row: [(&(dyn ToSql + Sync), Type); 3] =
        [(&number(seq), Type::INT8), (&node, Type::TEXT), (&ids, Type::TEXT)];
    run(tx, sql, &row).await
}

/// Those whose entries are gone.
pub(super) async fn expire(tx: &Transaction<'_>, through: Seq, limit: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM wal_conversions WHERE seq IN ( \
            SELECT c.seq FROM wal_conversions c WHERE c.seq <= $1 \
                AND NOT EXISTS (SELECT FROM wal_pending_writes w WHERE w.seq = c.seq) LIMIT $2)";
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&number(through), Type::INT8), (&limit, Type::INT8)];
    run(tx, sql, &params).await
}

pub(super) fn read(text: Option<&str>) -> BTreeMap<String, Vec<String>> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

pub(super) async fn mark(
    tx: &Transaction<'_>,
    node: &str,
    collection: CollectionId,
) -> Result<(), StoreError> {
    let sql = "UPDATE catalog_mappings SET other_ids = true WHERE node = $1 AND collection = $2";
    run(tx, sql, &[(&node, Type::TEXT), (&collection.0, Type::UUID)]).await
}
