//! The two things the actors need from outside: a log store and nodes. Each has a second
//! implementation for simulation, which is why they are traits; nothing else is.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::answer::Answer;
use crate::catalog::Move;
use crate::effect::Effect;
use crate::entry::Entry;
use crate::idempotency::{Claimed, Fate};
use crate::ids::{CollectionId, Seq, Stream};
use crate::lease::Company;
use crate::operator::{
    AuditPage, AuditRow, Closing, DeadLetter, Deed, LetterPage, LetterRow, Letters, WritePage,
};

mod recovered;

pub use crate::operator::WriteRow;
pub use recovered::{Leftover, LeftoverState, PastTurn, Recovered, RecoveredNode};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the log store could not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, or the connection broke; whether a commit happened is unknown.
    #[error("PostgreSQL cannot be reached: {0}")]
    Unavailable(String),
    /// The lease is not held, or its session is gone: another balancer may be sequencing. What was to be
    /// appended is not in the log, and what was to be recorded is not recorded.
    #[error("the lease on the log was lost: {0}")]
    LeaseLost(String),
    /// The store answered and refused: a defect or a changed schema, not an outage.
    #[error("PostgreSQL refused a statement: {0}")]
    Refused(String),
}

/// One durable fact besides the entries themselves. All facts of one `record` call commit together.
#[derive(Clone, Debug)]
pub enum Change {
    /// The entry's effect was resolved; durable before any node gets the entry.
    Effect { seq: Seq, effect: Effect },
    /// The acting node refused the entry; durable before the client hears of it.
    Rejected { seq: Seq, reason: String },
    /// What the client of an entry with a key is told, each time it asks. The first one stays.
    Outcome { seq: Seq, answer: Answer },
    /// The acting node accepted a record entry under which nodes had failed: whoever recovers must not judge it
    /// again by what nodes hold then.
    Accepted { seq: Seq },
    /// The acting node accepted a catalog entry; `moves` is what it did to the catalog.
    CatalogAccepted { seq: Seq, effect: Effect, moves: Vec<Move> },
    /// The node applied the catalog stream up to here.
    CatalogCursor { node: String, seq: Seq },
    /// The node's own id of a collection, or (`None`) that it has no such collection any more.
    Mapped { node: String, collection: CollectionId, node_collection: Option<Uuid> },
    /// Every record entry up to here is applied on the node. Flushed lazily.
    Cursor { node: String, seq: Seq },
    /// From this entry of the stream on a request that was given up may still change something on the node;
    /// `None`: no longer, or its cursor tells.
    Doubted { node: String, stream: Stream, first: Option<Seq> },
    /// The node applies what follows this position again: its cursor goes back.
    Rewound { node: String, seq: Seq },
    /// Every pending entry up to here is on every node: its status becomes `completed`.
    Completed { through: Seq },
    /// Collections and databases that the primary held before anything was logged.
    Adopted { moves: Vec<Move> },
    /// The node belongs to the cluster and follows the log from here.
    Joined { node: String, seq: Seq },
    /// What a deletion came to on a node with other ids; durable before the node gets it. The first one stays.
    Converted { node: String, seq: Seq, ids: Vec<String> },
    /// The node holds this collection's documents under other record ids.
    OtherIds { node: String, collection: CollectionId },
    /// A copy of this collection was begun on the node under this id of its own; `None`: it ended.
    Copying { node: String, collection: CollectionId, node_collection: Option<Uuid> },
    /// A copy fills this collection of the node with what was read at this position or later.
    CopyBegun { node: String, collection: CollectionId, node_collection: Uuid, position: Seq },
    /// The collection must not be served from the node until it is copied there, whatever restarts;
    /// `None`: it was.
    Quarantined { node: String, collection: CollectionId, reason: Option<String> },
    /// A node refuses an accepted entry.
    DeadLetter { letter: DeadLetter },
    /// Open dead letters of the node are over.
    LettersClosed { node: String, letters: Letters, how: Closing },
    /// Failed deliveries of an entry so far, and the last error.
    Attempts { seq: Seq, retries: u32, error: String },
    /// A change of a node's state, kept as failover history.
    NodeState { node: String, from: String, to: String, reason: String },
    /// An operator takes the node out under this order; `None`: puts it back.
    Drained { node: String, order: Option<Uuid> },
    /// An operator wants this node to act whenever it is up to date; `None`: the configured order.
    Preferred { node: Option<String> },
    /// An operator did this; commits with what it changed.
    Audited { deed: Deed },
}

/// Which entries to read back. Rejected entries are left out.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// `None`: all streams.
    pub stream: Option<Stream>,
    /// First position wanted.
    pub from: Seq,
    /// Last position wanted.
    pub through: Seq,
    /// At most so many entries.
    pub max_entries: usize,
    /// At most so many bytes of bodies, but always at least one entry.
    pub max_bytes: usize,
}

/// Entries read back, in log order.
#[derive(Debug, Default)]
pub struct Pages {
    pub entries: Vec<Arc<Entry>>,
    /// Everything of the asked range up to here is in `entries` (or was rejected).
    pub complete_through: Seq,
}

/// The write-ahead log. `acquire` and `append` use one session that holds the lease; the rest a
/// small pool. Connections belong to the runtime that first uses them: one store value per arbiter.
pub trait LogStore: Send + Sync {
    /// Takes the lease if no other balancer holds it, bumps the epoch, and reads what is remembered.
    /// `None`: another balancer holds it.
    fn acquire(&self) -> BoxFuture<'_, Result<Option<Recovered>, StoreError>>;

    /// Whether the lease's session still answers; says to the others that this balancer lives.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Commits the entries, all or none, in one transaction on the lease's session.
    fn append(&self, entries: Vec<Arc<Entry>>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Who else works on this log; says to them that this balancer lives, and which drains it has carried
    /// out: nothing of its own is under way at those nodes any more.
    fn company(&self, drained: Vec<Uuid>) -> BoxFuture<'_, Result<Company, StoreError>>;

    /// Commits the changes, all or none, in one transaction.
    fn record(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Reads entries back in log order.
    fn page(&self, page: Page) -> BoxFuture<'_, Result<Pages, StoreError>>;

    /// One write by its id.
    fn find(&self, write_id: String) -> BoxFuture<'_, Result<Option<WriteRow>, StoreError>>;

    /// Writes by state, the latest first.
    fn writes(&self, page: WritePage) -> BoxFuture<'_, Result<Vec<WriteRow>, StoreError>>;

    /// What the client of a write sent.
    fn body(&self, write_id: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>>;

    /// What is kept under a client's key.
    fn recall(&self, key: [u8; 32]) -> BoxFuture<'_, Result<Option<Claimed>, StoreError>>;

    /// What the log knows of these entries' outcomes; of those that are still there.
    fn fates(&self, seqs: Vec<Seq>) -> BoxFuture<'_, Result<Vec<(Seq, Fate)>, StoreError>>;
    /// What operators did, newest first.
    fn audit(&self, page: AuditPage) -> BoxFuture<'_, Result<Vec<AuditRow>, StoreError>>;

    /// Dead letters, the latest entries first.
    fn letters(&self, page: LetterPage) -> BoxFuture<'_, Result<Vec<LetterRow>, StoreError>>;

    /// The address that the last holder of the lease advertised.
    fn holder(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>>;

    /// Removes up to `limit` finished entries at or below `through` that are older than `days`;
    /// returns how many went. Outcomes of that age go with them.
    fn expire(&self, days: u32, through: Seq, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Lets go of the lease for good. `quiet`: nothing is under way or in doubt on any node.
    fn release(&self, quiet: bool) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// A request to one node, already spelt for it.
#[derive(Clone, Debug)]
pub struct NodeRequest {
    pub method: &'static str,
    /// Path and query, with the node's own ids.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub timeout: Duration,
}

/// A node's answer, whole.
#[derive(Clone, Debug)]
pub struct NodeResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeFault {
    /// The connection was refused: the request was not delivered.
    #[error("connection refused")]
    Refused,
    /// It could not prove to be the node: the request was not delivered.
    #[error("its certificate is refused: {0}")]
    Untrusted(String),
    /// No answer in time: the request may have been, or may still be, executed.
    #[error("no answer within {0} ms")]
    Timeout(u64),
    /// The connection broke after the request was sent: it may have been executed.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Not sent: the lease was not certain any more.
    #[error("not sent, because the lease is not certain")]
    Withheld,
}

impl NodeFault {
    /// Whether the node may have executed, or may yet execute, the request.
    pub fn in_doubt(&self) -> bool {
        !matches!(self, NodeFault::Refused | NodeFault::Untrusted(_) | NodeFault::Withheld)
    }
}

/// One Chroma server.
pub trait Node: Send + Sync {
    fn call(&self, request: NodeRequest) -> BoxFuture<'_, Result<NodeResponse, NodeFault>>;

    /// Forgets open connections: what comes next goes over fresh ones.
    fn reconnect(&self);
}
