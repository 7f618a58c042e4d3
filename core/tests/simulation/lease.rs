//! The lease and the nodes' states: what the balancer loses, what it takes over, and whom it trusts.

use chroma_ha_core::ids::NodeId;
use chroma_ha_core::sequencer::{Sequencer, Standing};

use super::world::{Health, Op, Stage, Work, World};

impl World {
    // Lease

    pub fn lose_lease(&self) {
        if self.lease_held.replace(false) {
            self.say(|| "the lease is lost".to_owned());
            self.saw("lost lease");
            self.sequencer.lock().set_leading(false);
            self.queue.borrow_mut().clear();
            self.fail_appends();
        }
    }

    /// The session broke: what it was doing may have happened, its answer is an error.
    fn fail_appends(&self) {
        for op in self.ops.borrow_mut().iter_mut() {
            if let Work::Append { epoch, entries, done, .. } = &mut op.work {
                if done.is_none() && self.rng.percent(50) {
                    self.store.borrow_mut().append(*epoch, entries);
                }
                *done = Some(false);
            }
        }
    }

    pub fn acquire(&self) {
        let recovered = self.store.borrow_mut().acquire();
        self.say(|| format!("epoch {} begins at {}", recovered.epoch, recovered.head));
        self.lease_held.set(true);
        self.recovered.set(recovered.head);
        self.sequencer.lock().recover(recovered);
        for node in 0..self.servers.len() {
            self.set_health(NodeId(node), Health::Settling);
            self.drop_tasks(|lost| lost == Some(NodeId(node)));
        }
        self.follow_orders();
    }

    /// Another balancer takes the lease while this one stands still. What it had sent to nodes may still
    /// happen; what it had sent to the log arrives after its epoch has ended.
    pub fn supplant(&self) {
        self.say(|| "another balancer takes over".to_owned());
        self.saw("takeover");
        let late =
            |op: &Op| matches!(op.work, Work::Record { done: None, .. } | Work::Append { done: None, .. });
        let mut ops = self.ops.take();
        let (late, others) = ops.drain(..).partition(late);
        self.ops.replace(others);
        self.crash();
        self.acquire();
        self.ops.borrow_mut().extend::<Vec<Op>>(late);
    }

    /// Everything in memory is gone; what was sent may still happen.
    pub fn crash(&self) {
        self.say(|| "the balancer crashes".to_owned());
        self.saw("crash");
        self.fail_appends();
        for op in self.ops.borrow_mut().iter_mut() {
            if let Work::Record { epoch, changes, done, .. } = &mut op.work
                && done.is_none()
                && self.rng.percent(50)
            {
                self.commit_changes(*epoch, changes);
            }
        }
        self.drop_tasks(|_| true);
        self.ops.borrow_mut().retain(|op| matches!(op.work, Work::Call { stage: Stage::Ghost, .. }));
        *self.sequencer.lock() = Sequencer::new(self.plan.limits, self.plan.nodes);
        self.waiters.borrow_mut().clear();
        self.queue.borrow_mut().clear();
        self.committing.set(false);
        self.lease_held.set(false);
        for server in &self.servers {
            server.health.set(Health::Settling);
            server.suspicion.set(false);
            server.woken.set(false);
        }
    }

    // Node states

    pub fn set_health(&self, node: NodeId, health: Health) {
        self.say(|| format!("{node} is {health:?}"));
        let before = self.servers[node.0].health.replace(health);
        // What failed and is not heard of yet is heard of later, too: nothing was given up.
        let kept = health == Health::Draining || before == Health::Draining && health == Health::Up;
        if !kept {
            self.servers[node.0].suspicion.set(false);
        }
        if matches!(health, Health::Down | Health::Drained) {
            self.servers[node.0].wiped.set(false);
        }
        let up = health == Health::Up;
        let standing = Standing {
            applies: up,
            serves: up,
            gone: matches!(health, Health::Down | Health::Drained),
            suspect: health == Health::Suspect,
            leaving: health == Health::Draining,
        };
        let (lost, gone) = {
            let mut sequencer = self.sequencer.lock();
            let before = sequencer.node(node).standing;
            sequencer.set_standing(node, standing);
            (before.counts() && !standing.counts(), sequencer.all_gone())
        };
        if lost {
            self.drop_tasks(|on| on == Some(node));
        }
        if gone {
            self.release_waiters();
        }
        self.wake_all();
    }
}
