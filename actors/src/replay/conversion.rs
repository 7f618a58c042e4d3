//! What deletions came to on nodes with other record ids, told: figures, and a person where something was
//! left. What goes is decided in `core`.

use chroma_ha_core::alert::{Alert, Phase, Severity};
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
        let alert = Alert {
            key: format!("deletion-unmatched:{node}:{stream}"),
            severity: Severity::Warning,
            phase: Phase::Notice,
            title: format!("{node} kept {} records of a deletion", tally.unmatched),
            what: format!(
                "In collection {stream}, write {write_id}: the node holds other record ids, and no record of the same document has the same content."
            ),
            effect: "The records are gone for clients, who read other nodes, and are still on this one."
                .to_owned(),
            action: "Delete them there by hand, or let the collection be copied anew: POST /admin/rebuild."
                .to_owned(),
            at_ms: now_unix_ms(),
        };
        let _ = self.alerts.try_send(Raise { alert });
    }
}
