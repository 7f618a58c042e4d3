//! How is each node, and how far? The sequencer's view of it, the health actor's state, the reads under way.

use chroma_ha_core::ids::NodeId;
use chroma_ha_core::sequencer::Sequencer;
use prometheus::Error;

use super::{flag, states};
use crate::board::Board;
use crate::stats::family::Families;

#[derive(Debug)]
pub(super) struct NodeReading {
    name: String,
    state: &'static str,
    lag: Option<Lag>,
    reads: u32,
    applying: usize,
    waiting_streams: usize,
    queued_bytes: usize,
    batch: usize,
    quarantined: usize,
    in_doubt: usize,
    letters: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Lag {
    entries: u64,
    /// Not known while the time of the oldest entry was not seen.
    seconds: Option<f64>,
}

impl Lag {
    fn of(entries: u64, oldest_ms: Option<u64>, now_ms: u64) -> Lag {
        Lag { entries, seconds: lag_seconds(entries, oldest_ms, now_ms) }
    }
}

/// How long the oldest entry has waited that a node lacks.
pub fn lag_seconds(entries: u64, oldest_ms: Option<u64>, now_ms: u64) -> Option<f64> {
    let waited = |oldest_ms| now_ms.saturating_sub(oldest_ms) as f64 / 1e3;
    if entries == 0 { Some(0.0) } else { oldest_ms.map(waited) }
}

impl NodeReading {
    /// `now_ms`: only while the log is held here.
    pub(super) fn of(board: &Board, sequencer: &Sequencer, node: NodeId, now_ms: Option<u64>) -> NodeReading {
        let (view, log) = (sequencer.view(node), sequencer.node(node));
        NodeReading {
            name: node.name(),
            state: board.posts[node.0].state.load().name(),
            lag: now_ms.map(|now_ms| Lag::of(view.lag, log.oldest_pending_ms(), now_ms)),
            reads: board.outstanding(node),
            applying: view.in_flight,
            waiting_streams: view.waiting_lanes,
            queued_bytes: view.queued_bytes,
            batch: view.batch,
            quarantined: view.quarantined.len(),
            in_doubt: view.in_doubt,
            letters: log.letters().len(),
        }
    }
}

pub(super) fn standing(nodes: &[NodeReading], families: &mut Families) -> Result<(), Error> {
    families.gauges(
        "chroma_ha_node_state",
        ["node", "state"],
        "1 for the state that the node is in. State: up, suspect, down, settling, catching-up, rebuilding, draining or drained.",
        nodes.iter().flat_map(in_states),
    )?;
    families.gauges(
        "chroma_ha_node_up",
        ["node"],
        "Whether a node is up and caught up.",
        each(nodes, |node| flag(node.state == "up")),
    )?;
    let known = || nodes.iter().filter_map(|node| node.lag.map(|lag| (node, lag)));
    families.gauges(
        "chroma_ha_node_lag_entries",
        ["node"],
        "Log entries from the first one that a node has not applied to the head. Only from the holder of the lease.",
        known().map(|(node, lag)| ([node.name.as_str()], lag.entries as f64)),
    )?;
    families.gauges(
        "chroma_ha_node_lag_seconds",
        ["node"],
        "Age of the oldest entry that a node has not applied, by the log's own time; 0 without one. Only from the holder of the lease, and missing while that time is not known there, as right after a restart.",
        known().filter_map(|(node, lag)| Some(([node.name.as_str()], lag.seconds?))),
    )
}

pub(super) fn work(nodes: &[NodeReading], families: &mut Families) -> Result<(), Error> {
    families.gauges(
        "chroma_ha_node_outstanding_reads",
        ["node"],
        "Reads under way on a node.",
        each(nodes, |node| f64::from(node.reads)),
    )?;
    families.gauges(
        "chroma_ha_node_applying",
        ["node"],
        "Tasks of the log under way on a node.",
        each(nodes, |node| node.applying as f64),
    )?;
    families.gauges(
        "chroma_ha_node_waiting_streams",
        ["node"],
        "Collections, and the catalog, of which a node lacks an entry.",
        each(nodes, |node| node.waiting_streams as f64),
    )?;
    families.gauges(
        "chroma_ha_node_queued_bytes",
        ["node"],
        "Memory of the entries that wait for a node.",
        each(nodes, |node| node.queued_bytes as f64),
    )?;
    families.gauges(
        "chroma_ha_node_batch_entries",
        ["node"],
        "Entries that are read from the log at a time for a node that is behind, and the most that go to a node in one request.",
        each(nodes, |node| node.batch as f64),
    )
}

pub(super) fn data(nodes: &[NodeReading], families: &mut Families) -> Result<(), Error> {
    families.gauges(
        "chroma_ha_node_quarantined_collections",
        ["node"],
        "Collections that are not served from a node and wait to be copied.",
        each(nodes, |node| node.quarantined as f64),
    )?;
    families.gauges(
        "chroma_ha_node_streams_in_doubt",
        ["node"],
        "Collections in which a request that was given up may still change something.",
        each(nodes, |node| node.in_doubt as f64),
    )?;
    families.gauges(
        "chroma_ha_dead_letters_open",
        ["node"],
        "Accepted entries that a node refuses.",
        each(nodes, |node| node.letters as f64),
    )
}

/// One sample a state.
fn in_states(node: &NodeReading) -> [([&str; 2], f64); 8] {
    states().map(|state| ([node.name.as_str(), state], flag(state == node.state)))
}

fn each(
    nodes: &[NodeReading],
    value: impl Fn(&NodeReading) -> f64,
) -> impl Iterator<Item = ([&str; 1], f64)> {
    nodes.iter().map(move |node| ([node.name.as_str()], value(node)))
}

/// A node that is down, with so many entries and seconds of lag.
#[cfg(test)]
pub(super) fn reading(lag: Option<(u64, Option<f64>)>) -> NodeReading {
    NodeReading {
        name: "replica-1".to_owned(),
        state: "down",
        lag: lag.map(|(entries, seconds)| Lag { entries, seconds }),
        reads: 0,
        applying: 0,
        waiting_streams: 0,
        queued_bytes: 0,
        batch: 0,
        quarantined: 0,
        in_doubt: 0,
        letters: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_in_seconds_is_the_age_of_the_oldest_entry_and_unknown_without_its_time() {
        assert_eq!(Lag::of(3, Some(10_000), 12_500), Lag { entries: 3, seconds: Some(2.5) });
        assert_eq!(Lag::of(0, None, 12_500), Lag { entries: 0, seconds: Some(0.0) });
        assert_eq!(Lag::of(3, None, 12_500), Lag { entries: 3, seconds: None });
        assert_eq!(Lag::of(3, Some(13_000), 12_500).seconds, Some(0.0), "a clock that was put back");
    }
}
