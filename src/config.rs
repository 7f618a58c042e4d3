//! What was this balancer told to do? The whole environment, read and checked before anything is bound
//! or opened: one struct a concern. It reaches nobody, and no secret in it can be printed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use chroma_ha_core::alert::backlog::BacklogLimits;
use chroma_ha_core::health::HealthConfig;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::pressure::Thresholds;
use chroma_ha_core::routing::Strategy;

use crate::tls;

mod keys;
mod load;
mod monitor;
mod nodes;
mod problem;
mod reader;
mod secret;
pub mod table;
#[cfg(test)]
mod tests;
mod urls;

pub use keys::ApiKeys;
pub use monitor::MonitorConfig;
pub use problem::{ConfigErrors, Problem, Warning};
pub use secret::{RedactedUrl, Secret, redact};

/// Everything the environment says.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Listen,
    /// In order of preference: the primary first. A node's place is its `NodeId`.
    pub nodes: Vec<NodeConfig>,
    pub upstream: Upstream,
    pub database: Database,
    pub reads: Reads,
    pub health: HealthConfig,
    /// A probe unanswered for so long has failed.
    pub probe_timeout: Duration,
    pub limits: Limits,
    pub wal: Wal,
    pub pressure: Thresholds,
    pub alerts: Alerts,
    /// Key of `/admin/*`.
    pub admin_token: Option<Secret>,
    /// `None`: nobody is asked for a key.
    pub keys: Option<ApiKeys>,
    pub log: Log,
}

/// Where and under which name it serves.
#[derive(Clone, Debug)]
pub struct Listen {
    pub address: IpAddr,
    pub port: u16,
    pub workers: usize,
    pub service_name: String,
    /// Where other balancers reach this one; `None`: to be made from the host's name and the port.
    pub advertise_url: Option<RedactedUrl>,
    /// Certificate authorities trusted for other balancers, besides the system's.
    pub advertise_ca: Option<PathBuf>,
    /// `None`: plain HTTP.
    pub tls: Option<tls::Files>,
    /// Longest wait for requests in flight on stop.
    pub shutdown_timeout: Duration,
}

/// One Chroma server.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub id: NodeId,
    /// Without trailing slash.
    pub url: RedactedUrl,
    /// Sent with every request, in place of what its client sent under that name.
    pub auth: Option<NodeAuth>,
}

/// A credential for a node.
#[derive(Clone, Debug)]
pub struct NodeAuth {
    pub header: AuthHeader,
    pub token: Secret,
}

impl NodeAuth {
    /// Name and value of the header.
    pub fn header(&self) -> (&'static str, Secret) {
        match self.header {
            AuthHeader::Bearer => ("authorization", Secret::new(format!("Bearer {}", self.token.expose()))),
            AuthHeader::ChromaToken => ("x-chroma-token", self.token.clone()),
        }
    }
}

/// Which header carries a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthHeader {
    /// `Authorization: Bearer …`
    #[default]
    Bearer,
    /// `X-Chroma-Token: …`
    ChromaToken,
}

/// How nodes are reached.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Longest wait for a node's answer.
    pub request_timeout: Duration,
    /// Idle connections kept per node and worker.
    pub pool_size: usize,
    /// Certificate authorities trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where the log is kept.
#[derive(Clone, Debug)]
pub struct Database {
    pub url: RedactedUrl,
}

/// How reads are spread.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    pub strategy: Strategy,
    pub replica_ratio: f64,
}

/// What is taken in at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_concurrent_requests: usize,
    pub request_queue_size: usize,
    pub queue_timeout: Duration,
    pub max_body_bytes: usize,
    /// Bytes of request bodies held at once.
    pub max_body_memory: usize,
    pub max_connections: usize,
    /// A client that does nothing for so long in the middle of a request or an answer is let go.
    pub client_timeout: Duration,
    /// Longest time for a whole body.
    pub client_body_timeout: Duration,
    /// A connection on which nothing is asked for so long is closed.
    pub client_idle_timeout: Duration,
}

/// When a write is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteAck {
    /// In the log and applied on the acting node.
    #[default]
    Applied,
    /// Applied on every node that is up.
    All,
    /// In the log, if Chroma will surely take it; else as `Applied`.
    Log,
}

impl WriteAck {
    /// The spelling in the environment and in `x-chroma-ha-ack`.
    pub fn parse(word: &str) -> Option<WriteAck> {
        match word {
            "applied" => Some(WriteAck::Applied),
            "all" => Some(WriteAck::All),
            "log" => Some(WriteAck::Log),
            _ => None,
        }
    }
}

/// What happens to a collection that differed between nodes before the balancer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdoptConflict {
    /// It is served from the primary only, with an alert.
    #[default]
    Report,
    /// The primary's contents replace the others'.
    PrimaryWins,
}

/// How the log is kept and replayed.
#[derive(Clone, Debug)]
pub struct Wal {
    /// For how long the lease on the log is good without a check.
    pub lease_time: Duration,
    pub write_ack: WriteAck,
    /// Writes of one collection that the log may acknowledge ahead of their verdicts.
    pub most_ahead: usize,
    /// Entries merged into one request to a node.
    pub batch_size: usize,
    /// The same while a node is far behind; never below `batch_size`.
    pub high_volume_batch_size: usize,
    pub sync_interval: Duration,
    /// Between two verifications; zero: none by time.
    pub verify_interval: Duration,
    pub retry_attempts: u32,
    pub retry_delay: Duration,
    pub deletion_conversion: bool,
    /// Metadata key that names a document.
    pub deletion_key: String,
    pub retention_days: u32,
    /// Memory for queued entries per node.
    pub memory_bytes: usize,
    /// From where on a node's backlog is told.
    pub backlog: BacklogLimits,
    pub adopt_conflict: AdoptConflict,
}

/// Where alerts go.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// Set only if alerts are enabled.
    pub webhook: Option<Secret>,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// A filter of the `tracing` crate, checked.
    pub filter: String,
    /// Where spans are sent; `None`: nowhere.
    pub collector: Option<RedactedUrl>,
}

impl Config {
    /// Reads every variable of the table. All problems come back at once.
    pub fn from_env(
        vars: impl Iterator<Item = (String, String)>,
    ) -> Result<(Config, Vec<Warning>), ConfigErrors> {
        load::load(vars)
    }
}
