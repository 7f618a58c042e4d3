//! Where do the verbs lead? The one file through which the command line reaches `boot`, `dev`,
//! `postgres` and `slack`. It holds no work of its own.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::SystemTime;

use chroma_ha_core::alert;

use crate::boot::{self, BootError};
use crate::config::{Config, ConfigErrors, MonitorConfig, Secret};
use crate::dev::{self, Parts, Progress, Toolbox};
use crate::postgres::{self, Settings};
use crate::slack::Slack;
use crate::terminal::remark;

mod database;

pub(super) use crate::dev::Options as DevOptions;
pub(super) use crate::postgres::DRIVER;
pub(super) use database::{Database, database};

/// Why `dev` ended.
#[derive(Debug, thiserror::Error)]
enum DevError {
    #[error(transparent)]
    Dev(#[from] dev::Error),
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error("{0}")]
    Config(ConfigErrors),
}

pub(super) fn serve(config: Config) -> ExitCode {
    end(actix_rt::System::new().block_on(boot::serve(config)))
}

pub(super) fn monitor(config: MonitorConfig) -> ExitCode {
    end(actix_rt::System::new().block_on(boot::monitor(config)))
}

/// What Slack answers to a test message; an error if it did not take it.
pub(super) async fn alert_test(webhook: Secret, service: &str) -> Result<String, String> {
    let slack = Slack::try_new(webhook, service).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let alert = alert::test(service, u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let answer = slack.post(&alert).await.map_err(|error| error.to_string())?;
    let said = format!("status {} {}", answer.status, answer.text).trim_end().to_owned();
    if (200..300).contains(&answer.status) { Ok(said) } else { Err(said) }
}

pub(super) fn dev(options: DevOptions) -> ExitCode {
    let toolbox = match Toolbox::from_env(Progress::stderr()) {
        Ok(toolbox) => toolbox,
        Err(error) => return end::<dev::Error>(Err(error)),
    };
    match actix_rt::System::new().block_on(dev::run(options, toolbox, serve_parts)) {
        // Ctrl-C is how `dev` is meant to end.
        Ok(()) | Err(DevError::Dev(dev::Error::Interrupted)) => ExitCode::SUCCESS,
        Err(error) => end::<DevError>(Err(error)),
    }
}

/// The balancer on the parts that run beside it; every other setting comes from the environment.
async fn serve_parts(parts: Parts) -> Result<(), DevError> {
    let mut variables: std::collections::BTreeMap<String, String> = super::environment().collect();
    variables.entry("BIND_ADDRESS".to_owned()).or_insert_with(|| "127.0.0.1".to_owned());
    variables.insert("DATABASE_URL".to_owned(), parts.database_url);
    variables.insert("PRIMARY_URL".to_owned(), parts.primary_url);
    variables.insert("REPLICA_URL".to_owned(), parts.replica_url);
    variables.insert("PORT".to_owned(), parts.port.to_string());
    let (config, warnings) = Config::from_env(variables.into_iter()).map_err(DevError::Config)?;
    warnings.iter().for_each(|warning| remark(format_args!("warning: {warning}")));
    let _logging = super::logging::start(&config.log, &config.listen.service_name);
    Ok(boot::serve(config).await?)
}

pub(super) fn migrate(config: &Config) -> Result<String, String> {
    let settings = settings(config)?;
    super::on_runtime(async move {
        let report = postgres::migrate(&settings).await.map_err(|error| error.to_string())?;
        Ok(match report.applied.len() {
            0 => format!("the schema is up to date (version {})", report.version),
            _ => {
                format!("applied {}; the schema is at version {}", report.applied.join(", "), report.version)
            }
        })
    })
}

/// Version and schema, or why the database cannot be used.
pub(super) async fn check_database(config: &Config) -> Result<String, String> {
    let facts = postgres::check(&settings(config)?).await.map_err(|error| error.to_string())?;
    let schema = facts.schema_version.map_or("no schema yet".to_owned(), |v| format!("schema version {v}"));
    let tls = if facts.ssl { "TLS" } else { "no TLS" };
    if facts.read_only {
        return Err(format!("PostgreSQL {} is read-only; give the primary server", facts.version));
    }
    Ok(format!(
        "PostgreSQL {}, {tls}, {schema}, {} of {} connections used",
        facts.version, facts.connections, facts.max_connections
    ))
}

fn settings(config: &Config) -> Result<Settings, String> {
    Settings::parse(config.database.url.expose()).map_err(|error| error.to_string())
}

fn end<E: Display>(ended: Result<(), E>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            remark(format_args!("chroma-ha: {error}"));
            ExitCode::FAILURE
        }
    }
}
