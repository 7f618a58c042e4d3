//! Who may sequence? One session holds an advisory lock; a number, the epoch, fences every balancer
//! that held it before. It refuses to guess: without a living session there is no lease, and a lease
//! that was not given back is waited out.

use std::time::Duration;

use chroma_ha_core::ids::Seq;
use chroma_ha_core::lease::{Company, Peer, PeerKey};
use chroma_ha_core::port::{Recovered, StoreError};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement, Transaction};
use uuid::Uuid;

use super::pool::{Session, fault};
use super::{catalog, copies, entries, orders, seq_of};

/// For how long a lease is good without a check, if nothing else is said. A holder that let its session
/// idle for longer is taken for dead and its session ended by whoever waits for the lease; so it must
/// `check` several times within this time.
pub const LEASE: Duration = Duration::from_secs(10);

/// The advisory lock: "chromaha" in ASCII.
pub(super) const LOCK: i64 = 0x6368_726f_6d61_6861;

/// Who this balancer is to the others.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) instance: Uuid,
    /// Where others reach it.
    pub(super) address: Option<String>,
    pub(super) lease: Duration,
}

impl Identity {
    /// Nobody yet: without an address it cannot be forwarded to.
    pub(super) fn fresh() -> Identity {
        Identity { instance: Uuid::new_v4(), address: None, lease: LEASE }
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The lease, as long as its session lives.
pub(super) struct Held {
    pub(super) session: Session,
    pub(super) epoch: i64,
    pub(super) append: Statement,
    /// For groups in which a write bears a key.
    pub(super) append_claiming: Statement,
}

/// What became of an attempt.
pub(super) enum Attempt {
    Taken(Box<Held>, Recovered),
    /// Another balancer holds it, or may still think that it does; the session is kept.
    Busy(Session),
}

pub(super) async fn take(mut session: Session, own: &Identity) -> Result<Attempt, StoreError> {
    let row = session.client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await.map_err(fault)?;
    if !row.get::<_, bool>(0) {
        evict(&session).await?;
        return Ok(Attempt::Busy(session));
    }
    if !is_over(&session.client, own).await? {
        session.client.batch_execute("SELECT pg_advisory_unlock_all()").await.map_err(fault)?;
        return Ok(Attempt::Busy(session));
    }
    let tx = session.client.transaction().await.map_err(fault)?;
    let quiet: bool =
        tx.query_one("SELECT quiet FROM wal_lease FOR UPDATE", &[]).await.map_err(fault)?.get(0);
    // Waits for what the last holder has under way (see `fence`); after it, that holder changes nothing.
    let bump = "UPDATE wal_lease SET epoch = epoch + 1, holder = $1, instance = $2, lease_ms = $3, \
        acquired_at = now(), released = false, quiet = false RETURNING epoch";
    let taken = tx.query_one(bump, &[&own.address, &own.instance, &own.lease_ms()]).await;
    let epoch: i64 = taken.map_err(fault)?.get(0);
    tx.execute(SEEN, &[&own.instance, &own.address]).await.map_err(fault)?;
    tx.execute(FORGET, &[]).await.map_err(fault)?;
    let head = recover_head(&tx).await?;
    copies::set_aside(&tx).await?;
    let mut recovered = catalog::recover(&tx, head, u64::try_from(epoch).unwrap_or_default()).await?;
    recovered.quiet = quiet;
    tx.commit().await.map_err(fault)?;
    let append = session.client.prepare(entries::APPEND).await.map_err(fault)?;
    let append_claiming = session.client.prepare(entries::APPEND_CLAIMING).await.map_err(fault)?;
    Ok(Attempt::Taken(Box::new(Held { session, epoch, append, append_claiming }), recovered))
}

/// Whether the last holder cannot think any more that it holds the lease: it gave it back, it is this
/// very process or was in its place (where one process listens at a time), or its time is over. That its
/// session is gone proves nothing: it may not have noticed yet.
async fn is_over(client: &Client, own: &Identity) -> Result<bool, StoreError> {
    let sql = "SELECT l.released OR l.instance IS NULL OR l.instance = $1 OR coalesce(l.holder = $2, false) \
            OR greatest(b.seen_at, l.acquired_at) \
                < clock_timestamp() - make_interval(secs => l.lease_ms / 1000.0) \
        FROM wal_lease l LEFT JOIN wal_balancers b ON b.instance = l.instance";
    let row = client.query_one(sql, &[&own.instance, &own.address]).await.map_err(fault)?;
    Ok(row.get(0))
}

/// The head never moves back, whatever was deleted or restored by hand.
async fn recover_head(tx: &Transaction<'_>) -> Result<Seq, StoreError> {
    let sql = "UPDATE wal_head SET head = greatest(head, \
            (SELECT max(seq) FROM wal_pending_writes), \
            (SELECT max(greatest(applied_seq, catalog_seq)) FROM wal_cursors)) RETURNING head";
    Ok(seq_of(tx.query_one(sql, &[]).await.map_err(fault)?.get(0)))
}

/// Ends the session of a holder that stopped checking: its process may be paused, with the kernel
/// keeping its connection alive for ever. What it still had open is rolled back.
async fn evict(session: &Session) -> Result<(), StoreError> {
    let sql = "SELECT pg_terminate_backend(a.pid) FROM wal_lease h, pg_locks l JOIN pg_stat_activity a USING (pid) \
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
          AND (l.classid::bigint << 32 | l.objid::bigint) = $1 \
          AND a.state = 'idle' AND a.state_change < now() - make_interval(secs => h.lease_ms / 1000.0)";
    session.client.query(sql, &[&LOCK]).await.map_err(fault)?;
    Ok(())
}

/// This balancer lives. Written at least every tenth of the shortest lease, because a lease is over that
/// long after it, and no more often than it is worth.
const SEEN: &str = "INSERT INTO wal_balancers (instance, address, seen_at) VALUES ($1, $2, clock_timestamp()) \
    ON CONFLICT (instance) DO UPDATE SET seen_at = excluded.seen_at, address = excluded.address \
    WHERE wal_balancers.seen_at < excluded.seen_at - interval '100 ms'";

/// Balancers that went without a word.
const FORGET: &str = "DELETE FROM wal_balancers WHERE seen_at < now() - interval '1 day'";

/// Whether the session answers and nobody took the lease over.
pub(super) async fn check(held: &Held, own: &Identity) -> Result<(), StoreError> {
    let client = &held.session.client;
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&own.instance, Type::UUID), (&own.address, Type::TEXT)];
    client.execute_typed(SEEN, &params).await.map_err(fault)?;
    let row = client.query_one("SELECT epoch FROM wal_lease", &[]).await.map_err(fault)?;
    same_epoch(row.get(0), held.epoch)
}

/// As `SEEN`; and these drains are carried out here.
const SEEN_DRAINED: &str = "INSERT INTO wal_balancers (instance, address, seen_at, drained) \
    VALUES ($1, $2, clock_timestamp(), $3) \
    ON CONFLICT (instance) DO UPDATE \
        SET seen_at = excluded.seen_at, address = excluded.address, drained = excluded.drained \
    WHERE wal_balancers.seen_at < excluded.seen_at - interval '100 ms' \
        OR wal_balancers.drained <> excluded.drained";

/// Who else is there. `present`: this balancer is one of them, and has carried out these drains.
pub(super) async fn company(
    client: &Client,
    own: &Identity,
    present: Option<Vec<Uuid>>,
) -> Result<Company, StoreError> {
    let whoami: [(&(dyn ToSql + Sync), Type); 2] = [(&own.instance, Type::UUID), (&own.address, Type::TEXT)];
    if let Some(drained) = present {
        let [instance, address] = whoami.clone();
        let row = [instance, address, (&drained, Type::UUID_ARRAY)];
        client.execute_typed(SEEN_DRAINED, &row).await.map_err(fault)?;
    }
    let sql = format!(
        "SELECT l.epoch, l.peer_key, {} AS followed, \
            CASE WHEN NOT l.released AND l.instance <> $1 AND l.holder IS DISTINCT FROM $2 \
                THEN l.holder END AS holder, \
            array(SELECT b.address FROM wal_balancers b \
                WHERE b.instance <> $1 AND b.address IS DISTINCT FROM $2 AND b.address IS NOT NULL \
                AND b.seen_at > clock_timestamp() - make_interval(secs => l.lease_ms / 1000.0)) AS others \
        FROM wal_lease l",
        orders::FOLLOWED
    );
    let row = client.query_typed_one(&sql, &whoami).await.map_err(fault)?;
    let epoch = u64::try_from(row.get::<_, i64>("epoch")).unwrap_or_default();
    let holder = row.get::<_, Option<String>>("holder").map(|address| Peer { address, epoch });
    Ok(Company {
        holder,
        others: row.get("others"),
        key: PeerKey(row.get("peer_key")),
        followed: orders::read(row.get("followed"))?,
    })
}

/// Holds the epoch still until the transaction ends; fails when it is not ours any more.
pub(super) async fn fence(tx: &Transaction<'_>, epoch: i64) -> Result<(), StoreError> {
    let rows = tx.query_typed("SELECT epoch FROM wal_lease FOR SHARE", &[]).await.map_err(fault)?;
    same_epoch(rows.first().map_or(0, |row| row.get(0)), epoch)
}

fn same_epoch(found: i64, ours: i64) -> Result<(), StoreError> {
    if found == ours {
        return Ok(());
    }
    Err(StoreError::LeaseLost(format!("the epoch is {found}, ours was {ours}")))
}

/// Gives the lock back, so that a waiting balancer gets it at once.
pub(super) async fn unlock(held: &Held) -> Result<(), StoreError> {
    held.session.client.batch_execute("SELECT pg_advisory_unlock_all()").await.map_err(fault)
}

/// Says how the lease ended, and gives it back. Nobody has to wait for its time to be over.
pub(super) async fn release(held: &Held, own: &Identity, quiet: bool) -> Result<(), StoreError> {
    let client = &held.session.client;
    let sql = "WITH gone AS (DELETE FROM wal_balancers WHERE instance = $3) \
        UPDATE wal_lease SET released = true, quiet = $2 WHERE epoch = $1";
    client.execute(sql, &[&held.epoch, &quiet, &own.instance]).await.map_err(fault)?;
    unlock(held).await
}

/// The address under which the last holder said it can be reached.
pub(super) async fn holder(client: &Client) -> Result<Option<String>, StoreError> {
    let rows = client.query_typed("SELECT holder FROM wal_lease", &[]).await.map_err(fault)?;
    Ok(rows.first().and_then(|row| row.get(0)))
}
