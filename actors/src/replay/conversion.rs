//! What deletions came to on nodes with other record ids, told: figures, and a person where something was
//! left. What goes is decided in `core`.

use chroma_ha_core::alert::matter;
use chroma_ha_core::conversion::Tally;
use chroma_ha_core::sequencer::Task;
use tracing::warn;

use super::apply::Delivery;
use crate::slack::Raise;
use crate::wal::now_unix_ms;

impl Delivery {
    pub(super) fn tell_conversion(&self, task: &Task, tally: Tally) {
        if tally == Tally::default() {
            return;
        }
        self.stats.nodes.converted(&self.node.name(), tally);
        if tally.unmatched == 0 {
            return;
        }
        let (node, stream) = (self.node, task.stream);
        let write_id = task.entries.first().map(|entry| entry.draft.write_id.as_str()).unwrap_or_default();
        warn!(%node, %stream, write_id, records = tally.unmatched, "a deletion found no record of the same content");
        let (name, stream) = (node.name(), stream.to_string());
        let alert = matter::unmatched(&name, &stream, write_id, tally.unmatched, now_unix_ms());
        let _ = self.alerts.try_send(Raise { alert });
    }
}
