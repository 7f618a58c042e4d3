//! In which streams is a node in doubt, beyond what its cursor tells a restart? It refuses to know what is done
//! about it: `core::sequencer` does.

use chroma_ha_core::ids::{Seq, Stream};
use chroma_ha_core::port::StoreError;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::entries::{stream_key, stream_of};
use super::pool::{fault, run};
use super::{number, seq_of};

/// `None`: it was looked at, or the collection is gone.
pub(super) async fn set(
    tx: &Transaction<'_>,
    node: &str,
    stream: Stream,
    first: Option<Seq>,
) -> Result<(), StoreError> {
    let key = stream_key(stream).unwrap_or_default();
    let Some(first) = first else {
        let sql = "DELETE FROM wal_doubts WHERE node = $1 AND stream = $2";
        return run(tx, sql, &[(&node, Type::TEXT), (&key, Type::UUID)]).await;
    };
    let sql = "INSERT INTO wal_doubts (node, stream, first_seq) VALUES ($1, $2, $3) \
        ON CONFLICT (node, stream) DO UPDATE SET first_seq = excluded.first_seq";
    run(tx, sql, &[(&node, Type::TEXT), (&key, Type::UUID), (&number(first), Type::INT8)]).await
}

pub(super) async fn recover(tx: &Transaction<'_>) -> Result<Vec<(String, Stream, Seq)>, StoreError> {
    let sql = "SELECT node, stream, first_seq FROM wal_doubts ORDER BY node, stream";
    let rows = tx.query_typed(sql, &[]).await.map_err(fault)?;
    let stream = |key: Uuid| stream_of((!key.is_nil()).then_some(key));
    Ok(rows.iter().map(|row| (row.get(0), stream(row.get(1)), seq_of(row.get(2)))).collect())
}
