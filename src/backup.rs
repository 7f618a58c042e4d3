//! How are all collections saved at one position of the log while writes go on, and brought back? Reads through
//! the balancer and from the log's tables, writes files; restores through the balancer alone, so that every
//! change is in its log. What is a backup and what restores it, `core::backup` decides.

mod balancer;
mod check;
mod compare;
mod fill;
mod folder;
mod missing;
mod positions;
mod restore;
mod save;
mod tail;

use std::time::Duration;

use crate::failure::Failure;
use crate::postgres::{Archive, Settings};
use crate::terminal;

pub(crate) use check::check;
pub(crate) use restore::{Choice, Restore, To, When, restore};
pub(crate) use save::save;
pub(crate) use tail::save_log;

use balancer::Balancer;

pub(crate) use balancer::Way;

/// Where the cluster is.
pub(crate) struct Cluster {
    balancer: Balancer,
    archive: Archive,
}

impl Cluster {
    /// `again`: for how long a request that nobody serves is tried again.
    pub(crate) fn at(way: Way, database_url: &str, again: Duration) -> Result<Cluster, Failure> {
        let settings = Settings::parse(database_url);
        let settings = settings.map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Cluster { balancer: Balancer::at(way, again), archive: Archive::new(settings) })
    }
}

/// A line for whoever waits.
fn tell(line: &str) {
    terminal::remark(terminal::printed(line));
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
