//! What the balancer says about each node: its state and why, how far it is, what is under way there.

use chroma_ha_actors::stats::reading;
use chroma_ha_actors::system::ActorSystem;
use chroma_ha_actors::wal::now_unix_ms;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::sequencer::NodeView;
use serde_json::{Value, json};

use crate::front::Shared;

pub(super) fn views(system: &ActorSystem) -> Vec<NodeView> {
    let sequencer = system.board.sequencer();
    sequencer.node_ids().map(|node| sequencer.view(node)).collect()
}

pub(super) fn nodes(shared: &Shared) -> Vec<Value> {
    let describe = |view: &NodeView| {
        let post = &shared.system.board.posts[view.node.0];
        let (since_ms, reason) = shared.system.board.history.since(&view.node.name());
        let latency = shared.system.board.history.latency(view.node);
        json!({
            "name": view.node.name(),
            "role": if view.node == NodeId::PRIMARY { "primary" } else { "replica" },
            "url": shared.config.nodes[view.node.0].url.to_string(),
            "state": post.state.load().name(),
            "since_ms": since_ms,
            "reason": reason,
            "probe_fault": post.probe_fault.load_full().as_deref(),
            "drain": crate::front::admin::drain_of(shared, view.node),
            "cursor": view.cursor.0,
            "lag_entries": view.lag,
            "lag_seconds": lag_seconds(shared, view),
            "read_seconds": latency.read_seconds,
            "apply_seconds": latency.apply_seconds,
            "outstanding_reads": shared.system.board.outstanding(view.node),
            "applying": view.in_flight,
            "waiting_streams": view.waiting_lanes,
            "queued_bytes": view.queued_bytes,
            "batch_entries": view.batch,
            "copying": copying(shared, view),
            "collections_copied": view.copied,
            "quarantined_collections": view.quarantined.len(),
            "streams_in_doubt": view.in_doubt,
        })
    };
    views(&shared.system).iter().map(describe).collect()
}

/// Only the holder of the log knows.
pub(super) fn lag_seconds(shared: &Shared, view: &NodeView) -> Option<f64> {
    let sequencer = shared.system.board.sequencer();
    let oldest_ms = sequencer.node(view.node).oldest_pending_ms();
    let known = sequencer.leading().then(|| reading::lag_seconds(view.lag, oldest_ms, now_unix_ms()));
    known.flatten()
}

/// The copy under way on a node, with how many collections are done of all that it needs.
pub(super) fn copying(shared: &Shared, view: &NodeView) -> Option<Value> {
    let mut shown = shared.system.board.copy(view.node)?.shown();
    shown["collections_done"] = json!(view.copied);
    shown["collections_total"] = json!(view.copied + view.quarantined.len());
    Some(shown)
}
