//! Everything that exists in one run: balancer, log, servers, and what is under way between them. A
//! task of the balancer is a future; each of its awaits ends by an event of its own, so that the
//! schedule decides about every interleaving.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chroma_ha_core::entry::{Draft, Entry};
use chroma_ha_core::ids::{NodeId, Seq, Stream};
use chroma_ha_core::port::{Change, NodeFault, NodeRequest, NodeResponse, Page, Pages};
use chroma_ha_core::sequencer::{Limits, Sequencer, Shared};

use uuid::Uuid;

use super::chroma::Chroma;
use super::oracle::Oracle;
use super::peer::is_change;
use super::rng::Rng;
use super::store::Store;

pub type Slot<T> = Rc<RefCell<Option<T>>>;
pub type Lost = Rc<Cell<Option<NodeId>>>;
/// By time, then by order: whose timer it is.
type Timers = BTreeMap<(u64, u64), (u64, Slot<()>)>;
type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What differs from seed to seed.
#[derive(Debug)]
pub struct Plan {
    pub nodes: usize,
    pub limits: Limits,
    /// The most records that a node takes in one request, where it tells.
    pub batch_limit: Option<usize>,
    pub writes: usize,
    /// Out of 1,000 events, how many are faults.
    pub faults: usize,
    /// How readily requests, records and pages proceed: some runs have a slow log, some a slow node.
    pub pace: [usize; 3],
    pub node_pace: Vec<usize>,
    /// Clients also make and remove tenants and databases, and reset everything.
    pub places: bool,
    /// The server that may lose its disk.
    pub forgetful: Option<NodeId>,
    /// An operator takes nodes out and puts them back.
    pub operated: bool,
}

/// The server's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    Alive,
    Hung,
    Gone,
}

/// What the balancer believes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    Suspect,
    Down,
    Settling,
    Draining,
    Drained,
}

pub struct Server {
    pub chroma: RefCell<Chroma>,
    pub process: Cell<Process>,
    pub health: Cell<Health>,
    /// A request failed in doubt; health has not heard of it yet.
    pub suspicion: Cell<bool>,
    /// It lost its disk; nobody has noticed that it is away.
    pub wiped: Cell<bool>,
    pub woken: Cell<bool>,
}

pub enum Stage {
    Sent,
    Executed(NodeResponse),
    /// The connection broke.
    Broken,
    /// Nobody waits for the answer; the server may execute it as long as it is not settled.
    Ghost,
}

pub enum Work {
    Call { node: NodeId, request: NodeRequest, stage: Stage, slot: Slot<Result<NodeResponse, NodeFault>> },
    Record { epoch: u64, changes: Vec<Change>, done: Option<bool>, slot: Slot<bool> },
    Append { epoch: u64, entries: Vec<Arc<Entry>>, done: Option<bool>, slot: Slot<bool> },
    Page { page: Page, snapshot: Option<Pages>, slot: Slot<Option<Pages>> },
}

pub struct Op {
    pub owner: u64,
    pub work: Work,
}

struct Running {
    future: Task,
    lost: Lost,
    /// Another node that it reads.
    reads: Option<NodeId>,
}

pub struct World {
    pub rng: Rng,
    pub plan: Plan,
    pub trace: bool,
    pub sequencer: Shared,
    pub store: RefCell<Store>,
    pub servers: Vec<Server>,
    pub oracle: RefCell<Oracle>,
    pub ops: RefCell<Vec<Op>>,
    tasks: RefCell<BTreeMap<u64, Running>>,
    /// What a task was reading lost its standing while the task changed something else.
    distrusted: RefCell<BTreeSet<(u64, NodeId)>>,
    /// Records named in deletes of one collection on one node.
    pub deletes_sent: RefCell<BTreeMap<(NodeId, Uuid), u64>>,
    /// How far the log was when a collection was copied: the node may show as much at once.
    pub copied: RefCell<BTreeMap<(NodeId, Stream), Seq>>,
    pub timers: RefCell<Timers>,
    pub now_ms: Cell<u64>,
    next_id: Cell<u64>,
    current: Cell<u64>,
    pub faulty: Cell<bool>,
    pub log_away: Cell<bool>,
    /// One lazy flush at a time.
    pub flushing: Cell<bool>,
    pub lease_held: Cell<bool>,
    /// The log's end when the lease was last taken.
    pub recovered: Cell<Seq>,
    pub queue: RefCell<VecDeque<Draft>>,
    pub committing: Cell<bool>,
    pub waiters: RefCell<BTreeMap<Seq, Arc<Entry>>>,
    pub submitted: Cell<usize>,
    /// Ids that drafts came with.
    pub minted: RefCell<BTreeSet<u128>>,
    /// Which node was sent which entry.
    pub sent: RefCell<BTreeSet<(NodeId, Seq)>>,
    /// How often an acting node broke the connection, or answered 500, under an entry.
    pub broke: RefCell<BTreeMap<Seq, u32>>,
    /// How often it broke the connection.
    pub fell: RefCell<BTreeMap<Seq, u32>>,
    /// What the run has seen: a simulation that never meets a case proves nothing about it.
    pub seen: RefCell<BTreeSet<String>>,
    pub failure: RefCell<Option<String>>,
}

impl World {
    pub fn new(seed: u64, plan: Plan, trace: bool) -> Rc<World> {
        let server = |n: usize| Server {
            chroma: RefCell::new(Chroma::new(super::rng::mix(seed ^ (n as u64 + 1)))),
            process: Cell::new(Process::Alive),
            health: Cell::new(Health::Settling),
            suspicion: Cell::new(false),
            wiped: Cell::new(false),
            woken: Cell::new(false),
        };
        Rc::new(World {
            rng: Rng::new(seed),
            sequencer: Shared::new(Sequencer::new(plan.limits, plan.nodes)),
            store: RefCell::default(),
            servers: (0..plan.nodes).map(server).collect(),
            oracle: RefCell::default(),
            ops: RefCell::default(),
            tasks: RefCell::default(),
            distrusted: RefCell::default(),
            deletes_sent: RefCell::default(),
            copied: RefCell::default(),
            timers: RefCell::default(),
            now_ms: Cell::new(1),
            next_id: Cell::new(1),
            current: Cell::new(0),
            faulty: Cell::new(true),
            log_away: Cell::new(false),
            flushing: Cell::new(false),
            lease_held: Cell::new(false),
            recovered: Cell::default(),
            queue: RefCell::default(),
            committing: Cell::new(false),
            waiters: RefCell::default(),
            submitted: Cell::new(0),
            minted: RefCell::default(),
            sent: RefCell::default(),
            broke: RefCell::default(),
            fell: RefCell::default(),
            seen: RefCell::default(),
            failure: RefCell::default(),
            plan,
            trace,
        })
    }

    pub fn say(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>6} {}", self.now_ms.get(), text());
        }
    }

    pub fn saw(&self, what: impl Into<String>) {
        self.seen.borrow_mut().insert(what.into());
    }

    pub fn fail(&self, text: impl Into<String>) {
        let text = text.into();
        self.say(|| format!("FAILED: {text}"));
        self.failure.borrow_mut().get_or_insert(text);
    }

    pub fn check(&self, result: Result<(), String>) {
        if let Err(text) = result {
            self.fail(text);
        }
    }

    fn id(&self) -> u64 {
        self.next_id.set(self.next_id.get() + 1);
        self.next_id.get()
    }

    // Tasks

    /// Starts a task. `lost` names the node whose loss of standing ends it, until the task clears it.
    pub fn spawn(&self, lost: &Lost, future: impl Future<Output = ()> + 'static) {
        self.spawn_with(lost, None, future);
    }

    /// As `spawn`; what it asks the other node ends with that one's standing.
    pub fn spawn_with(&self, lost: &Lost, reads: Option<NodeId>, future: impl Future<Output = ()> + 'static) {
        let id = self.id();
        let running = Running { future: Box::pin(future), lost: Rc::clone(lost), reads };
        self.tasks.borrow_mut().insert(id, running);
        self.poll(id);
    }

    pub fn poll(&self, id: u64) {
        let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { return };
        let before = self.current.replace(id);
        let done = task.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.current.set(before);
        if done == Poll::Pending {
            self.tasks.borrow_mut().insert(id, task);
        }
    }

    /// Ends tasks that wait for this node's answer; the server may still execute what was sent.
    pub fn drop_tasks(&self, lost: impl Fn(Option<NodeId>) -> bool) {
        let mut ended = BTreeSet::new();
        self.tasks.borrow_mut().retain(|id, task| {
            let unread = lost(task.reads) && !self.changes(*id);
            if lost(task.reads) {
                self.distrusted.borrow_mut().extend(task.reads.map(|node| (*id, node)));
            }
            let ends = lost(task.lost.get()) || unread;
            if ends {
                ended.insert(*id);
            }
            !ends
        });
        self.timers.borrow_mut().retain(|_, (owner, _)| !ended.contains(owner));
        self.ops.borrow_mut().retain_mut(|op| {
            if !ended.contains(&op.owner) {
                return true;
            }
            match &mut op.work {
                Work::Call { node, stage: stage @ Stage::Sent, .. } => {
                    *stage = Stage::Ghost;
                    // What nobody receives is not executed later.
                    self.servers[node.0].process.get() != Process::Gone
                }
                Work::Call { stage: Stage::Ghost, .. } | Work::Record { .. } => true,
                _ => false,
            }
        });
    }

    /// The task waits for the end of something that it changes.
    fn changes(&self, id: u64) -> bool {
        let changes = |work: &Work| match work {
            Work::Call { request, .. } => is_change(request),
            work => matches!(work, Work::Record { .. }),
        };
        self.ops.borrow().iter().any(|op| op.owner == id && changes(&op.work))
    }

    /// The running task must not ask the node any more: it lost its standing.
    pub fn is_distrusted(&self, node: NodeId) -> bool {
        self.distrusted.borrow().contains(&(self.current.get(), node))
    }

    // Awaits

    fn start<T>(&self, work: impl FnOnce(Slot<T>) -> Work) -> Await<T> {
        let slot: Slot<T> = Rc::default();
        let work = work(Rc::clone(&slot));
        let owner = self.current.get();
        self.ops.borrow_mut().push(Op { owner, work });
        Await(slot)
    }

    pub async fn call(&self, node: NodeId, request: NodeRequest) -> Result<NodeResponse, NodeFault> {
        if self.servers[node.0].health.get() == Health::Drained {
            self.fail(format!("{node} is drained and is asked {}", request.path));
        }
        self.count_delete(node, &request);
        self.start(|slot| Work::Call { node, request, stage: Stage::Sent, slot }).await
    }

    pub async fn record(&self, changes: Vec<Change>) -> bool {
        let epoch = self.store.borrow().epoch;
        self.start(|slot| Work::Record { epoch, changes, done: None, slot }).await
    }

    pub async fn append(&self, entries: Vec<Arc<Entry>>) -> bool {
        let epoch = self.store.borrow().epoch;
        self.start(|slot| Work::Append { epoch, entries, done: None, slot }).await
    }

    pub async fn page(&self, page: Page) -> Option<Pages> {
        let snapshot = self.rng.percent(60).then(|| self.store.borrow().page(&page));
        self.start(|slot| Work::Page { page, snapshot, slot }).await
    }

    pub async fn sleep(&self, ms: u64) {
        let slot: Slot<()> = Rc::default();
        let at = self.now_ms.get() + ms;
        self.timers.borrow_mut().insert((at, self.id()), (self.current.get(), Rc::clone(&slot)));
        Await(slot).await;
    }

    pub fn wake(&self, node: NodeId) {
        self.servers[node.0].woken.set(true);
    }

    pub fn wake_all(&self) {
        self.servers.iter().for_each(|s| s.woken.set(true));
    }
}

/// Ends when an event fills the slot.
struct Await<T>(Slot<T>);

impl<T> Future for Await<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        self.0.borrow_mut().take().map_or(Poll::Pending, Poll::Ready)
    }
}
