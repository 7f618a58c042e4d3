//! A collection is copied anew to a node that may hold what was rejected. The copy itself is one event: how
//! it is made page by page is tested elsewhere.

use std::cell::Cell;
use std::rc::Rc;

use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::Change;
use chroma_ha_core::sequencer::CopyTask;
use uuid::Uuid;

use super::world::{Process, World};

impl World {
    pub fn copy(self: &Rc<Self>, node: NodeId, task: CopyTask) {
        let world = Rc::clone(self);
        self.spawn(&Rc::new(Cell::new(Some(node))), async move {
            world.sleep(1 + world.rng.next() % 500).await;
            let own = world.transfer(node, &task).ok_or_else(|| "the copy failed".to_owned());
            let failed = own.is_err();
            world.saw("copy");
            world.sequencer.lock().copied(node, &task, own, world.now_ms.get());
            world.wake_all();
            if failed {
                world.sleep(10_000).await;
                world.wake(node);
            }
        });
    }

    fn transfer(&self, node: NodeId, task: &CopyTask) -> Option<Uuid> {
        let alive = |node: NodeId| self.servers[node.0].process.get() == Process::Alive;
        let source = self.sequencer.lock().node_collection(task.source, task.collection)?;
        let place = self.sequencer.lock().catalog.collection(task.collection)?.clone();
        let place = (place.tenant, place.database, place.name);
        let current = self.sequencer.lock().node(node).generation == task.generation;
        if !current || !alive(node) || !alive(task.source) || self.log_away.get() || !self.lease_held.get() {
            return None;
        }
        let (_, records) = self.servers[task.source.0].chroma.borrow().collections.get(&source)?.clone();
        let own = Uuid::from_u64_pair(self.rng.next() | 1 << 63, self.rng.next());
        let mut chroma = self.servers[node.0].chroma.borrow_mut();
        task.replaces.iter().for_each(|old| drop(chroma.collections.remove(old)));
        chroma.collections.insert(own, (place, records));
        let (name, collection) = (node.name(), task.collection);
        let changes = [
            Change::Mapped { node: name.clone(), collection, node_collection: Some(own) },
            Change::Quarantined { node: name, collection, reason: None },
        ];
        let epoch = self.store.borrow().epoch;
        self.commit_changes(epoch, &changes).then_some(own)
    }
}
