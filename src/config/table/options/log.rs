//! The rows about the log: how it is kept, replayed and compared. Data only.

use super::super::Accepts::*;
use super::super::Preset::{Computed, Value};
use super::super::Variable;
use super::{MIB, row};

pub(super) const LOG: &[Variable] = &[
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
        Word(&["applied", "all", "log"]),
        "When a write is answered: in the log and applied on the acting node, or on every \
         node that is up; `log`: in the log, for record writes that Chroma will surely take",
    ),
    row(
        "WRITE_ACK_BACKLOG",
        "writes",
        Value("10000"),
        Whole(1, 1_000_000),
        "Writes of one collection that the log may acknowledge ahead of their verdicts; checked before the append, beyond it 503",
    ),
    row(
        "WAL_BATCH_SIZE",
        "entries",
        Value("100"),
        Whole(1, 5000),
        "Entries that a node that is behind is read from the log at a time, and the most writes in one request to a node (at most 1,000 records, or as many as it says it takes, and 8 MiB); a quarter while memory is nearly used up",
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
        "Refusals or failures of a node under one entry, until it is judged, or a dead letter; what the log acknowledged is rejected only if every node falls under it, or for a judgement of Chroma's",
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
        "WAL_BACKLOG_ALERT",
        "entries",
        Value("10000"),
        Whole(0, 1_000_000_000),
        "Backlog of a node that is told; 0: never",
    ),
    row(
        "WAL_LAG_ALERT",
        "s",
        Value("300"),
        Decimal(0.0, 604_800.0),
        "Age of a backlog that is told; 0: never",
    ),
    row(
        "ADOPT_CONFLICT",
        "",
        Value("report"),
        Word(&["report", "primary-wins"]),
        "What happens to a collection that differed between nodes before the balancer came",
    ),
];
