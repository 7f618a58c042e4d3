//! How is the log kept in PostgreSQL? All SQL of the program lives in this room. It refuses to decide
//! anything about an entry: it stores what it is told, for the holder of the lease alone.

mod archive;
mod audit;
mod catalog;
mod conversions;
mod copies;
mod doubts;
mod entries;
mod failovers;
mod holding;
mod lease;
mod letters;
mod migrate;
mod orders;
mod outcomes;
mod pool;
mod quarantine;
mod reads;
mod record;
mod settings;
mod tls;
mod writes;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chroma_ha_core::entry::Entry;
use chroma_ha_core::idempotency::{Claimed, Fate};
use chroma_ha_core::ids::Seq;
use chroma_ha_core::lease::Company;
use chroma_ha_core::operator::{AuditPage, AuditRow, Flushed, LetterPage, LetterRow, WritePage, WriteRow};
use chroma_ha_core::port::{BoxFuture, Change, LogStore, Page, Pages, Recovered, StoreError};

use uuid::Uuid;

pub use archive::{Archive, LogPage, Marks};
pub use lease::LEASE;
pub use migrate::{MigrationReport, ServerFacts, check, migrate};
pub use settings::{Settings, SettingsError};

use lease::{Held, Identity};
use pool::{Connections, Pooled, Session, within};

/// Target of the log lines of the driver below, which tells statements with their values.
pub const DRIVER: &str = "tokio_postgres";

/// The log in PostgreSQL. One value per arbiter: its connections belong to the runtime that first
/// uses them. At most three are open: the lease's and two of a pool.
pub struct PgLog {
    settings: Settings,
    own: Identity,
    /// The lease was released for good: this balancer is not one of the living any more.
    parted: AtomicBool,
    pool: OnceLock<Connections>,
    held: Mutex<Option<Arc<Held>>>,
    /// The session that waits for the lease; its lock lets one attempt run at a time.
    waiting: tokio::sync::Mutex<Option<Session>>,
}

impl PgLog {
    pub fn new(settings: Settings) -> PgLog {
        PgLog {
            settings,
            own: Identity::fresh(),
            parted: AtomicBool::new(false),
            pool: OnceLock::new(),
            held: Mutex::new(None),
            waiting: tokio::sync::Mutex::new(None),
        }
    }

    /// Tells the others where this balancer can be reached.
    pub fn advertising(mut self, address: String) -> PgLog {
        self.own.address = Some(address);
        self
    }

    /// For how long its lease is good without a check.
    pub fn leasing(mut self, lease: Duration) -> PgLog {
        self.own.lease = lease;
        self
    }

    async fn connection(&self) -> Result<Pooled<'_>, StoreError> {
        self.pool.get_or_init(|| Connections::new(&self.settings)).get().await
    }

    /// How far each node was when that was written last.
    pub async fn flushed(&self) -> Result<Vec<Flushed>, StoreError> {
        within("reading cursors", async { writes::flushed(&*self.connection().await?).await }).await
    }

    async fn do_record(&self, epoch: i64, changes: &[Change]) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        within("recording", record::commit(&mut connection, epoch, changes)).await?;
        // Besides the transaction, each batch with a patience of its own: a backlog takes its time.
        if let Some(through) = record::completed(changes) {
            while within("completing", entries::complete_batch(&connection, epoch, through)).await? {}
        }
        Ok(())
    }

    async fn do_expire(&self, days: u32, through: Seq, limit: u32) -> Result<u64, StoreError> {
        let epoch = self.held()?.epoch;
        let mut connection = self.connection().await?;
        let mut gone = 0;
        loop {
            let left = limit.saturating_sub(count(gone));
            let batch = entries::expire_batch(&mut connection, epoch, days, through, left);
            let removed = within("removing old entries", batch).await?;
            gone += removed;
            if removed == 0 || gone >= u64::from(limit) {
                break;
            }
        }
        let old = outcomes::expire(&mut connection, epoch, days, limit);
        gone += within("forgetting old outcomes", old).await?;
        within("forgetting deleted collections", catalog::forget(&connection)).await?;
        within("forgetting closed dead letters", letters::expire(&connection, days)).await?;
        Ok(gone)
    }
}

impl LogStore for PgLog {
    fn acquire(&self) -> BoxFuture<'_, Result<Option<Recovered>, StoreError>> {
        Box::pin(within("taking the lease", self.try_acquire()))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let held = self.held()?;
            self.judge(&held, within("checking the lease", lease::check(&held, &self.own)).await)
        })
    }

    fn append(&self, entries: Vec<Arc<Entry>>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let held = self.held()?;
            self.judge(&held, within("appending", entries::append(&held, &entries)).await)
        })
    }

    fn record(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let held = self.held()?;
            match self.do_record(held.epoch, &changes).await {
                // An outage of the pool says nothing about the lease's own session.
                Err(lost @ StoreError::LeaseLost(_)) => self.judge(&held, Err(lost)),
                result => result,
            }
        })
    }

    fn page(&self, page: Page) -> BoxFuture<'_, Result<Pages, StoreError>> {
        Box::pin(within(
            "reading entries",
            async move { reads::page(&*self.connection().await?, &page).await },
        ))
    }

    fn find(&self, write_id: String) -> BoxFuture<'_, Result<Option<WriteRow>, StoreError>> {
        Box::pin(within("finding a write", async move {
            writes::find(&*self.connection().await?, &write_id).await
        }))
    }

    fn writes(&self, page: WritePage) -> BoxFuture<'_, Result<Vec<WriteRow>, StoreError>> {
        Box::pin(within(
            "listing writes",
            async move { writes::page(&*self.connection().await?, &page).await },
        ))
    }

    fn body(&self, write_id: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(within("reading a write's body", async move {
            writes::body(&*self.connection().await?, &write_id).await
        }))
    }

    fn recall(&self, key: [u8; 32]) -> BoxFuture<'_, Result<Option<Claimed>, StoreError>> {
        Box::pin(within("recalling a write", async move {
            outcomes::recall(&*self.connection().await?, key).await
        }))
    }

    fn fates(&self, seqs: Vec<Seq>) -> BoxFuture<'_, Result<Vec<(Seq, Fate)>, StoreError>> {
        Box::pin(within(
            "reading fates",
            async move { outcomes::fates(&*self.connection().await?, &seqs).await },
        ))
    }

    fn audit(&self, page: AuditPage) -> BoxFuture<'_, Result<Vec<AuditRow>, StoreError>> {
        Box::pin(within(
            "reading the audit",
            async move { audit::page(&*self.connection().await?, page).await },
        ))
    }

    fn letters(&self, page: LetterPage) -> BoxFuture<'_, Result<Vec<LetterRow>, StoreError>> {
        Box::pin(within("reading dead letters", async move {
            letters::page(&*self.connection().await?, &page).await
        }))
    }

    fn holder(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(within("reading the holder", async { lease::holder(&*self.connection().await?).await }))
    }

    fn expire(&self, days: u32, through: Seq, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.do_expire(days, through, limit))
    }

    fn company(&self, drained: Vec<Uuid>) -> BoxFuture<'_, Result<Company, StoreError>> {
        Box::pin(within("looking for other balancers", async move {
            let present = (!self.parted.load(Ordering::Relaxed)).then_some(drained);
            lease::company(&*self.connection().await?, &self.own, present).await
        }))
    }

    fn release(&self, quiet: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        self.parted.store(true, Ordering::Relaxed);
        Box::pin(within("releasing the lease", async move {
            if let Ok(held) = self.held() {
                lease::release(&held, &self.own, quiet).await?;
            }
            self.let_go().await;
            Ok(())
        }))
    }
}

/// A position as PostgreSQL holds it.
fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn seq_of(number: i64) -> Seq {
    Seq(u64::try_from(number).unwrap_or_default())
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
