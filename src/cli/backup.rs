//! What is to be saved or restored, and where? Reads the command line and DATABASE_URL; `backup` does it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::backup::{self, Choice, Cluster, To, Way, When};

use super::outcome::{Failure, Outcome};
use super::wire;

#[derive(Debug, Args)]
struct Target {
    /// Base URL of the balancer; by default this machine at PORT. The log is read from DATABASE_URL,
    /// the key from CHROMA_HA_KEY or ADMIN_TOKEN.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// For how long it is tried again while no balancer or node can serve.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
}

#[derive(Debug, Args)]
pub(super) struct Save {
    /// The backup's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The backup's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// To this position of the log; by default to the last one saved.
    #[arg(long, value_name = "N", conflicts_with_all = ["to_time", "before_write"])]
    to_position: Option<u64>,
    /// To this time, as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", conflicts_with = "before_write")]
    to_time: Option<String>,
    /// To the position before this write (x-chroma-ha-write-id).
    #[arg(long, value_name = "WRITE_ID")]
    before_write: Option<String>,
    /// Only this collection, into whatever cluster, under another name or with --missing.
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Of the collection.
    #[arg(long, default_value = "default_tenant", requires = "collection")]
    tenant: String,
    /// Of the collection.
    #[arg(long, default_value = "default_database", requires = "collection")]
    database: String,
    /// The name that the restored collection gets; by default its own.
    #[arg(long = "as", value_name = "NAME", requires = "collection", conflicts_with = "missing")]
    to_name: Option<String>,
    /// Put only records back into the live collection that are absent there; with --before-write of a delete,
    /// only what that deleted.
    #[arg(long, requires = "collection")]
    missing: bool,
    /// Go on with a restore that broke off.
    #[arg(long, conflicts_with = "collection")]
    resume: bool,
    #[command(flatten)]
    target: Target,
}

fn cluster(target: Target) -> Result<Cluster, Failure> {
    let url = wire::url(target.url.as_deref());
    let way = Way { url, client: wire::client()?, with_key: wire::with_key };
    let missing = || Failure::Usage("DATABASE_URL is not set: the log is read from there".to_owned());
    let database = wire::set("DATABASE_URL").ok_or_else(missing)?;
    Cluster::at(way, &database, Duration::from_secs(target.patience))
}

pub(super) async fn save(options: Save) -> Outcome {
    backup::save(cluster(options.target)?, &options.folder).await
}

pub(super) async fn save_log(options: Save) -> Outcome {
    backup::save_log(cluster(options.target)?, &options.folder).await
}

pub(super) fn verify(options: &Verify) -> Result<String, String> {
    backup::check(&options.folder)
}

pub(super) async fn restore(options: Restore) -> Outcome {
    let Restore { folder, to_position, to_time, before_write, .. } = options;
    let when = match (to_position, to_time, before_write) {
        (Some(position), ..) => When::Position(position),
        (_, Some(time), _) => When::Time(time),
        (.., Some(write)) => When::BeforeWrite(write),
        _ => When::End,
    };
    let choice = match options.collection {
        None => Choice::All { resume: options.resume },
        Some(name) => {
            let to = match options.missing {
                true => To::Missing,
                false => To::Name(options.to_name.unwrap_or_else(|| name.clone())),
            };
            Choice::Collection { tenant: options.tenant, database: options.database, name, to }
        }
    };
    backup::restore(cluster(options.target)?, backup::Restore { path: folder, when, choice }).await
}
