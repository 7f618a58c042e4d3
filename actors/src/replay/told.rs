//! Which troubles of a node are people told about already? Compared with the sequencer whenever the
//! node's lanes are looked at, so that each is told once when it begins and once when it ends.

use std::collections::BTreeMap;

use actix::prelude::*;
use chroma_ha_core::alert::matter;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::sequencer::Matter;

use crate::slack::Raise;
use crate::wal::now_unix_ms;

pub struct Told {
    alerts: Recipient<Raise>,
    open: BTreeMap<String, Matter>,
}

impl Told {
    pub fn new(alerts: Recipient<Raise>) -> Told {
        Told { alerts, open: BTreeMap::new() }
    }

    pub(super) fn compare(&mut self, node: NodeId, now: BTreeMap<String, Matter>) {
        let name = node.name();
        for (key, matter) in now.iter().filter(|(key, _)| !self.open.contains_key(*key)) {
            self.alerts.do_send(Raise { alert: matter::opened(key, &name, matter, now_unix_ms()) });
        }
        for (key, matter) in self.open.iter().filter(|(key, _)| !now.contains_key(*key)) {
            self.alerts.do_send(Raise { alert: matter::resolved(key, &name, matter, now_unix_ms()) });
        }
        self.open = now;
    }
}
