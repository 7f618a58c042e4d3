//! What the balancer says about itself, as JSON. Every figure is the mechanism's own: lag is the log's
//! head minus the node's cursor. Nothing here asks PostgreSQL or a node, so it is as fast with ten
//! million entries waiting as with none.

use chroma_ha_actors::board::Holder;
use chroma_ha_actors::system::ActorSystem;
use chroma_ha_core::health::NodeState;
use chroma_ha_core::sequencer::NodeView;
use serde_json::{Value, json};

use super::{Shared, credential};
use crate::config::redact;

mod nodes;

use nodes::{copying, lag_seconds, nodes, views};

/// Of each node, those whose oldest entry waits longest.
const STREAMS: usize = 20;

/// Whether clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// The log is writable and every node is up.
    Healthy,
    /// Reads or durable writes can be served, but something is missing.
    Degraded,
    /// Neither.
    Unavailable,
}

impl Service {
    pub(super) fn name(self) -> &'static str {
        match self {
            Service::Healthy => "healthy",
            Service::Degraded => "degraded",
            Service::Unavailable => "unavailable",
        }
    }

    pub(super) fn of(system: &ActorSystem) -> Service {
        if matches!(system.board.lease.holder(), Holder::Elsewhere(_) | Holder::HandingOver) {
            // What comes is answered by the holder, or waits for the next one.
            return Service::Healthy;
        }
        let leading = system.board.sequencer().leading();
        let mut states = system.board.posts.iter().map(|post| **post.state.load());
        let serving = states.clone().any(NodeState::serves);
        if leading && states.all(|state| state == NodeState::Up) {
            Service::Healthy
        } else if leading || serving {
            Service::Degraded
        } else {
            Service::Unavailable
        }
    }
}

/// The log is writable, or nodes can be read, and the first look at the nodes is over; or the holder of
/// the lease is known, and gets what comes.
pub(super) fn ready(shared: &Shared) -> bool {
    let system = &shared.system;
    let states: Vec<NodeState> = system.board.posts.iter().map(|post| **post.state.load()).collect();
    let looked = states.iter().any(|state| !matches!(state, NodeState::Settling { .. }));
    // Without PostgreSQL the reads go on: taking them out as well would help nobody.
    let known = system.board.sequencer().epoch() != 0;
    let useful = system.board.sequencer().leading() || states.iter().any(|state| state.serves());
    let standby =
        matches!(system.board.lease.holder(), Holder::Elsewhere(_)) && system.board.lease.log_answers();
    !shared.stopping() && (standby || looked && known && useful)
}

pub(super) fn status(shared: &Shared) -> Value {
    let system = &shared.system;
    let (leading, epoch, head, completed, collections, acting, preferred) = {
        let sequencer = system.board.sequencer();
        (
            sequencer.leading() && system.board.lease.certain(),
            sequencer.epoch(),
            sequencer.head().0,
            sequencer.completed().0,
            sequencer.catalog.len(),
            sequencer.acts_next().map(|node| node.name()),
            sequencer.orders().preferred.map(|node| node.name()),
        )
    };
    let load = system.load.load();
    json!({
        "service": shared.config.listen.service_name,
        "version": env!("CARGO_PKG_VERSION"),
        "status": Service::of(system).name(),
        "uptime_seconds": system.board.uptime().as_secs(),
        "role": if leading { "holder" } else { "standby" },
        "holder": holder(shared),
        "epoch": epoch,
        "acting": acting,
        "preferred": preferred,
        "collections": collections,
        "write_ahead_log": {
            "database": "PostgreSQL",
            "persistence": "Enabled",
            "writable": leading,
            "head": head,
            "completed": completed,
            "pending_writes": head - completed,
        },
        "headlines": super::dashboard::matters::headlines(shared),
        "nodes": nodes(shared),
        "verification": verification(system),
        "requests": requests(system),
        "access": credential::described(shared),
        "resources": { "pressure": load.pressure, "strains": load.strains, "sample": load.sample },
        "actors": actors(system),
    })
}

/// How full each bound is.
fn requests(system: &ActorSystem) -> Value {
    let fill = system.gate.fill();
    let [reads, writes] =
        fill.in_flight_by_share.map(|count| json!({ "in_flight": count, "limit": fill.share_limit }));
    json!({
        "in_flight": fill.in_flight,
        "limit": fill.limit,
        "reads": reads,
        "writes": writes,
        "queued": fill.queued,
        "queue_limit": fill.queue_limit,
        "body_bytes": fill.body_bytes,
        "body_limit_bytes": fill.body_limit_bytes,
        "waiting_for_verdict": system.board.waiting_clients(),
    })
}

/// The last comparison of the nodes, or the one under way; the differences themselves are the operator's.
fn verification(system: &ActorSystem) -> Value {
    let sequencer = system.board.sequencer();
    let run = sequencer.verification();
    json!({
        "started_at_ms": (run.started_at_ms > 0).then_some(run.started_at_ms),
        "finished_at_ms": run.finished_at_ms,
        "equal": run.equal,
        "differing": run.differing,
        "skipped": run.skipped,
        "undecided": run.undecided,
        "waiting": run.waiting,
    })
}

/// The address of the holder of the lease, as far as it is known here.
fn holder(shared: &Shared) -> Option<String> {
    match shared.system.board.lease.holder() {
        Holder::Here => Some(redact(&shared.advertised)),
        Holder::Elsewhere(peer) => Some(redact(&peer.address)),
        Holder::Unknown | Holder::HandingOver | Holder::Lost => None,
    }
}

fn actors(system: &ActorSystem) -> Vec<Value> {
    let rows = system.rows().into_iter().filter_map(|row| serde_json::to_value(row).ok());
    rows.collect()
}

pub(super) fn wal_status(shared: &Shared) -> Value {
    let (head, completed) = {
        let sequencer = shared.system.board.sequencer();
        (sequencer.head().0, sequencer.completed().0)
    };
    let per_node = |view: &NodeView| {
        json!({
            "node": view.node.name(),
            "cursor": view.cursor.0,
            "pending": view.lag,
            "pending_streams": view.waiting_lanes,
            "oldest_pending": shared.system.board.sequencer().node(view.node).oldest_pending_ms(),
            "oldest_pending_seconds": lag_seconds(shared, view),
            "streams": shared.system.board.sequencer().behind(view.node, u64::MAX, STREAMS),
            "copying": copying(shared, view),
        })
    };
    let views = views(&shared.system);
    let quarantined = views.iter().flat_map(|view| {
        view.quarantined.iter().map(|(stream, reason)| {
            json!({ "node": view.node.name(), "stream": stream.to_string(), "reason": reason })
        })
    });
    json!({
        "head": head,
        "completed": completed,
        "pending_writes": head - completed,
        "nodes": views.iter().map(per_node).collect::<Vec<_>>(),
        "quarantined": quarantined.collect::<Vec<_>>(),
        "other_ids": other_ids(shared),
        "dead_letters": super::admin::open_dead_letters(shared),
    })
}

/// Nodes that hold a collection's documents under other record ids, and are not read for that.
fn other_ids(shared: &Shared) -> Vec<Value> {
    let all = shared.system.board.sequencer().other_ids();
    all.iter().map(|(node, id)| json!({ "node": node.name(), "collection": id.to_string() })).collect()
}
