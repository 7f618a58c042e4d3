//! How are entries read back from `wal_pending_writes`? It refuses to hold more than was asked for:
//! bodies over the byte bound never leave the server.

use std::sync::Arc;

use bytes::Bytes;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::entry::{Decision, Draft, Entry, Op};
use chroma_ha_core::port::{Page, Pages, StoreError};
use futures_util::future::try_join;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::conversions;
use super::entries::stream_key;
use super::pool::fault;
use super::{number, seq_of};

/// The entries that fit, then one without a body that marks where the page was cut. `{filter}` picks
/// the entries, `{order}` is the order of the index that serves it.
const PAGE: &str = "SELECT seq, write_id, op, target, method, path, \
        CASE WHEN n = 1 OR (n <= $3 AND total <= $4) THEN data END AS data, headers, \
        round(extract(epoch FROM timestamp) * 1000)::bigint AS logged_at_ms, status, \
        effect::text AS effect, accepted, keyed, acknowledged, {conversions} AS conversions, n = 1 OR (n <= $3 AND total <= $4) AS fits \
    FROM (SELECT *, octet_length(coalesce(data, '')) AS size, row_number() OVER w AS n, \
            sum(octet_length(coalesce(data, ''))) OVER (w ROWS UNBOUNDED PRECEDING) AS total \
        FROM wal_pending_writes WHERE status <> 'rejected' AND {filter} \
        WINDOW w AS (ORDER BY {order}) ORDER BY {order} LIMIT $3 + 1) page \
    WHERE n <= 2 OR total - size <= $4 ORDER BY seq";

pub(super) async fn page(client: &Client, page: &Page) -> Result<Pages, StoreError> {
    let stream = page.stream.and_then(stream_key);
    let entries = i64::try_from(page.max_entries.max(1)).unwrap_or(i64::MAX - 1);
    let bytes = i64::try_from(page.max_bytes).unwrap_or(i64::MAX);
    let through = number(page.through);
    let from = number(page.from);
    let mut params: Vec<(&(dyn ToSql + Sync), Type)> =
        vec![(&from, Type::INT8), (&through, Type::INT8), (&entries, Type::INT8), (&bytes, Type::INT8)];
    // Ordered by stream too: PostgreSQL does not see by itself that one NULL key is one value. Where it sees
    // that, it may walk the whole log in the order of `seq`, past all other streams.
    let (filter, order) = match (page.stream, &stream) {
        (None, _) => ("seq BETWEEN $1 AND $2", "seq"),
        (Some(_), None) => ("stream IS NULL AND seq BETWEEN $1 AND $2", "stream, seq"),
        (Some(_), Some(key)) => {
            params.push((key, Type::UUID));
            ("(stream, seq) >= ($5, $1) AND (stream, seq) <= ($5, $2)", "stream, seq")
        }
    };
    let sql = PAGE.replace("{filter}", filter).replace("{order}", order);
    let sql = sql.replace("{conversions}", conversions::OF_ENTRY);
    // The head first: what is committed after it was read is not claimed to be in the page.
    let head = client.query_typed_one("SELECT head FROM wal_head", &[]);
    let (head, rows) = try_join(head, client.query_typed(&sql, &params)).await.map_err(fault)?;
    let mut pages = Pages { entries: Vec::new(), complete_through: page.through.min(seq_of(head.get(0))) };
    for row in rows {
        if !row.get::<_, bool>("fits") {
            pages.complete_through = seq_of(row.get("seq")).prev();
            break;
        }
        pages.entries.push(Arc::new(entry(&row)?));
    }
    Ok(pages)
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    let seq = seq_of(row.get("seq"));
    let strange = |what: &str| StoreError::Refused(format!("entry {seq} has a strange {what}"));
    let op = Op::parse(row.get("op")).ok_or_else(|| strange("op"))?;
    let effect = match row.get::<_, Option<&str>>("effect") {
        Some(text) => Some(serde_json::from_str::<Effect>(text).map_err(|_| strange("effect"))?),
        None => None,
    };
    let draft = Draft {
        write_id: row.get("write_id"),
        op,
        target: row.get::<_, Option<Uuid>>("target"),
        method: row.get("method"),
        path: row.get("path"),
        body: row.get::<_, Option<Vec<u8>>>("data").map(Bytes::from).unwrap_or_default(),
        headers: headers_from_json(row.get("headers")),
    };
    // A pending record entry may be accepted or not: only the cursors know.
    let done = matches!(row.get::<_, Option<&str>>("status"), Some("completed" | "failed"));
    let decision = (done || row.get("accepted")).then_some(Decision::Accepted);
    let logged_at_ms = u64::try_from(row.get::<_, Option<i64>>("logged_at_ms").unwrap_or_default());
    let entry = Entry::new(seq, draft, logged_at_ms.unwrap_or_default());
    let entry = entry.keyed(row.get("keyed")).acknowledged(row.get("acknowledged"));
    for (node, ids) in conversions::read(row.get("conversions")) {
        entry.convert(node, ids);
    }
    Ok(entry.recovered(effect, decision))
}

pub(super) fn headers_from_json(value: Option<Value>) -> Vec<(String, String)> {
    match value {
        Some(Value::Object(map)) => map
            .into_iter()
            .filter_map(|(name, value)| value.as_str().map(|value| (name, value.to_owned())))
            .collect(),
        Some(pairs) => serde_json::from_value(pairs).unwrap_or_default(),
        None => Vec::new(),
    }
}
