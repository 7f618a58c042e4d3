//! Who may sequence? One session holds an advisory lock; a number, the epoch, fences every balancer
//! that held it before. It refuses to guess: without a living session there is no lease.

use std::time::Duration;

use chroma_ha_core::ids::Seq;
use chroma_ha_core::port::{Recovered, StoreError};
use tokio_postgres::{Statement, Transaction};

use super::pool::{Session, fault};
use super::{catalog, copies, entries, seq_of};

/// A holder that let its session idle for longer is taken for dead and its session ended by whoever
/// waits for the lease. A holder must therefore `check` several times within this time.
pub const LEASE: Duration = Duration::from_secs(10);

/// The advisory lock: "chromaha" in ASCII.
pub(super) const LOCK: i64 = 0x6368_726f_6d61_6861;

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
    /// Another balancer holds it; the session is kept for the next attempt.
    Busy(Session),
}

pub(super) async fn take(mut session: Session, holder: Option<&str>) -> Result<Attempt, StoreError> {
    let row = session.client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await.map_err(fault)?;
    if !row.get::<_, bool>(0) {
        evict(&session).await?;
        return Ok(Attempt::Busy(session));
    }
    let tx = session.client.transaction().await.map_err(fault)?;
    // Waits for what the last holder has under way (see `fence`); after it, that holder changes nothing.
    let bump = "UPDATE wal_lease SET epoch = epoch + 1, holder = $1, acquired_at = now() RETURNING epoch";
    let epoch: i64 = tx.query_one(bump, &[&holder]).await.map_err(fault)?.get(0);
    let head = recover_head(&tx).await?;
    copies::set_aside(&tx).await?;
    let recovered = catalog::recover(&tx, head, u64::try_from(epoch).unwrap_or_default()).await?;
    tx.commit().await.map_err(fault)?;
    let append = session.client.prepare(entries::APPEND).await.map_err(fault)?;
    let append_claiming = session.client.prepare(entries::APPEND_CLAIMING).await.map_err(fault)?;
    Ok(Attempt::Taken(Box::new(Held { session, epoch, append, append_claiming }), recovered))
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
    let sql = "SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
          AND (l.classid::bigint << 32 | l.objid::bigint) = $1 \
          AND a.state = 'idle' AND a.state_change < now() - make_interval(secs => $2)";
    session.client.query(sql, &[&LOCK, &LEASE.as_secs_f64()]).await.map_err(fault)?;
    Ok(())
}

/// Whether the session answers and nobody took the lease over.
pub(super) async fn check(held: &Held) -> Result<(), StoreError> {
    let row = held.session.client.query_one("SELECT epoch FROM wal_lease", &[]).await.map_err(fault)?;
    same_epoch(row.get(0), held.epoch)
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
pub(super) async fn release(held: &Held) -> Result<(), StoreError> {
    held.session.client.batch_execute("SELECT pg_advisory_unlock_all()").await.map_err(fault)
}

/// The address under which the last holder said it can be reached.
pub(super) async fn holder(client: &tokio_postgres::Client) -> Result<Option<String>, StoreError> {
    let rows = client.query_typed("SELECT holder FROM wal_lease", &[]).await.map_err(fault)?;
    Ok(rows.first().and_then(|row| row.get(0)))
}
