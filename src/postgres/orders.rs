//! What operators ordered about nodes: kept until they order otherwise, and told to every balancer. It
//! refuses to judge an order, or whether it is carried out.

use chroma_ha_core::ids::NodeId;
use chroma_ha_core::orders::{Drain, Followed, Orders};
use chroma_ha_core::port::StoreError;
use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::pool::{fault, run};

/// `None`: the node is used again.
pub(super) async fn drain(tx: &Transaction<'_>, node: &str, order: Option<Uuid>) -> Result<(), StoreError> {
    let sql = "INSERT INTO node_orders (node, drain) VALUES ($1, $2) \
        ON CONFLICT (node) DO UPDATE SET drain = excluded.drain, since = now()";
    run(tx, sql, &[(&node, Type::TEXT), (&order, Type::UUID)]).await?;
    forget(tx).await
}

/// `None`: the configured order.
pub(super) async fn prefer(tx: &Transaction<'_>, node: Option<&str>) -> Result<(), StoreError> {
    run(tx, "UPDATE node_orders SET preferred = false, since = now() WHERE preferred", &[]).await?;
    if let Some(node) = node {
        let sql = "INSERT INTO node_orders (node, preferred) VALUES ($1, true) \
            ON CONFLICT (node) DO UPDATE SET preferred = true, since = now()";
        run(tx, sql, &[(&node, Type::TEXT)]).await?;
    }
    forget(tx).await
}

async fn forget(tx: &Transaction<'_>) -> Result<(), StoreError> {
    run(tx, "DELETE FROM node_orders WHERE drain IS NULL AND NOT preferred", &[]).await
}

pub(super) async fn recover(tx: &Transaction<'_>) -> Result<Orders, StoreError> {
    let rows = tx.query_typed(&format!("SELECT {ALL}"), &[]).await.map_err(fault)?;
    Ok(rows.first().map(|row| read(row.get(0))).transpose()?.unwrap_or_default().orders)
}

/// Every order, in one column; part of what balancers ask ten times a second.
pub(super) const ALL: &str = "(SELECT coalesce(jsonb_agg(jsonb_build_object(\
        'node', node, 'drain', drain, 'preferred', preferred, 'awaited', '[]'::jsonb)), '[]') FROM node_orders)";

/// The same, with the balancers that have not carried out a drain: those in the list `others` of the query.
pub(super) const FOLLOWED: &str = "(SELECT coalesce(jsonb_agg(jsonb_build_object(\
        'node', o.node, 'drain', o.drain, 'preferred', o.preferred, 'awaited', (\
            SELECT coalesce(jsonb_agg(coalesce(b.address, 'a balancer that tells no address')), '[]') \
            FROM wal_balancers b WHERE b.instance <> $1 AND b.address IS DISTINCT FROM $2 \
                AND b.seen_at > clock_timestamp() - make_interval(secs => l.lease_ms / 1000.0) \
                AND NOT o.drain = ANY (b.drained)))), '[]') FROM node_orders o)";

#[derive(Deserialize)]
struct Row {
    node: String,
    drain: Option<Uuid>,
    preferred: bool,
    awaited: Vec<String>,
}

/// Orders about nodes that are not configured any more stay where they are.
pub(super) fn read(told: Value) -> Result<Followed, StoreError> {
    let rows: Vec<Row> = serde_json::from_value(told)
        .map_err(|error| StoreError::Refused(format!("node_orders holds what is no order: {error}")))?;
    let mut followed = Followed::default();
    for row in rows {
        let Some(node) = NodeId::parse(&row.node) else { continue };
        if let Some(order) = row.drain {
            followed.orders.drains.push(Drain { node, order });
            followed.awaited.push((order, row.awaited));
        }
        if row.preferred {
            followed.orders.preferred = Some(node);
        }
    }
    Ok(followed)
}
