//! What did operators do? Rows are added with the change they tell of, in its transaction, and read
//! back a page at a time. It refuses to change or remove one.

use chroma_ha_core::operator::{AuditPage, AuditRow, Deed};
use chroma_ha_core::port::StoreError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};

use super::entries::storable;
use super::pool::{fault, run};

pub(super) async fn add(tx: &Transaction<'_>, deed: &Deed) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit_log (actor, action, target, outcome, detail) VALUES ($1, $2, $3, $4, $5)";
    let texts =
        [&deed.actor, &deed.action, &deed.target, &deed.outcome, &deed.detail].map(|text| storable(text));
    let row = texts.each_ref().map(|text| (text as &(dyn ToSql + Sync), Type::TEXT));
    run(tx, sql, &row).await
}

pub(super) async fn page(client: &Client, page: AuditPage) -> Result<Vec<AuditRow>, StoreError> {
    let sql = "SELECT id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS at, \
            actor, action, target, outcome, detail \
        FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let (before, limit) = (page.before.unwrap_or(i64::MAX), i64::from(page.limit));
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&before, Type::INT8), (&limit, Type::INT8)];
    Ok(client.query_typed(sql, &params).await.map_err(fault)?.iter().map(row).collect())
}

fn row(row: &Row) -> AuditRow {
    let deed = Deed {
        actor: row.get("actor"),
        action: row.get("action"),
        target: row.get("target"),
        outcome: row.get("outcome"),
        detail: row.get("detail"),
    };
    AuditRow { id: row.get("id"), at: row.get("at"), deed }
}
