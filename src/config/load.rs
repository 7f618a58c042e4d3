//! How do the variables become the configuration, and do they fit together? One function a concern;
//! single values are judged by `reader`.

use std::thread::available_parallelism;

use chroma_ha_core::alert::backlog::BacklogLimits;
use chroma_ha_core::health::HealthConfig;
use chroma_ha_core::pressure::Thresholds;

use super::reader::Reader;
use super::*;

pub(super) fn load(
    vars: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    let mut env = Reader::new(vars);
    warn_of_unknown(&mut env);
    let nodes = nodes::read(&mut env);
    let database = env.postgres_url("DATABASE_URL").map(|url| Database { url });
    let log = log(&mut env);
    let listen = listen(&mut env);
    let reads = reads(&mut env);
    let (health, probe_timeout) = (health(&mut env), env.seconds("PROBE_TIMEOUT"));
    let (upstream, limits) = (upstream(&mut env), limits(&mut env));
    let (wal, pressure) = (wal(&mut env), pressure(&mut env));
    let (alerts, admin_token) = (alerts(&mut env), env.secret("ADMIN_TOKEN"));
    let keys = keys::read(&mut env, admin_token.as_ref());
    warn_of_open_doors(&mut env, &listen, keys.is_some());
    monitor::read(&mut env);
    match database {
        Some(database) if env.problems.is_empty() => Ok((
            Config {
                listen,
                nodes,
                upstream,
                database,
                reads,
                health,
                probe_timeout,
                limits,
                wal,
                pressure,
                alerts,
                admin_token,
                keys,
                log,
            },
            env.warnings,
        )),
        _ => Err(ConfigErrors(env.problems)),
    }
}

/// A misspelt `WAL_…` would silently keep a default.
fn warn_of_unknown(env: &mut Reader) {
    let unknown = |name: &&String| name.starts_with("WAL_") && table::find(name).is_none();
    let names: Vec<String> = env.names().filter(unknown).cloned().collect();
    for name in names {
        env.warn(format!("{name} is not known and has no effect; `chroma-ha serve --help` lists what is"));
    }
}

fn warn_of_open_doors(env: &mut Reader, listen: &Listen, keys: bool) {
    let given = env.is_set("API_KEYS") || env.is_set("API_KEYS_FILE");
    if !keys && !given && !listen.address.is_loopback() {
        env.warn(
            "no API keys are set: whoever reaches this address may read, change and delete all data; \
             set API_KEYS (`chroma-ha key` makes one), or BIND_ADDRESS=127.0.0.1"
                .to_owned(),
        );
    }
}

pub(super) fn listen(env: &mut Reader) -> Listen {
    let cores = available_parallelism().map_or(1, usize::from).min(8);
    let workers = env.whole_or_computed("WORKERS").and_then(|workers| usize::try_from(workers).ok());
    Listen {
        address: env.address(),
        port: u16::try_from(env.whole("PORT")).unwrap_or_default(),
        workers: workers.unwrap_or(cores),
        service_name: env.name("SERVICE_NAME"),
        advertise_url: advertise_url(env),
        advertise_ca: authorities(env, "ADVERTISE_CA_FILE"),
        tls: certificate(env),
        shutdown_timeout: env.seconds("SHUTDOWN_TIMEOUT"),
    }
}

/// It is kept in the database, and shown by every balancer.
fn advertise_url(env: &mut Reader) -> Option<RedactedUrl> {
    let url = env.http_url("ADVERTISE_URL")?;
    if url.expose() != url.to_string() {
        env.refuse("ADVERTISE_URL", "everybody may see it; accepted is a URL without user and password");
    }
    Some(url)
}

fn authorities(env: &mut Reader, name: &'static str) -> Option<PathBuf> {
    let path = env.file(name)?;
    if let Err(fault) = tls::trusting(Some(&path), tls::Own::None) {
        env.refuse(name, &fault);
    }
    Some(path)
}

fn certificate(env: &mut Reader) -> Option<tls::Files> {
    let files = match (env.file("TLS_CERT_FILE"), env.file("TLS_KEY_FILE")) {
        (Some(certificate), Some(key)) => tls::Files { certificate, key },
        (Some(_), None) if !env.is_set("TLS_KEY_FILE") => {
            env.refuse("TLS_CERT_FILE", "it is of no use without TLS_KEY_FILE; set both");
            return None;
        }
        (None, Some(_)) if !env.is_set("TLS_CERT_FILE") => {
            env.refuse("TLS_KEY_FILE", "it is of no use without TLS_CERT_FILE; set both");
            return None;
        }
        _ => return None,
    };
    match files.check() {
        Ok(()) => Some(files),
        Err(unusable) => {
            env.refuse(unusable.variable(), &unusable.to_string());
            None
        }
    }
}

fn reads(env: &mut Reader) -> Reads {
    let strategy = env.word("LOAD_BALANCE_STRATEGY", |word| word.parse().ok());
    Reads { strategy: strategy.unwrap_or_default(), replica_ratio: env.decimal("READ_REPLICA_RATIO") }
}

pub(super) fn health(env: &mut Reader) -> HealthConfig {
    HealthConfig {
        failure_threshold: env.small("FAILURE_THRESHOLD"),
        recovery_threshold: env.small("RECOVERY_THRESHOLD"),
        settle: env.seconds("SETTLE_TIME"),
        interval: env.seconds("CHECK_INTERVAL"),
    }
}

pub(super) fn upstream(env: &mut Reader) -> Upstream {
    Upstream {
        request_timeout: env.seconds("REQUEST_TIMEOUT"),
        pool_size: env.count("CONNECTION_POOL_SIZE"),
        ca_file: authorities(env, "NODE_CA_FILE"),
    }
}

fn limits(env: &mut Reader) -> Limits {
    let max_body_bytes = env.count("MAX_BODY_BYTES");
    let memory = env.whole_or_computed("MAX_BODY_MEMORY").and_then(|bytes| usize::try_from(bytes).ok());
    Limits {
        max_concurrent_requests: env.count("MAX_CONCURRENT_REQUESTS"),
        request_queue_size: env.count("REQUEST_QUEUE_SIZE"),
        queue_timeout: env.seconds("QUEUE_TIMEOUT"),
        max_body_bytes,
        max_body_memory: memory.unwrap_or((128 << 20).max(2 * max_body_bytes)),
        max_connections: env.count("MAX_CONNECTIONS"),
        client_timeout: env.seconds("CLIENT_TIMEOUT"),
        client_body_timeout: env.seconds("CLIENT_BODY_TIMEOUT"),
        client_idle_timeout: env.seconds("CLIENT_IDLE_TIMEOUT"),
    }
}

fn wal(env: &mut Reader) -> Wal {
    require_log(env);
    let (batch_size, high_volume_batch_size) = batch_sizes(env);
    let conflict = env.word("ADOPT_CONFLICT", |word| match word {
        "report" => Some(AdoptConflict::Report),
        "primary-wins" => Some(AdoptConflict::PrimaryWins),
        _ => None,
    });
    Wal {
        lease_time: env.seconds("LEASE_TIME"),
        write_ack: env.word("WRITE_ACK", WriteAck::parse).unwrap_or_default(),
        most_ahead: env.count("WRITE_ACK_BACKLOG"),
        batch_size,
        high_volume_batch_size,
        sync_interval: env.seconds("WAL_SYNC_INTERVAL"),
        verify_interval: Duration::from_secs_f64(env.decimal("VERIFY_INTERVAL") * 3600.0),
        retry_attempts: env.small("WAL_RETRY_ATTEMPTS"),
        retry_delay: env.seconds("WAL_RETRY_DELAY"),
        deletion_conversion: env.flag("WAL_DELETION_CONVERSION"),
        deletion_key: env.name("WAL_DELETION_KEY"),
        retention_days: env.small("WAL_RETENTION_DAYS"),
        memory_bytes: env.count("WAL_MEMORY_BYTES"),
        backlog: BacklogLimits { entries: env.whole("WAL_BACKLOG_ALERT"), age: env.seconds("WAL_LAG_ALERT") },
        adopt_conflict: conflict.unwrap_or_default(),
    }
}

fn require_log(env: &mut Reader) {
    let before = env.problems.len();
    if !env.flag("WAL_ENABLED") && env.problems.len() == before {
        env.refuse("WAL_ENABLED", "every write goes through the log, so it cannot be off; accepted is true");
    }
}

fn batch_sizes(env: &mut Reader) -> (usize, usize) {
    let base = env.count("WAL_BATCH_SIZE");
    let high =
        env.whole_or_computed("WAL_HIGH_VOLUME_BATCH_SIZE").and_then(|high| usize::try_from(high).ok());
    if high.is_some_and(|high| high < base) {
        env.refuse(
            "WAL_HIGH_VOLUME_BATCH_SIZE",
            &format!("accepted is at least WAL_BATCH_SIZE, which is {base}"),
        );
    }
    (base, high.unwrap_or(base.max(200)))
}

pub(super) fn pressure(env: &mut Reader) -> Thresholds {
    Thresholds {
        memory_percent: f64::from(env.small("WAL_MEMORY_THRESHOLD")),
        cpu_percent: f64::from(env.small("WAL_CPU_THRESHOLD")),
    }
}

pub(super) fn alerts(env: &mut Reader) -> Alerts {
    let webhook = env.secret_url("SLACK_WEBHOOK_URL");
    if env.flag("SLACK_ALERTS_ENABLED") {
        if env.is_set("SLACK_ALERTS_ENABLED") && !env.is_set("SLACK_WEBHOOK_URL") {
            env.warn("SLACK_ALERTS_ENABLED is set but SLACK_WEBHOOK_URL is not: no alert is sent".to_owned());
        }
        return Alerts { webhook };
    }
    Alerts { webhook: None }
}

pub(super) fn log(env: &mut Reader) -> Log {
    let format = env.word("LOG_FORMAT", |word| match word {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    Log {
        format: format.unwrap_or_default(),
        filter: env.log_filter("LOG_LEVEL"),
        collector: env.http_url("OTEL_EXPORTER_OTLP_ENDPOINT"),
    }
}
