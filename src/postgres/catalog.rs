//! How do moves change the catalog's tables, and what is remembered of catalog, nodes and cursors? It
//! refuses to judge a move: `core::catalog` decided it. Every statement may run twice.

use std::collections::BTreeMap;

use chroma_ha_core::catalog::Move;
use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::port::{Recovered, RecoveredNode, StoreError};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::pool::{Params, fault, run};
use super::{copies, doubts, failovers, letters, number, orders, quarantine, seq_of};

pub(super) async fn apply(tx: &Transaction<'_>, step: &Move) -> Result<(), StoreError> {
    match step {
        Move::TenantCreated { name } => {
            let sql = "INSERT INTO catalog_tenants (name) VALUES ($1) ON CONFLICT DO NOTHING";
            run(tx, sql, &[(name, Type::TEXT)]).await
        }
        Move::DatabaseCreated { id, tenant, name } => {
            let sql = "INSERT INTO catalog_databases (id, tenant, name) VALUES ($1, $2, $3) \
                ON CONFLICT (tenant, name) DO UPDATE SET id = excluded.id";
            run(tx, sql, &[(id, Type::UUID), (tenant, Type::TEXT), (name, Type::TEXT)]).await
        }
        Move::DatabaseDeleted { tenant, name, seq } => delete_database(tx, tenant, name, *seq).await,
        Move::CollectionCreated { id, tenant, database, name } => {
            // A collection that was deleted stays so, should this run again after its deletion.
            let sql = "INSERT INTO catalog_collections (id, tenant, database, name) \
                VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING";
            let names: [(&(dyn ToSql + Sync), Type); 4] =
                [(&id.0, Type::UUID), (tenant, Type::TEXT), (database, Type::TEXT), (name, Type::TEXT)];
            run(tx, sql, &names).await
        }
        Move::CollectionRenamed { id, name } => {
            let sql = "UPDATE catalog_collections SET name = $2 WHERE id = $1 AND deleted_seq IS NULL";
            run(tx, sql, &[(&id.0, Type::UUID), (name, Type::TEXT)]).await
        }
        Move::CollectionDeleted { id, seq } => {
            let sql = "UPDATE catalog_collections SET deleted_seq = $2 WHERE id = $1 AND deleted_seq IS NULL";
            run(tx, sql, &[(&id.0, Type::UUID), (&number(*seq), Type::INT8)]).await
        }
        Move::Reset { seq } => reset(tx, *seq).await,
    }
}

async fn delete_database(tx: &Transaction<'_>, tenant: &str, name: &str, seq: Seq) -> Result<(), StoreError> {
    let gone = "DELETE FROM catalog_databases WHERE tenant = $1 AND name = $2";
    run(tx, gone, &[(&tenant, Type::TEXT), (&name, Type::TEXT)]).await?;
    let sql = "UPDATE catalog_collections SET deleted_seq = $3 \
        WHERE tenant = $1 AND database = $2 AND deleted_seq IS NULL";
    run(tx, sql, &[(&tenant, Type::TEXT), (&name, Type::TEXT), (&number(seq), Type::INT8)]).await
}

async fn reset(tx: &Transaction<'_>, seq: Seq) -> Result<(), StoreError> {
    let sql = "UPDATE catalog_collections SET deleted_seq = $1 WHERE deleted_seq IS NULL";
    run(tx, sql, &[(&number(seq), Type::INT8)]).await?;
    let defaults = "DELETE FROM catalog_databases; DELETE FROM catalog_tenants; \
        INSERT INTO catalog_tenants (name) VALUES ('default_tenant'); \
        INSERT INTO catalog_databases (id, tenant, name) \
            VALUES ('00000000-0000-0000-0000-000000000000', 'default_tenant', 'default_database')";
    tx.batch_execute(defaults).await.map_err(fault)
}

/// Each node's own ids of collections; `None` removes one.
pub(super) type Mappings<'a> = BTreeMap<(&'a str, CollectionId), Option<Uuid>>;

pub(super) async fn map(tx: &Transaction<'_>, mappings: &Mappings<'_>) -> Result<(), StoreError> {
    let (mut nodes, mut ids, mut owns) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gone_nodes, mut gone_ids) = (Vec::new(), Vec::new());
    for ((node, id), own) in mappings {
        if let Some(own) = own {
            nodes.push(*node);
            ids.push(id.0);
            owns.push(*own);
        } else {
            gone_nodes.push(*node);
            gone_ids.push(id.0);
        }
    }
    if !ids.is_empty() {
        let sql = "INSERT INTO catalog_mappings (node, collection, node_collection) \
            SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[]) \
            ON CONFLICT (node, collection) DO UPDATE SET node_collection = excluded.node_collection, \
                other_ids = false";
        let rows: Params<'_> =
            &[(&nodes, Type::TEXT_ARRAY), (&ids, Type::UUID_ARRAY), (&owns, Type::UUID_ARRAY)];
        run(tx, sql, rows).await?;
    }
    if !gone_ids.is_empty() {
        let sql = "DELETE FROM catalog_mappings m USING unnest($1::text[], $2::uuid[]) AS g (node, id) \
            WHERE m.node = g.node AND m.collection = g.id";
        run(tx, sql, &[(&gone_nodes, Type::TEXT_ARRAY), (&gone_ids, Type::UUID_ARRAY)]).await?;
    }
    Ok(())
}

/// Per node: applied record entries, applied catalog entries.
pub(super) type Cursors<'a> = BTreeMap<&'a str, (Seq, Seq)>;

/// Cursors only move forward: an old flush that arrives late changes nothing.
pub(super) async fn advance(tx: &Transaction<'_>, cursors: &Cursors<'_>) -> Result<(), StoreError> {
    let nodes: Vec<&str> = cursors.keys().copied().collect();
    let applied: Vec<i64> = cursors.values().map(|(applied, _)| number(*applied)).collect();
    let catalog: Vec<i64> = cursors.values().map(|(_, catalog)| number(*catalog)).collect();
    let sql = "INSERT INTO wal_cursors AS c (node, applied_seq, catalog_seq) \
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) \
        ON CONFLICT (node) DO UPDATE SET applied_seq = greatest(c.applied_seq, excluded.applied_seq), \
            catalog_seq = greatest(c.catalog_seq, excluded.catalog_seq), updated_at = now()";
    run(tx, sql, &[(&nodes, Type::TEXT_ARRAY), (&applied, Type::INT8_ARRAY), (&catalog, Type::INT8_ARRAY)])
        .await
}

/// The node's cursor goes back.
pub(super) async fn rewind(tx: &Transaction<'_>, node: &str, seq: Seq) -> Result<(), StoreError> {
    let sql =
        "UPDATE wal_cursors SET applied_seq = least(applied_seq, $2), updated_at = now() WHERE node = $1";
    run(tx, sql, &[(&node, Type::TEXT), (&number(seq), Type::INT8)]).await
}

/// The node belongs to the cluster from this position on.
pub(super) async fn join(tx: &Transaction<'_>, node: &str, seq: Seq) -> Result<(), StoreError> {
    let sql = "INSERT INTO wal_cursors AS c (node, applied_seq, catalog_seq, joined) VALUES ($1, $2, $2, true) \
        ON CONFLICT (node) DO UPDATE SET applied_seq = greatest(c.applied_seq, excluded.applied_seq), \
            catalog_seq = greatest(c.catalog_seq, excluded.catalog_seq), joined = true, updated_at = now()";
    run(tx, sql, &[(&node, Type::TEXT), (&number(seq), Type::INT8)]).await
}

/// Everything that is remembered, at the moment the lease was taken.
pub(super) async fn recover(tx: &Transaction<'_>, head: Seq, epoch: u64) -> Result<Recovered, StoreError> {
    let all = async |sql: &str| tx.query_typed(sql, &[]).await.map_err(fault);
    let tenants = all("SELECT name FROM catalog_tenants ORDER BY name").await?;
    let databases = all("SELECT id, tenant, name FROM catalog_databases ORDER BY tenant, name").await?;
    let collections = all("SELECT id, tenant, database, name FROM catalog_collections \
        WHERE deleted_seq IS NULL ORDER BY id")
    .await?;
    let deleted = all(&format!(
        "SELECT id, deleted_seq FROM catalog_collections c \
         WHERE deleted_seq IS NOT NULL AND NOT ({FORGETTABLE}) ORDER BY deleted_seq, id"
    ))
    .await?;
    Ok(Recovered {
        head,
        epoch,
        quiet: false,
        tenants: tenants.iter().map(|row| row.get(0)).collect(),
        databases: databases.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
        collections: collections
            .iter()
            .map(|row| (CollectionId(row.get(0)), row.get(1), row.get(2), row.get(3)))
            .collect(),
        deleted: deleted.iter().map(|row| (CollectionId(row.get(0)), seq_of(row.get(1)))).collect(),
        nodes: recover_nodes(tx).await?,
        turns: failovers::recover(tx).await?,
        orders: orders::recover(tx).await?,
    })
}

async fn recover_nodes(tx: &Transaction<'_>) -> Result<Vec<RecoveredNode>, StoreError> {
    let mut nodes: BTreeMap<String, RecoveredNode> = BTreeMap::new();
    let node = |name: String| RecoveredNode { name, ..RecoveredNode::default() };
    let sql = "SELECT node, applied_seq, catalog_seq, joined FROM wal_cursors";
    for row in tx.query_typed(sql, &[]).await.map_err(fault)? {
        let name: String = row.get(0);
        let known = nodes.entry(name.clone()).or_insert_with(|| node(name));
        known.cursor = seq_of(row.get(1));
        known.catalog_cursor = seq_of(row.get(2));
        known.joined = row.get(3);
    }
    let sql =
        "SELECT node, collection, node_collection, other_ids FROM catalog_mappings ORDER BY node, collection";
    for row in tx.query_typed(sql, &[]).await.map_err(fault)? {
        let name: String = row.get(0);
        let known = nodes.entry(name.clone()).or_insert_with(|| node(name));
        known.mapped.push((CollectionId(row.get(1)), row.get(2)));
        known.other_ids.extend(row.get::<_, bool>(3).then_some(CollectionId(row.get(1))));
    }
    for (name, collection, left) in copies::all(tx).await? {
        let known = nodes.entry(name.clone()).or_insert_with(|| node(name));
        known.copying.push((collection, left));
    }
    for (name, collection, reason) in quarantine::recover(tx).await? {
        let known = nodes.entry(name.clone()).or_insert_with(|| node(name));
        known.quarantined.push((collection, reason));
    }
    for (name, stream, first) in doubts::recover(tx).await? {
        let known = nodes.entry(name.clone()).or_insert_with(|| node(name));
        known.doubts.push((stream, first));
    }
    for letter in letters::recover(tx).await? {
        let known = nodes.entry(letter.node.clone()).or_insert_with(|| node(letter.node.clone()));
        if letter.skipped {
            known.skipped.push(letter.seq);
        } else {
            known.letters.push((letter.collection, letter.seq));
        }
    }
    Ok(nodes.into_values().collect())
}

/// A deleted collection that no node has or may still be behind. No node known: nothing is forgotten.
const FORGETTABLE: &str = "c.deleted_seq <= coalesce( \
        (SELECT min(least(applied_seq, catalog_seq)) FROM wal_cursors), 0) \
    AND NOT EXISTS (SELECT FROM catalog_mappings m WHERE m.collection = c.id)";

/// Removes what is remembered of deleted collections and nobody needs any more: what a node that has
/// passed the deletion held of them, then the collections.
pub(super) async fn forget(client: &Client) -> Result<(), StoreError> {
    // What a node kept that was away is ours to replace, however long ago its collection was deleted.
    for (table, which) in [("catalog_mappings", "true"), ("catalog_copies", "m.unchecked IS NULL")] {
        let sql = format!(
            "DELETE FROM {table} m USING catalog_collections c, wal_cursors n \
             WHERE c.id = m.collection AND n.node = m.node AND c.deleted_seq <= n.catalog_seq AND {which}"
        );
        client.execute_typed(&sql, &[]).await.map_err(fault)?;
    }
    let sql = format!("DELETE FROM catalog_collections c WHERE c.deleted_seq IS NOT NULL AND {FORGETTABLE}");
    client.execute_typed(&sql, &[]).await.map(drop).map_err(fault)
}
