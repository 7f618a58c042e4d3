//! How everything is at this moment, as one JSON text for all pages that are open: what `/status` says, and
//! what a person looks for next. It is made at most about once a second, however many look.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use chroma_ha_core::ids::{NodeId, Stream};
use chroma_ha_core::operator::DeadLetter;
use chroma_ha_core::sequencer::Sequencer;
use serde_json::{Value, json};

use crate::front::{Shared, status};

/// The last sample, and when it was made.
pub(super) type Cache = Option<(Instant, Arc<str>)>;

/// Less than the time between two samples of one page.
const FRESH: Duration = Duration::from_millis(900);

/// Rows of each list; the rest is counted.
const ROWS: usize = 50;

/// Streams of each node.
const STREAMS: usize = 20;

/// A stream is behind once an entry has waited for so long.
const PATIENCE_MS: u64 = 2_000;

pub(super) fn now(shared: &Shared) -> Arc<str> {
    let mut cache = shared.dashboard.sample.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, text)) = cache.as_ref().filter(|(made, _)| made.elapsed() < FRESH) {
        return Arc::clone(text);
    }
    let text: Arc<str> = make(shared).to_string().into();
    *cache = Some((Instant::now(), Arc::clone(&text)));
    text
}

fn make(shared: &Shared) -> Value {
    let at_ms = chroma_ha_actors::wal::now_unix_ms();
    let mut sample = status::status(shared);
    sample["at_ms"] = json!(at_ms);
    let sequencer = shared.system.board.sequencer();
    sample["behind"] = behind(&sequencer, at_ms);
    let (letters, open) = letters(&sequencer);
    sample["dead_letters"] = json!({ "open": open, "rows": letters });
    let (rows, count) = quarantined(&sequencer);
    sample["quarantined"] = json!({ "count": count, "rows": rows });
    sample
}

/// Only the holder of the log knows.
fn behind(sequencer: &Sequencer, at_ms: u64) -> Value {
    let before_ms = at_ms.saturating_sub(PATIENCE_MS);
    let mut rows = Vec::new();
    for node in sequencer.node_ids().filter(|_| sequencer.leading()) {
        for behind in sequencer.behind(node, before_ms, STREAMS) {
            rows.push(json!({ "node": node.name(), "behind": behind }));
        }
    }
    json!(rows)
}

fn letters(sequencer: &Sequencer) -> (Vec<Value>, usize) {
    let of = |node: NodeId| {
        sequencer.node(node).letters().into_iter().map(move |(seq, stream)| (node, seq, stream))
    };
    let all: Vec<_> = sequencer.node_ids().flat_map(of).collect();
    let shown = all.iter().take(ROWS).map(|(node, seq, stream)| {
        json!({
            "id": DeadLetter::id(&node.name(), *seq),
            "node": node.name(),
            "seq": seq,
            "place": sequencer.described(*stream),
            "catalog": *stream == Stream::Catalog,
        })
    });
    (shown.collect(), all.len())
}

fn quarantined(sequencer: &Sequencer) -> (Vec<Value>, usize) {
    let of = |node: NodeId| {
        sequencer.node(node).quarantined().into_iter().map(move |(stream, reason)| (node, stream, reason))
    };
    let mut all: Vec<_> = sequencer.node_ids().flat_map(of).collect();
    all.sort_unstable();
    let shown = all.iter().take(ROWS).map(|(node, stream, reason)| {
        json!({
            "node": node.name(),
            "stream": stream.to_string(),
            "place": sequencer.described(*stream),
            "reason": reason,
        })
    });
    (shown.collect(), all.len())
}
