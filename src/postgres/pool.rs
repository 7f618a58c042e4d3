//! How are sessions opened, shared and given up, and what does an error of PostgreSQL mean to the log?
//! It holds no SQL about the log, and lets nothing wait without a limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bb8::{ManageConnection, Pool, PooledConnection};
use bb8_postgres::PostgresConnectionManager;
use chroma_ha_core::port::StoreError;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::Settings;

/// How long any answer is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Connections of one `PgLog` besides the lease's. Two balancers, each with a lease, a pool and a
/// migration session, must leave room in a server with `max_connections = 20`.
const POOLED: u32 = 2;

/// The server gives up a little before we do, so that most timeouts have a known outcome. A vanished
/// balancer's session, and with it its locks, ends within seconds: a transaction that was cut off holds the
/// lease's row, and whoever takes over waits for it. An acknowledged write is on disk:
/// a server default of `synchronous_commit = off` is overruled.
const SESSION: &str = "SET statement_timeout = '9s'; SET idle_in_transaction_session_timeout = '2s'; \
     SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
     SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'";

pub(super) type Pooled<'a> = PooledConnection<'a, Manager>;

/// A connection of its own, cut off the moment it is dropped: a session that holds the lease must
/// never outlive its owner.
pub(super) struct Session {
    pub(super) client: Client,
    driver: AbortHandle,
}

impl Session {
    pub(super) async fn open(settings: &Settings) -> Result<Session, StoreError> {
        let (client, connection) = settings.config.connect(settings.tls.clone()).await.map_err(fault)?;
        // Its error reaches whoever uses the client next; there is nobody to tell here.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        let session = Session { client, driver };
        session.client.batch_execute(SESSION).await.map_err(fault)?;
        Ok(session)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Ends the session now, even while others still hold it.
    pub(super) fn cut(&self) {
        self.driver.abort();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Opens the pool's connections. bb8 lets whoever waits for one that cannot be opened wait on until a
/// timeout without a cause; so failures are told to the waiting here.
pub(super) struct Manager {
    postgres: PostgresConnectionManager<MakeRustlsConnect>,
    failure: Arc<Failure>,
}

#[derive(Default)]
struct Failure {
    last: Mutex<Option<StoreError>>,
    happened: Notify,
}

impl ManageConnection for Manager {
    type Connection = Client;
    type Error = tokio_postgres::Error;

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let opened = async {
            let client = self.postgres.connect().await?;
            client.batch_execute(SESSION).await?;
            Ok(client)
        };
        let opened = opened.await;
        if let Err(error) = &opened {
            *self.failure.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault_of(error));
            self.failure.happened.notify_waiters();
        }
        opened
    }

    async fn is_valid(&self, client: &mut Client) -> Result<(), tokio_postgres::Error> {
        self.postgres.is_valid(client).await
    }

    fn has_broken(&self, client: &mut Client) -> bool {
        self.postgres.has_broken(client)
    }
}

/// A small pool that opens its connections when they are first needed, on the runtime that asks.
pub(super) struct Connections {
    pool: Pool<Manager>,
    failure: Arc<Failure>,
}

impl Connections {
    pub(super) fn new(settings: &Settings) -> Connections {
        let failure = Arc::new(Failure::default());
        let postgres = PostgresConnectionManager::new(settings.config.clone(), settings.tls.clone());
        let pool = Pool::builder()
            .max_size(POOLED)
            .min_idle(Some(0))
            .connection_timeout(PATIENCE)
            // The caller decides when to try again; and a dead connection is seen without asking it.
            .retry_connection(false)
            .test_on_check_out(false)
            .build_unchecked(Manager { postgres, failure: failure.clone() });
        Connections { pool, failure }
    }

    pub(super) async fn get(&self) -> Result<Pooled<'_>, StoreError> {
        loop {
            let failed = self.failure.happened.notified();
            tokio::pin!(failed);
            // From here on no failure is missed.
            failed.as_mut().enable();
            let connection = tokio::select! {
                biased;
                got = self.pool.get() => got.map_err(|_| unavailable("no free connection in time"))?,
                () = failed => {
                    let last = self.failure.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    return Err(last.unwrap_or_else(|| unavailable("no connection")));
                }
            };
            if !connection.is_closed() {
                return Ok(connection);
            }
        }
    }
}

fn unavailable(text: &str) -> StoreError {
    StoreError::Unavailable(text.to_owned())
}

/// Waits for `work`, but not for ever.
pub(super) async fn within<T>(
    doing: &str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            Err(StoreError::Unavailable(format!("no answer within {seconds} s while {doing}")))
        }
    }
}

pub(super) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// One statement that answers nothing.
pub(super) async fn run(tx: &Transaction<'_>, sql: &str, params: Params<'_>) -> Result<(), StoreError> {
    tx.execute_typed(sql, params).await.map(drop).map_err(fault)
}

/// What an error means to the log: come back later, or never.
pub(super) fn fault(error: tokio_postgres::Error) -> StoreError {
    fault_of(&error)
}

pub(super) fn fault_of(error: &tokio_postgres::Error) -> StoreError {
    let text = chain(error);
    match error.as_db_error() {
        Some(answer) if is_outage(answer.code()) => StoreError::Unavailable(text),
        Some(_) => StoreError::Refused(text),
        // Values that cannot be turned into SQL or back stay so.
        None if text.contains("serializing") => StoreError::Refused(text),
        None => StoreError::Unavailable(text),
    }
}

/// States of the server rather than defects of a statement. Classes 08 connection, 40 rollback (a
/// deadlock), 53 resources, 55P03 lock not available, 57 operator intervention (with timeouts), 58
/// system error, 25006 read only (a standby before its promotion).
fn is_outage(code: &SqlState) -> bool {
    let code = code.code();
    matches!(code.get(..2), Some("08" | "40" | "53" | "57" | "58")) || matches!(code, "25006" | "55P03")
}

/// The error with its causes, each once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
