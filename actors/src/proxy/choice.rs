//! To which node does a read go now? One for each web worker: its proxy and the front ask the same one, so that
//! shares come out even. It waits for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chroma_ha_core::ids::NodeId;
use chroma_ha_core::routing::{self, Candidate};
use chroma_ha_core::sequencer::Gate;

use super::ProxyConfig;
use crate::board::{Board, Readable};

pub struct Choice {
    board: Arc<Board>,
    config: ProxyConfig,
    turn: AtomicU64,
}

impl Choice {
    pub(crate) fn new(board: Arc<Board>, config: ProxyConfig) -> Arc<Choice> {
        Arc::new(Choice { board, config, turn: AtomicU64::new(0) })
    }

    /// A node that has everything acknowledged; `None` where one must be waited for.
    pub fn now(&self, gate: Gate, avoid: &[NodeId]) -> Option<Readable> {
        self.among(&self.board.readable(gate, avoid))
    }

    pub(super) fn among(&self, nodes: &[Readable]) -> Option<Readable> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let ProxyConfig { strategy, replica_ratio, .. } = self.config;
        let candidate =
            |r: &Readable| Candidate { node: r.node, outstanding: self.board.outstanding(r.node) };
        let candidates: Vec<Candidate> = nodes.iter().map(candidate).collect();
        let node = routing::choose(strategy, replica_ratio, &candidates, turn, spread(turn))?;
        nodes.iter().find(|readable| readable.node == node).copied()
    }
}

/// A low-discrepancy sequence in 0..1: shares come out exact even over few reads.
fn spread(ticket: u64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    #[expect(clippy::cast_precision_loss, reason = "a counter's fraction needs no exactness")]
    let turns = (ticket % (1 << 20)) as f64 * GOLDEN;
    turns.fract()
}
