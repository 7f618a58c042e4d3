//! Who may use a server of ours: the role `chroma_ha`, without special rights, and its databases.
//! Asking is also how we know that the server is ready. It knows no table of the balancer.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::super::{Error, Result};

/// The role and its database.
pub(super) const NAME: &str = "chroma_ha";

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) enum Unready {
    /// It may come up yet.
    NotYet(String),
    /// It answered, and will answer the same again.
    Refused(String),
}

/// Role and database exist when this succeeds.
pub(super) async fn prepare(port: u16, data: &Path) -> Result<(), Unready> {
    let client = connect(port).await.map_err(Unready::NotYet)?;
    let made = async {
        let row = client.query_one("SHOW data_directory", &[]).await?;
        if Path::new(row.get::<_, &str>(0)) != data {
            return Ok::<_, tokio_postgres::Error>(false);
        }
        unless_there(client.batch_execute(&format!("CREATE ROLE {NAME} LOGIN")).await)?;
        unless_there(client.batch_execute(&format!("CREATE DATABASE {NAME} OWNER {NAME}")).await)?;
        Ok(true)
    };
    match timeout(PATIENCE, made).await {
        Ok(Ok(true)) => Ok(()),
        // Then ours is about to notice that it cannot have the port.
        Ok(Ok(false)) => Err(Unready::NotYet("another server answers on its port".to_owned())),
        // A server that shuts down or still recovers is no refusal.
        Ok(Err(reason)) if reason.as_db_error().is_none() => Err(Unready::NotYet(reason.to_string())),
        Ok(Err(reason)) => Err(Unready::Refused(words(&reason))),
        Err(_) => Err(Unready::NotYet("no answer".to_owned())),
    }
}

pub(super) async fn create_database(port: u16, name: &str) -> Result<()> {
    let refused = |reason| Error::Setup { port, reason };
    let client = connect(port).await.map_err(refused)?;
    let quoted = name.replace('"', "\"\"");
    let made = client.batch_execute(&format!("CREATE DATABASE \"{quoted}\" OWNER {NAME}")).await;
    made.map_err(|reason| refused(words(&reason)))
}

fn unless_there(made: Result<(), tokio_postgres::Error>) -> Result<(), tokio_postgres::Error> {
    match made {
        Err(reason) if is_there(&reason) => Ok(()),
        other => other,
    }
}

fn is_there(reason: &tokio_postgres::Error) -> bool {
    reason.code() == Some(&SqlState::DUPLICATE_OBJECT) || reason.code() == Some(&SqlState::DUPLICATE_DATABASE)
}

async fn connect(port: u16) -> Result<Client, String> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("postgres").dbname("postgres").connect_timeout(PATIENCE);
    let connected = timeout(PATIENCE, config.connect(NoTls)).await.map_err(|_| "no answer".to_owned())?;
    let (client, connection) = connected.map_err(|reason| words(&reason))?;
    // Ends when the client is dropped.
    tokio::spawn(connection);
    Ok(client)
}

fn words(reason: &tokio_postgres::Error) -> String {
    reason.as_db_error().map_or_else(|| reason.to_string(), |refusal| refusal.message().to_owned())
}
