//! What the configuration means to the actors. It opens nothing.

use std::time::Duration;

use chroma_ha_actors::gate::GateLimits;
use chroma_ha_actors::proxy::ProxyConfig;
use chroma_ha_actors::replay::copy::Conflict;
use chroma_ha_actors::system::Settings;
use chroma_ha_actors::wal::WalTimes;
use chroma_ha_core::backoff::{Backoff, BackoffError};
use chroma_ha_core::commit::GroupLimits;
use chroma_ha_core::sequencer::Limits;

use crate::config::{AdoptConflict, Config};

/// Requests in flight on one node from its lanes.
const LANES_IN_FLIGHT: usize = 16;

pub(super) fn settings(config: &Config) -> Result<Settings, BackoffError> {
    let wal = &config.wal;
    let request = config.upstream.request_timeout;
    Ok(Settings {
        nodes: config.nodes.len(),
        limits: Limits {
            node_bytes: wal.memory_bytes,
            in_flight: LANES_IN_FLIGHT,
            attempts: wal.retry_attempts,
            page_entries: wal.batch_size,
            far_page_entries: wal.high_volume_batch_size,
            ..Limits::default()
        },
        group: GroupLimits { max_entries: 1_000, max_bytes: 16 << 20 },
        health: config.health,
        probe_timeout: config.probe_timeout,
        proxy: ProxyConfig {
            strategy: config.reads.strategy,
            replica_ratio: config.reads.replica_ratio,
            read_wait: request.min(Duration::from_secs(15)),
            verdict_wait: request,
            most_ahead: wal.most_ahead,
        },
        thresholds: config.pressure,
        backlog: wal.backlog,
        wal: WalTimes {
            flush: Duration::from_millis(250),
            lease: wal.lease_time,
            retention: Duration::from_secs(600),
            retention_days: wal.retention_days,
        },
        scan_interval: wal.sync_interval,
        verify_interval: wal.verify_interval,
        retry: Backoff::try_new(wal.retry_delay, 2, Duration::from_secs(30).max(wal.retry_delay))?,
        deletion_key: wal.deletion_conversion.then(|| wal.deletion_key.as_str().into()),
        conflict: match wal.adopt_conflict {
            AdoptConflict::Report => Conflict::Report,
            AdoptConflict::PrimaryWins => Conflict::PrimaryWins,
        },
        node_timeout: request,
        gate: GateLimits {
            requests: config.limits.max_concurrent_requests,
            queued: config.limits.request_queue_size,
            wait: config.limits.queue_timeout,
            body_bytes: config.limits.max_body_memory,
        },
    })
}
