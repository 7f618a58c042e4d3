//! What does a backup read of the log? Positions, the catalog at one of them, entries with what became of them.
//! It writes nothing, and refuses to tell of an entry whose fate is open.

use std::collections::BTreeMap;

use chroma_ha_core::backup::{Logged, Moment, Names};
use chroma_ha_core::entry::Op;
use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::port::{Page, StoreError};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::pool::{Session, fault, within};
use super::reads;
use super::settings::Settings;
use super::{number, seq_of};

/// What one page holds at most.
const ENTRIES: usize = 500;
const BYTES: usize = 8 << 20;

/// Positions at one moment.
#[derive(Clone, Debug)]
pub struct Marks {
    pub log: Uuid,
    pub head: Seq,
    /// The log is whole after this position.
    pub low: Seq,
    /// Everything up to here is decided: what is not rejected is accepted.
    pub decided: Seq,
    pub at: Moment,
    /// The last change of each node's state that was kept, by its number.
    pub turns: BTreeMap<String, i64>,
    /// Nodes that follow the log: whatever may still change there is from after this position.
    pub safe: BTreeMap<String, Seq>,
}

/// Entries in log order.
#[derive(Debug)]
pub struct LogPage {
    pub entries: Vec<Logged>,
    /// Everything up to here is in the page.
    pub through: Seq,
}

/// The log as a backup reads it, over one connection that is opened again when it is lost.
pub struct Archive {
    settings: Settings,
    session: Option<Session>,
}

impl Archive {
    pub fn new(settings: Settings) -> Archive {
        Archive { settings, session: None }
    }

    async fn session(&mut self) -> Result<&mut Session, StoreError> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            let session = Session::open(&self.settings).await?;
            session.client.batch_execute("SET TimeZone = 'UTC'").await.map_err(fault)?;
            self.session = Some(session);
        }
        self.session.as_mut().ok_or_else(|| StoreError::Unavailable("no connection".to_owned()))
    }

    pub async fn marks(&mut self) -> Result<Marks, StoreError> {
        let session = self.session().await?;
        within("reading positions", async {
            // One statement, one snapshot.
            let sql = "SELECT i.id, h.head, l.low, floor(extract(epoch FROM now()) * 1000)::bigint AS ms, \
                    to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS text, \
                    coalesce((SELECT max(applied_seq) FROM wal_cursors WHERE joined), 0) AS decided, \
                    array(SELECT node FROM wal_cursors WHERE joined ORDER BY node) AS nodes, \
                    array(SELECT coalesce((SELECT max(f.id) FROM failover_history f WHERE f.node = c.node), 0) \
                        FROM wal_cursors c WHERE joined ORDER BY node) AS turns, \
                    array(SELECT least(c.applied_seq, \
                        (SELECT min(first_seq) - 1 FROM wal_doubts d WHERE d.node = c.node), \
                        (SELECT min(position) FROM catalog_copies k WHERE k.node = c.node AND begun = node_collection)) \
                        FROM wal_cursors c WHERE joined ORDER BY node) AS safe \
                FROM wal_identity i, wal_head h, wal_low l";
            let row = session.client.query_typed_one(sql, &[]).await.map_err(fault)?;
            let nodes: Vec<String> = row.get("nodes");
            let (turns, safe): (Vec<i64>, Vec<i64>) = (row.get("turns"), row.get("safe"));
            Ok(Marks {
                log: row.get("id"),
                head: seq_of(row.get("head")),
                low: seq_of(row.get("low")),
                decided: seq_of(row.get("decided")),
                at: Moment { ms: millis(row.get("ms")), text: row.get("text") },
                turns: nodes.iter().cloned().zip(turns).collect(),
                safe: nodes.into_iter().zip(safe.into_iter().map(seq_of)).collect(),
            })
        })
        .await
    }

    /// The catalog as it is, at one position: what an entry changes in it commits with its acceptance.
    pub async fn names(&mut self) -> Result<Names, StoreError> {
        let session = self.session().await?;
        within("reading the catalog", async {
            let build = session.client.build_transaction();
            let snapshot =
                build.isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).read_only(true);
            let tx = snapshot.start().await.map_err(fault)?;
            let all = async |sql: &str| tx.query_typed(sql, &[]).await.map_err(fault);
            let tenants = all("SELECT name FROM catalog_tenants ORDER BY name").await?;
            let databases =
                all("SELECT id, tenant, name FROM catalog_databases ORDER BY tenant, name").await?;
            let collections = all("SELECT id, tenant, database, name FROM catalog_collections \
                WHERE deleted_seq IS NULL ORDER BY tenant, database, name")
            .await?;
            let collection = |row: &Row| (CollectionId(row.get(0)), row.get(1), row.get(2), row.get(3));
            Ok(Names {
                tenants: tenants.iter().map(|row| row.get(0)).collect(),
                databases: databases.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
                collections: collections.iter().map(collection).collect(),
            })
        })
        .await
    }

    /// Entries after one position and up to another, all of which are decided.
    pub async fn entries(&mut self, after: Seq, through: Seq) -> Result<LogPage, StoreError> {
        let session = self.session().await?;
        let page = Page { stream: None, from: after.next(), through, max_entries: ENTRIES, max_bytes: BYTES };
        within("reading entries", async {
            let read = reads::page(&session.client, &page).await?;
            let through = read.complete_through;
            let mut entries: Vec<Logged> = rejected(session, after, through).await?;
            for entry in &read.entries {
                entries.push(Logged::accepted(entry).map_err(StoreError::Refused)?);
            }
            entries.sort_by_key(|logged| logged.seq);
            Ok(LogPage { entries, through })
        })
        .await
    }

    /// Which write is at a position; none where it was removed.
    pub async fn write_at(&mut self, seq: Seq) -> Result<Option<String>, StoreError> {
        let session = self.session().await?;
        let sql = "SELECT write_id FROM wal_pending_writes WHERE seq = $1";
        let found =
            session.client.query_typed_opt(sql, &[(&number(seq), Type::INT8)]).await.map_err(fault)?;
        Ok(found.map(|row| row.get(0)))
    }

    /// Milliseconds since the Unix epoch of a time as PostgreSQL understands it; UTC where it names no zone.
    pub async fn moment(&mut self, text: &str) -> Result<u64, StoreError> {
        let session = self.session().await?;
        let sql = "SELECT floor(extract(epoch FROM $1::text::timestamptz) * 1000)::bigint";
        let row = session.client.query_typed_one(sql, &[(&text, Type::TEXT)]).await.map_err(fault)?;
        Ok(millis(row.get(0)))
    }

    /// One of these ids that names, or has named, a collection here: of such a one the catalog or the log may still
    /// hold a deletion and writes that are from before it.
    pub async fn used_before(&mut self, ids: &[CollectionId]) -> Result<Option<CollectionId>, StoreError> {
        let session = self.session().await?;
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let sql = "SELECT id FROM catalog_collections WHERE id = ANY($1) \
            UNION ALL SELECT stream FROM wal_pending_writes WHERE stream = ANY($1) LIMIT 1";
        let found = session.client.query_typed_opt(sql, &[(&ids, Type::UUID_ARRAY)]).await.map_err(fault)?;
        Ok(found.map(|row| CollectionId(row.get(0))))
    }

    /// By what balancers of this log know each other: shown with what only they may ask.
    pub async fn peer_key(&mut self) -> Result<String, StoreError> {
        let session = self.session().await?;
        let row =
            session.client.query_typed_one("SELECT peer_key FROM wal_lease", &[]).await.map_err(fault)?;
        Ok(row.get(0))
    }
}

async fn rejected(session: &Session, after: Seq, through: Seq) -> Result<Vec<Logged>, StoreError> {
    let sql = "SELECT seq, write_id, op, round(extract(epoch FROM timestamp) * 1000)::bigint AS ms \
        FROM wal_pending_writes WHERE status = 'rejected' AND seq > $1 AND seq <= $2";
    let range = [
        (&number(after) as &(dyn tokio_postgres::types::ToSql + Sync), Type::INT8),
        (&number(through), Type::INT8),
    ];
    let rows = session.client.query_typed(sql, &range).await.map_err(fault)?;
    let logged = |row: &Row| {
        let seq = seq_of(row.get("seq"));
        let op = Op::parse(row.get("op"));
        let op = op.ok_or_else(|| StoreError::Refused(format!("entry {seq} has a strange op")))?;
        let ms = row.get::<_, Option<i64>>("ms").unwrap_or_default();
        Ok(Logged::rejected(seq, millis(ms), row.get("write_id"), op))
    };
    rows.iter().map(logged).collect()
}

fn millis(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
