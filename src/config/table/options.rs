//! The rows of the table of variables, in the order in which people read them. Data only.

use super::Accepts::*;
use super::Preset::{self, Computed, Required, Unset, Value};
use super::{Accepts, Variable, joined};

mod bounds;

use bounds::BOUNDS;

const MIB: u64 = 1024 * 1024;

const fn row(
    name: &'static str,
    unit: &'static str,
    default: Preset,
    accepts: Accepts,
    meaning: &'static str,
) -> Variable {
    Variable { name, unit, default, accepts, meaning }
}

/// Every variable that `Config::from_env` reads.
pub const OPTIONS: &[Variable] =
    &joined::<{ FIRST.len() + BOUNDS.len() + LAST.len() }>([FIRST, BOUNDS, LAST]);

/// Up to how nodes are asked.
const FIRST: &[Variable] = &[
    row("PRIMARY_URL", "", Required, HttpUrl, "The primary Chroma server"),
    row("REPLICA_URL", "", Unset, HttpUrl, "A replica Chroma server"),
    row("REPLICA_URLS", "", Unset, HttpUrls, "More replicas, counted after the one of `REPLICA_URL`"),
    row("DATABASE_URL", "", Required, PostgresUrl, "The PostgreSQL database that keeps the write-ahead log"),
    row("BIND_ADDRESS", "", Value("0.0.0.0"), Address, "Address to listen on"),
    row("PORT", "", Value("8000"), Whole(1, 65_535), "TCP port to listen on"),
    row("WORKERS", "threads", Computed("number of cores, at most 8"), Whole(1, 256), "Web worker threads"),
    row("SERVICE_NAME", "", Value("chroma-ha"), Name, "Name shown in status, logs and alerts"),
    row(
        "ADVERTISE_URL",
        "",
        Computed("http://, BIND_ADDRESS or the host's name, and PORT"),
        HttpUrl,
        "Where other balancers on the same database reach this one, and no other",
    ),
    row("LEASE_TIME", "s", Value("10"), Decimal(1.0, 300.0), "A balancer silent for so long loses the log"),
    row(
        "SHUTDOWN_TIMEOUT",
        "s",
        Value("25"),
        Decimal(1.0, 600.0),
        "Longest wait for requests in flight on stop",
    ),
    row(
        "LOAD_BALANCE_STRATEGY",
        "",
        Value("optimized_read_replica"),
        Word(&["optimized_read_replica", "round_robin", "least_outstanding", "primary_only"]),
        "How reads are spread over the nodes that are up to date",
    ),
    row(
        "READ_REPLICA_RATIO",
        "share",
        Value("0.8"),
        Decimal(0.0, 1.0),
        "Share of the reads for replicas under `optimized_read_replica`",
    ),
    row("CHECK_INTERVAL", "s", Value("0.5"), Decimal(0.1, 60.0), "Time between two probes of a calm node"),
    row(
        "PROBE_TIMEOUT",
        "s",
        Value("0.75"),
        Decimal(0.05, 60.0),
        "A probe unanswered for so long has failed",
    ),
    row("FAILURE_THRESHOLD", "probes", Value("3"), Whole(1, 100), "Failed probes in a row until it is down"),
    row(
        "RECOVERY_THRESHOLD",
        "probes",
        Value("2"),
        Whole(1, 100),
        "Good probes in a row until a node returns",
    ),
    row(
        "SETTLE_TIME",
        "s",
        Value("1.0"),
        Decimal(0.0, 60.0),
        "How long a returning node is left alone before anything is applied to it",
    ),
    row("REQUEST_TIMEOUT", "s", Value("60"), Decimal(0.1, 3600.0), "Longest wait for a node's answer"),
];

/// From the credentials of nodes on.
const LAST: &[Variable] = &[
    row("PRIMARY_AUTH_TOKEN", "", Unset, Secret, "Credential for the primary where the client sends none"),
    row(
        "REPLICA_AUTH_TOKEN",
        "",
        Unset,
        Secret,
        "Credential for replicas without one in `REPLICA_AUTH_TOKENS`",
    ),
    row(
        "REPLICA_AUTH_TOKENS",
        "",
        Unset,
        Secrets,
        "Credentials of the replicas, in their order, `REPLICA_URL` first",
    ),
    row(
        "PRIMARY_AUTH_HEADER",
        "",
        Value("authorization"),
        Word(&["authorization", "x-chroma-token"]),
        "Header of the primary's credential; `authorization` carries it as `Bearer`",
    ),
    row(
        "REPLICA_AUTH_HEADER",
        "",
        Computed("as PRIMARY_AUTH_HEADER"),
        Word(&["authorization", "x-chroma-token"]),
        "Header of the replicas' credentials",
    ),
    row(
        "NODE_CA_FILE",
        "",
        Unset,
        File,
        "PEM file of certificate authorities trusted for nodes, besides the system's",
    ),
    row(
        "WAL_ENABLED",
        "",
        Value("true"),
        Flag,
        "Kept for old set-ups; `false` is refused, because every write goes through the log",
    ),
    row(
        "WRITE_ACK",
        "",
        Value("applied"),
        Word(&["applied", "all"]),
        "When a write is answered: in the log and applied on the acting node, or on every \
         node that is up",
    ),
    row(
        "WAL_BATCH_SIZE",
        "entries",
        Value("100"),
        Whole(1, 5000),
        "Entries that a node that is behind is read from the log at a time; a quarter while memory is nearly used up",
    ),
    row(
        "WAL_HIGH_VOLUME_BATCH_SIZE",
        "entries",
        Computed("200, or WAL_BATCH_SIZE if that is more"),
        Whole(1, 5000),
        "The same while a node stays further behind than that; at least `WAL_BATCH_SIZE`",
    ),
    row(
        "WAL_SYNC_INTERVAL",
        "s",
        Value("10"),
        Decimal(0.1, 3600.0),
        "Time between safety scans of the log; replication itself is immediate",
    ),
    row(
        "VERIFY_INTERVAL",
        "h",
        Value("24"),
        Decimal(0.0, 8760.0),
        "Time between comparisons of all nodes, the first after a tenth of it; 0: never",
    ),
    row(
        "WAL_RETRY_ATTEMPTS",
        "attempts",
        Value("3"),
        Whole(1, 100),
        "Refusals or failures of a node under one entry, until it is judged, or a dead letter",
    ),
    row(
        "WAL_RETRY_DELAY",
        "s",
        Value("1"),
        Decimal(0.01, 300.0),
        "First delay before an entry is sent again; doubles",
    ),
    row(
        "WAL_DELETION_CONVERSION",
        "",
        Value("true"),
        Flag,
        "Deletions by id also reach the same document under another record id",
    ),
    row(
        "WAL_DELETION_KEY",
        "",
        Value("document_id"),
        Name,
        "Metadata key by which deletion conversion recognises a document",
    ),
    row(
        "WAL_RETENTION_DAYS",
        "days",
        Value("7"),
        Whole(1, 3650),
        "Age at which finished entries leave the log",
    ),
    row(
        "WAL_MEMORY_THRESHOLD",
        "%",
        Value("80"),
        Whole(1, 100),
        "Memory use of the container, or the host, that is alerted and keeps batches small; at three fifths of the way to 100 new writes are refused",
    ),
    row("WAL_CPU_THRESHOLD", "%", Value("80"), Whole(1, 100), "CPU use that is alerted if it lasts"),
    row(
        "WAL_MEMORY_BYTES",
        "bytes",
        Value("67108864"),
        Whole(MIB, 1024 * 1024 * MIB),
        "Memory for queued entries per node, a quarter of it while memory is nearly used up; the rest is read back from PostgreSQL",
    ),
    row(
        "ADOPT_CONFLICT",
        "",
        Value("report"),
        Word(&["report", "primary-wins"]),
        "What happens to a collection that differed between nodes before the balancer came",
    ),
    row("SLACK_WEBHOOK_URL", "", Unset, SecretUrl, "Incoming webhook for alerts"),
    row("SLACK_ALERTS_ENABLED", "", Value("true"), Flag, "Whether alerts are sent to that webhook"),
    row("ADMIN_TOKEN", "", Unset, Secret, "Key of `/admin/*`; without it only loopback is let in"),
    row("LOG_FORMAT", "", Value("text"), Word(&["text", "json"]), "Form of log lines"),
    row("LOG_LEVEL", "", Value("info"), LogFilter, "What is logged: a level, or levels by target"),
    row("OTEL_EXPORTER_OTLP_ENDPOINT", "", Unset, HttpUrl, "Collector that gets spans, by OTLP over HTTP"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_in_order() {
        for variable in OPTIONS {
            match variable.accepts {
                Whole(least, most) => assert!(least < most, "{}", variable.name),
                Decimal(least, most) => assert!(least < most, "{}", variable.name),
                _ => {}
            }
        }
    }
}
