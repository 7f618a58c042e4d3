//! The rest of the balancer, as its actors do it: group commit, lazy flush, page reads, and the clients
//! that wait.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use chroma_ha_core::answer::Answer;
use chroma_ha_core::entry::{Decision, Draft, Entry};
use chroma_ha_core::ids::{CollectionId, NodeId, Seq, Stream};
use chroma_ha_core::port::{Change, Page};
use chroma_ha_core::sequencer::Step;

use super::delivery::Delivery;
use super::world::World;

/// A lazy flush is under way; a crash ends it, too.
struct Flushing(Rc<World>);

impl Flushing {
    fn begin(world: &Rc<World>) -> Flushing {
        world.flushing.set(true);
        Flushing(Rc::clone(world))
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        self.0.flushing.set(false);
    }
}

fn lasting() -> Rc<Cell<Option<NodeId>>> {
    Rc::default()
}

impl World {
    // Writes

    /// What the proxy does with a write. False: refused before anything is logged.
    pub fn submit(self: &Rc<Self>, draft: Draft) -> bool {
        {
            let sequencer = self.sequencer.lock();
            let id = CollectionId(draft.target.unwrap_or_default());
            let known = sequencer.catalog.collection(id).is_some();
            let fits = if draft.op.is_record() { known } else { !sequencer.all_gone() };
            if !self.lease_held.get() || !sequencer.leading() || !fits {
                return false;
            }
        }
        self.queue.borrow_mut().push_back(draft);
        self.commit();
        true
    }

    fn commit(self: &Rc<Self>) {
        if self.committing.get() || self.queue.borrow().is_empty() {
            return;
        }
        self.committing.set(true);
        let group: Vec<Draft> = {
            let mut queue = self.queue.borrow_mut();
            let take = queue.len().min(3);
            queue.drain(..take).collect()
        };
        let world = Rc::clone(self);
        self.spawn(&lasting(), async move {
            let entries = world.entries(group);
            let committed = world.append(entries.clone()).await;
            world.committing.set(false);
            if committed {
                world.admit(&entries);
                world.commit();
            } else {
                world.lose_lease();
            }
        });
    }

    fn admit(&self, entries: &[Arc<Entry>]) {
        for entry in entries {
            self.say(|| format!("admit {} {}", entry.seq, describe(&entry.draft)));
            if !entry.is_acknowledged() {
                self.waiters.borrow_mut().insert(entry.seq, Arc::clone(entry));
            }
        }
        self.sequencer.lock().admit(entries);
        self.acknowledge(entries);
        if self.sequencer.lock().all_gone() {
            self.release_waiters();
        }
        self.wake_all();
    }

    pub fn release_waiters(&self) {
        for (seq, entry) in std::mem::take(&mut *self.waiters.borrow_mut()) {
            if entry.draft.op.is_record() {
                self.sequencer.lock().acknowledge_queued(entry.stream(), entry.seq);
                self.oracle.borrow_mut().queued(&entry);
                self.say(|| format!("queued {seq}"));
            }
        }
    }

    /// The client of this entry hears its answer, if it still waits.
    pub fn answered(&self, seq: Seq, answer: &Answer) {
        if let Some(entry) = self.waiters.borrow_mut().remove(&seq) {
            self.say(|| format!("answer {seq} {}", answer.status));
            let result = self.oracle.borrow_mut().answered(&entry, answer);
            self.check(result);
        }
    }

    /// The sequencer took a decision.
    pub fn decided(&self, entry: &Entry, decision: Decision, moot: bool) {
        let how = if moot { "moot " } else { "" };
        self.saw(format!("{how}{} {decision:?}", entry.draft.op.name()));
        let promised = entry.is_acknowledged();
        let failed = if promised { self.fell_often(entry.seq) } else { self.failed_often(entry.seq) };
        if failed {
            self.saw(format!("failing {decision:?}"));
        }
        let result = self.oracle.borrow_mut().decided(entry, decision, moot, failed);
        self.check(result);
    }

    // What a node can do now

    pub fn advance(self: &Rc<Self>, node: NodeId) {
        self.servers[node.0].woken.set(false);
        let steps = self.sequencer.lock().steps(node, self.now_ms.get());
        if self.is_taken_out(node) && !steps.is_empty() {
            self.fail(format!("{node} is taken out and something is begun there: {steps:?}"));
        }
        for step in steps {
            match step {
                Step::Inspect { generation, .. } => self.inspect(node, generation),
                Step::Copy(task) => self.copy(node, task),
                Step::Apply(task) => {
                    self.say(|| format!("{node} {:?} {}", task.role, task.entries[0].seq));
                    Delivery::start(self, node, task);
                }
                Step::Load { stream, page, life } => self.load(node, stream, page, life),
                Step::Compare(task) => self.compare(node, task),
                Step::Replay(task) => self.replay(node, task),
                Step::Moot { entry, decision } => self.moot(&entry, decision),
            }
        }
    }

    fn load(self: &Rc<Self>, node: NodeId, stream: Option<Stream>, page: Page, life: u64) {
        let world = Rc::clone(self);
        self.say(|| format!("{node} reads {stream:?} from {}", page.from));
        self.spawn(&lasting(), async move {
            match world.page(page).await {
                Some(pages) => {
                    let seqs = || pages.entries.iter().map(|e| e.seq.0).collect::<Vec<_>>();
                    world.say(|| format!("{node} got {:?} through {}", seqs(), pages.complete_through));
                    let mut sequencer = world.sequencer.lock();
                    let (entries, through) = (pages.entries, pages.complete_through);
                    match stream {
                        None => sequencer.feed(node, life, page.from, entries, through),
                        Some(stream) => sequencer.loaded(node, life, stream, page.from, entries, through),
                    }
                }
                None => {
                    world.sleep(500).await;
                    world.sequencer.lock().load_failed(node, life, stream);
                }
            }
            world.wake(node);
        });
    }

    fn moot(self: &Rc<Self>, entry: &Arc<Entry>, decision: Decision) {
        self.say(|| format!("moot {} {decision:?}", entry.seq));
        self.decided(entry, decision, true);
        let (world, entry) = (Rc::clone(self), Arc::clone(entry));
        self.spawn(&lasting(), async move {
            let mut status = 200;
            if decision == Decision::Rejected {
                let reason = "the collection does not exist".to_owned();
                world.record(vec![Change::Rejected { seq: entry.seq, reason }]).await;
                status = 404;
            }
            world.answered(entry.seq, &Answer::json(status, "{}"));
            world.wake_all();
        });
    }

    // The log's side of a record

    pub fn commit_changes(&self, epoch: u64, changes: &[Change]) -> bool {
        if !self.store.borrow_mut().record(epoch, changes) {
            return false;
        }
        for change in changes {
            match change {
                Change::Accepted { seq } | Change::CatalogAccepted { seq, .. } => {
                    self.decided(&self.entry(*seq), Decision::Accepted, false)
                }
                Change::Rejected { seq, .. } => self.decided(&self.entry(*seq), Decision::Rejected, false),
                _ => {}
            }
        }
        true
    }

    // Lazy flush

    pub fn flush(self: &Rc<Self>) {
        let (changes, kept) = {
            let sequencer = self.sequencer.lock();
            if !sequencer.leading() || self.flushing.get() {
                return;
            }
            let mut changes = vec![Change::Completed { through: sequencer.completed() }];
            let mut kept = Vec::new();
            for node in sequencer.node_ids() {
                let (seq, keeping) = sequencer.durable(node);
                changes.push(Change::Cursor { node: node.name(), seq });
                let doubted = |(stream, first)| Change::Doubted { node: node.name(), stream, first };
                changes.extend(keeping.iter().copied().map(doubted));
                kept.push((node, keeping));
            }
            (changes, kept)
        };
        let (world, flushing) = (Rc::clone(self), Flushing::begin(self));
        self.spawn(&lasting(), async move {
            let recorded = world.record(changes).await;
            drop(flushing);
            if recorded {
                let mut sequencer = world.sequencer.lock();
                kept.iter().for_each(|(node, keeping)| sequencer.kept(*node, keeping));
            }
        });
    }
}

pub fn describe(draft: &Draft) -> String {
    let target = draft.target.map(|t| t.as_u128()).unwrap_or_default();
    let path = draft.path.rsplit('/').next().unwrap_or_default();
    let body = String::from_utf8_lossy(&draft.body);
    format!("{:?} target={target} {path} {body}", draft.op)
}
