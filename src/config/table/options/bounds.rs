//! The rows of the variables that bound what is taken in at once, and from how slow a client. Data only.

use super::{Accepts::*, MIB, Preset::*, Variable, row};

/// Requests, bodies, connections.
pub(super) const BOUNDS: &[Variable] = &[
    row(
        "MAX_CONCURRENT_REQUESTS",
        "requests",
        Value("256"),
        Whole(1, 100_000),
        "Requests worked on at once; reads and writes each get at most three quarters of this, of `REQUEST_QUEUE_SIZE` and of `MAX_BODY_MEMORY`",
    ),
    row(
        "REQUEST_QUEUE_SIZE",
        "requests",
        Value("1024"),
        Whole(0, 1_000_000),
        "Requests waiting for their turn, or for room for their body; the next is answered 503",
    ),
    row("QUEUE_TIMEOUT", "s", Value("10"), Decimal(0.01, 3600.0), "Longest wait in that queue, then 503"),
    row(
        "CONNECTION_POOL_SIZE",
        "connections",
        Value("32"),
        Whole(1, 10_000),
        "Idle connections per node and worker",
    ),
    row(
        "MAX_BODY_BYTES",
        "bytes",
        Value("41943040"),
        Whole(1024, 1024 * MIB),
        "Largest request body; the next byte is answered 413, as Chroma does",
    ),
    row(
        "MAX_BODY_MEMORY",
        "bytes",
        Computed("134217728, or twice MAX_BODY_BYTES if that is more"),
        Whole(MIB, 1024 * 1024 * MIB),
        "Memory for request bodies, from their first byte until their request is answered; more wait as in the queue",
    ),
    row(
        "MAX_CONNECTIONS",
        "connections",
        Value("4096"),
        Whole(1, 1_000_000),
        "Connections of clients, shared out among the workers; more wait until one closes",
    ),
    row(
        "CLIENT_TIMEOUT",
        "s",
        Value("20"),
        Decimal(0.1, 3600.0),
        "A client that sends nothing of its request (408) or takes nothing of its answer for so long is let go",
    ),
    row(
        "CLIENT_BODY_TIMEOUT",
        "s",
        Value("60"),
        Decimal(0.1, 3600.0),
        "Longest time for a whole body, then 408",
    ),
    row(
        "CLIENT_IDLE_TIMEOUT",
        "s",
        Value("75"),
        Decimal(0.1, 3600.0),
        "A client's connection on which nothing is asked for so long is closed; `CLIENT_TIMEOUT` later also one with half a request",
    ),
];
