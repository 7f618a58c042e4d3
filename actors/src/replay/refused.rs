//! A write whose client was told of success by the log, and which Chroma then refused: against what was
//! proven, so a person must hear of it. The log keeps it as rejected, with its body.

use chroma_ha_core::alert::matter;
use chroma_ha_core::entry::Entry;
use chroma_ha_core::sequencer::{Outcome, Task};
use tracing::error;

use super::apply::Delivery;
use crate::slack::Raise;
use crate::wal::now_unix_ms;

impl Delivery {
    pub(super) fn tell_if_refused(&self, task: &Task, outcome: &Outcome) {
        if matches!(outcome, Outcome::Rejected) {
            task.entries.iter().for_each(|entry| self.tell_refused(entry));
        }
    }

    pub(super) fn tell_refused(&self, entry: &Entry) {
        if !entry.is_acknowledged() {
            return;
        }
        self.stats.log.refused_late();
        let (stream, write_id) = (entry.stream().to_string(), entry.draft.write_id.as_str());
        error!(stream, write_id, seq = entry.seq.0, "a write that the log had acknowledged was refused");
        let alert = matter::refused_late(&stream, write_id, now_unix_ms());
        // Never to be missed.
        self.alerts.do_send(Raise { alert });
    }
}
