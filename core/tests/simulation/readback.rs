//! Records in doubt are read back, as the replay actor does it: two nodes are read where they stand at
//! one position, and what differs is applied again from the log.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{Change, NodeRequest};
use chroma_ha_core::sequencer::{CompareTask, Finding, Look, Next, ReplayTask};
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::World;

/// Looks until the lanes are held.
const UNHELD: u32 = 3;
const LOOKS: u32 = 40;

/// However a comparison ends, lanes are not held for it any longer.
struct Open {
    world: Rc<World>,
    node: NodeId,
    task: CompareTask,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.world.sequencer.lock().abandon(self.node, &self.task);
        self.world.wake_all();
    }
}

impl World {
    pub fn compare(self: &Rc<Self>, node: NodeId, task: CompareTask) {
        let reads = Some(task.reference);
        let open = Open { world: Rc::clone(self), node, task };
        self.spawn_with(&Rc::new(Cell::new(Some(node))), reads, async move {
            let Open { world, task, .. } = &open;
            let next = world.find(node, task).await;
            world.say(|| format!("{node} read back {}: {next:?}", task.collection));
            match next {
                Next::Replay(replay) => world.replay_now(node, replay).await,
                Next::Rebuild => world.fail(format!("{node} differs after the log was applied again")),
                Next::Nothing | Next::LookAgain => {}
            }
        });
    }

    pub fn replay(self: &Rc<Self>, node: NodeId, task: ReplayTask) {
        let world = Rc::clone(self);
        self.spawn(&Rc::new(Cell::new(Some(node))), async move { world.replay_now(node, task).await });
    }

    async fn replay_now(&self, node: NodeId, task: ReplayTask) {
        let seq = task.from.prev();
        if self.record(vec![Change::Rewound { node: node.name(), seq }]).await {
            let begun = self.sequencer.lock().replay(node, &task);
            self.say(|| format!("{node} applies {} again from {}: {begun}", task.collection, task.from));
        }
        self.wake_all();
    }

    async fn find(&self, node: NodeId, task: &CompareTask) -> Next {
        for look in 0..LOOKS {
            let may = self.sequencer.lock().look(node, task, look >= UNHELD);
            match may {
                Look::Void => return Next::Nothing,
                Look::Wait => self.sleep(10).await,
                Look::Go => {
                    let left = self.read_back(task.reference, task.collection.0, task.theirs).await;
                    let right = self.read_back(node, task.collection.0, task.own).await;
                    let (Some(left), Some(right)) = (left, right) else { break };
                    let finding = if left == right {
                        Finding::Equal { records: left.len() as u64 }
                    } else {
                        Finding::Differs { records: Vec::new(), seen: 1 }
                    };
                    match self.sequencer.lock().compared(node, task, finding, self.now_ms.get()) {
                        Next::LookAgain => {}
                        next => return next,
                    }
                }
            }
        }
        let finding = Finding::Undecided { reason: String::new() };
        self.sequencer.lock().compared(node, task, finding, self.now_ms.get())
    }

    /// Every record, without what nodes spell differently.
    async fn read_back(&self, node: NodeId, logical: Uuid, own: Uuid) -> Option<BTreeMap<String, String>> {
        let path = format!("/api/v2/tenants/default_tenant/databases/default_database/collections/{own}/get");
        let body =
            Bytes::from(json!({ "include": ["embeddings", "metadatas", "documents", "uris"] }).to_string());
        let request =
            NodeRequest { method: "POST", path, headers: Vec::new(), body, timeout: Default::default() };
        let response = self.call(node, request).await.ok()?;
        self.say(|| format!("{node} shows {logical}: {}", String::from_utf8_lossy(&response.body)));
        let answer: Value = serde_json::from_slice(&response.body).ok().filter(|_| response.status == 200)?;
        let row = |at: usize| {
            ["embeddings", "metadatas", "documents"].map(|field| answer[field][at].to_string()).join(" ")
        };
        let ids = answer["ids"].as_array()?.iter().enumerate();
        Some(ids.map(|(at, id)| (id.to_string(), row(at))).collect())
    }
}
