//! Operators take nodes out, put them back, and say who shall act, at the worst moments: nothing reaches a
//! node that is drained, nothing is begun on one that is being drained.

use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::Change;
use uuid::Uuid;

use super::peer::is_change;
use super::world::{Health, Stage, Work, World};

impl World {
    pub fn is_taken_out(&self, node: NodeId) -> bool {
        matches!(self.servers[node.0].health.get(), Health::Draining | Health::Drained)
    }

    /// Some order about the node; only who holds the log can give one.
    pub fn order(&self, node: NodeId) {
        if !self.lease_held.get() || self.log_away.get() {
            return;
        }
        let drained = self.store.borrow().orders.drain_of(node).is_some();
        let change = match self.rng.below(5) {
            0 => Change::Preferred { node: self.rng.percent(60).then(|| node.name()) },
            _ => {
                let order = (!drained).then(|| Uuid::from_u128(u128::from(self.rng.next())));
                Change::Drained { node: node.name(), order }
            }
        };
        self.give(change);
    }

    fn give(&self, change: Change) {
        self.say(|| format!("an operator orders {change:?}"));
        let epoch = self.store.borrow().epoch;
        if self.store.borrow_mut().record(epoch, &[change]) {
            let orders = self.store.borrow().orders.clone();
            self.sequencer.lock().heard.set(orders);
            self.follow_orders();
        }
    }

    /// One after the other, some time later.
    pub fn put_all_back(&self) {
        if !self.lease_held.get() {
            return;
        }
        for node in (0..self.servers.len()).map(NodeId) {
            if self.store.borrow().orders.drain_of(node).is_some() && self.rng.percent(20) {
                self.give(Change::Drained { node: node.name(), order: None });
            }
        }
    }

    pub fn follow_orders(&self) {
        for node in (0..self.servers.len()).map(NodeId) {
            let wanted = self.sequencer.lock().orders().drain_of(node).is_some();
            match (wanted, self.servers[node.0].health.get()) {
                (true, Health::Up) => self.set_health(node, Health::Draining),
                (true, Health::Suspect | Health::Down | Health::Settling) => {
                    self.set_health(node, Health::Drained);
                }
                (false, Health::Draining) => self.set_health(node, Health::Up),
                (false, Health::Drained) => {
                    self.saw("undrained");
                    self.set_health(node, Health::Settling);
                }
                _ => {}
            }
        }
    }

    /// Whether the node may be called drained because nothing is under way there.
    pub fn is_emptied(&self, node: NodeId) -> bool {
        let emptied = self.sequencer.lock().is_emptied(node);
        let writes = |work: &Work| match work {
            Work::Call { node: at, request, stage, .. } => {
                *at == node && is_change(request) && !matches!(stage, Stage::Ghost)
            }
            _ => false,
        };
        if emptied && self.ops.borrow().iter().any(|op| writes(&op.work)) {
            self.fail(format!("{node} counts as empty and a write is under way there"));
        }
        if emptied {
            self.saw("drained");
        }
        emptied
    }
}
