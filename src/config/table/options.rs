//! The rows of the table of variables, in the order in which people read them. Data only.

use super::Accepts::*;
use super::Preset::{self, Computed, Required, Unset, Value};
use super::{Accepts, Variable, joined};

mod bounds;
mod log;
mod security;

use bounds::BOUNDS;
use log::LOG;
use security::SECURITY;

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
pub const OPTIONS: &[Variable] = &joined::<
    { SERVING.len() + BOUNDS.len() + NODES.len() + LOG.len() + SECURITY.len() + AROUND.len() },
    6,
>([SERVING, BOUNDS, NODES, LOG, SECURITY, AROUND]);

/// Clients and nodes.
const SERVING: &[Variable] = &[
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
        Computed("http:// (https:// with TLS_CERT_FILE), BIND_ADDRESS or the host's name, and PORT"),
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
const NODES: &[Variable] = &[
    row(
        "PRIMARY_AUTH_TOKEN",
        "",
        Unset,
        Secret,
        "Credential for the primary, in place of what a client sends in that header",
    ),
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
];

/// Who hears of it.
const AROUND: &[Variable] = &[
    row("SLACK_WEBHOOK_URL", "", Unset, SecretUrl, "Incoming webhook for alerts"),
    row("SLACK_ALERTS_ENABLED", "", Value("true"), Flag, "Whether alerts are sent to that webhook"),
    row("BALANCER_URL", "", Unset, HttpUrl, "Balancer that `monitor` watches, as clients reach it"),
    row("BALANCER_URLS", "", Unset, HttpUrls, "More of them"),
    row(
        "MONITOR_INTERVAL",
        "s",
        Value("5"),
        Decimal(0.1, 3600.0),
        "Between two looks of `monitor`, and its longest wait",
    ),
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
