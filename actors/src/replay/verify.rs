//! Carries out one comparison of a collection with another node, and begins the repair that follows.
//! Most records are compared while writes go on; those that looked different are read again where both
//! nodes stand at one position, and only what differs there is a finding. What follows from a finding
//! is decided in `core`.

use std::time::Duration;

use chroma_ha_core::port::Change;
use chroma_ha_core::sequencer::{CompareTask, Finding, Look, Next, Purpose, ReplayTask, Scope};
use tracing::{info, warn};

use super::apply::Delivery;
use super::peer::{PeerError, records_path};

pub(super) mod by_time;
mod compare;

use compare::{PAGE, Side};

/// Looks at suspects until the lanes are held for one.
const UNHELD: u32 = 2;

/// Looks at suspects until the comparison is given up for now.
const LOOKS: u32 = 8;

/// How long the lanes are held at most.
const HOLD: Duration = Duration::from_secs(1);

/// Between two looks while nodes do not stand at one position.
const STEP: Duration = Duration::from_millis(5);

/// Between two rounds of looks.
const ROUND: Duration = Duration::from_millis(100);

/// Tries to make a repair durable while a lane is held for it.
const TRIES: u32 = 5;

/// Records that a finding names.
const NAMED: usize = 20;

/// Compares, tells the sequencer, and begins what follows. `losses`: how often each node had lost its
/// standing before.
pub(super) async fn compare(delivery: Delivery, task: CompareTask, losses: Vec<u64>) {
    let node = delivery.node;
    let _open = Open { delivery: &delivery, task: &task };
    let next = tokio::select! {
        biased;
        () = delivery.board.lost(node, losses[node.0]) => return,
        () = delivery.board.lost(task.reference, losses[task.reference.0]) => return,
        next = find(&delivery, &task) => next,
    };
    match next {
        Next::Nothing | Next::LookAgain => {}
        Next::Replay(again) => replay(&delivery, &again).await,
        Next::Rebuild => rebuild(&delivery, &task).await,
    }
}

/// The log is applied again on the node, once that is durable.
pub(super) async fn replay(delivery: &Delivery, task: &ReplayTask) {
    if !kept(delivery, Change::Rewound { node: delivery.node.name(), seq: task.from.prev() }).await {
        return; // the look is made again
    }
    let begun = delivery.board.sequencer().replay(delivery.node, task);
    if begun {
        let (node, collection, from) = (delivery.node, task.collection, task.from);
        warn!(%node, %collection, %from, "a request that was given up was executed late: the log is applied again");
        delivery.stats.nodes.doubt_replays.with_label_values(&[&delivery.node.name()]).inc();
    }
    delivery.board.wake_all();
}

/// The node's contents are distrusted, durably, and copied anew.
async fn rebuild(delivery: &Delivery, task: &CompareTask) {
    let reason = format!("its records differ from those of {}", task.reference);
    let (node, collection) = (delivery.node.name(), task.collection);
    let aside = Change::Quarantined { node, collection, reason: Some(reason.clone()) };
    if kept(delivery, aside).await {
        delivery.board.sequencer().distrust(delivery.node, task, &reason);
    }
}

/// Whether the change is durable.
async fn kept(delivery: &Delivery, change: Change) -> bool {
    for _ in 0..TRIES {
        if delivery.record(vec![change.clone()]).await.is_ok() {
            return true;
        }
        tokio::time::sleep(ROUND).await;
    }
    false
}

/// A comparison that ends in whatever way must not hold a lane, nor block the next one.
struct Open<'a> {
    delivery: &'a Delivery,
    task: &'a CompareTask,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.delivery.board.sequencer().abandon(self.delivery.node, self.task);
        self.delivery.board.wake_all();
    }
}

async fn find(delivery: &Delivery, task: &CompareTask) -> Next {
    let comparison = Comparison { delivery, task };
    match comparison.run().await {
        Ok(next) => next,
        Err(error) => {
            let (node, collection) = (delivery.node, task.collection);
            warn!(%node, %collection, %error, "comparing the collection failed");
            comparison.tell(Finding::Undecided { reason: error.to_string() })
        }
    }
}

struct Comparison<'a> {
    delivery: &'a Delivery,
    task: &'a CompareTask,
}

impl Comparison<'_> {
    async fn run(&self) -> Result<Next, PeerError> {
        let board = &self.delivery.board;
        let place = board.sequencer().catalog.collection(self.task.collection).cloned();
        let Some(place) = place else { return Ok(Next::Nothing) };
        let path = |own| records_path(&place.tenant, &place.database, own);
        let (theirs, own) = (path(self.task.theirs), path(self.task.own));
        let (source, node) =
            (self.delivery.peer(self.task.reference), self.delivery.peer(self.delivery.node));
        let sides = (Side { peer: &source, path: &theirs }, Side { peer: &node, path: &own });
        let scope = board.sequencer().scope(self.delivery.node, self.task);
        let (records, suspects) = match scope {
            Scope::Records(ids) => (ids.len() as u64, ids),
            Scope::Whole => {
                let walked = compare::walk(sides.0, sides.1).await?;
                (walked.records, walked.suspects)
            }
        };
        for chunk in suspects.chunks(PAGE) {
            if let Some(next) = self.settle(sides, chunk).await? {
                return Ok(next);
            }
        }
        Ok(self.tell(Finding::Equal { records }))
    }

    /// Reads suspects again until they are equal (`None`) or differ at one position.
    async fn settle(
        &self,
        sides: (Side<'_>, Side<'_>),
        suspects: &[String],
    ) -> Result<Option<Next>, PeerError> {
        let mut left = suspects.to_vec();
        for look in 0..LOOKS {
            let held = look >= UNHELD;
            let seen = tokio::time::timeout(HOLD, self.look(sides, &left, held)).await;
            match seen {
                Ok(Seen::Void) => return Ok(Some(Next::Nothing)),
                Ok(Seen::Failed(error)) => return Err(error),
                Ok(Seen::Differing(differing)) if differing.is_empty() => {
                    self.let_go();
                    return Ok(None);
                }
                Ok(Seen::Differing(differing)) => {
                    left = differing;
                    match self.tell(self.finding(&left)) {
                        Next::LookAgain => {}
                        next => return Ok(Some(next)),
                    }
                }
                Err(_) => {} // not in time
            }
            self.let_go();
            tokio::time::sleep(ROUND).await;
        }
        let reason = "the nodes never stood at one position long enough".to_owned();
        Ok(Some(self.tell(Finding::Undecided { reason })))
    }

    /// Waits until the nodes stand at one position, and reads.
    async fn look(&self, sides: (Side<'_>, Side<'_>), ids: &[String], hold: bool) -> Seen {
        loop {
            let look = self.delivery.board.sequencer().look(self.delivery.node, self.task, hold);
            match look {
                Look::Void => return Seen::Void,
                Look::Go => break,
                Look::Wait => {
                    self.delivery.board.wake_all();
                    tokio::time::sleep(STEP).await;
                }
            }
        }
        match compare::differing(sides.0, sides.1, ids).await {
            Ok(differing) => Seen::Differing(differing),
            // The node has lost it, unnoticed so far.
            Err(PeerError::Refused { status: 404, .. }) => Seen::Differing(ids.to_vec()),
            Err(error) => Seen::Failed(error),
        }
    }

    fn let_go(&self) {
        self.delivery.board.sequencer().let_go(self.delivery.node);
        self.delivery.board.wake_all();
    }

    fn finding(&self, differing: &[String]) -> Finding {
        Finding::Differs { records: differing.iter().take(NAMED).cloned().collect(), seen: differing.len() }
    }

    fn tell(&self, finding: Finding) -> Next {
        let (board, node) = (&self.delivery.board, self.delivery.node);
        let now_ms = board.now_ms();
        let next = board.sequencer().compared(node, self.task, finding.clone(), now_ms);
        if next != Next::LookAgain {
            self.note(&finding, &next);
        }
        next
    }

    /// Says it once, where it is known to count.
    fn note(&self, finding: &Finding, next: &Next) {
        let (node, collection) = (self.delivery.node, self.task.collection);
        match finding {
            Finding::Equal { records } => {
                info!(%node, %collection, records, purpose = ?self.task.purpose, "equal")
            }
            Finding::Undecided { .. } => {}
            Finding::Differs { records, seen } => {
                let reference = self.task.reference;
                warn!(%node, %reference, %collection, seen, ?records, ?next, "records differ");
                if matches!(self.task.purpose, Purpose::Verify { .. }) || *next == Next::Rebuild {
                    self.delivery.stats.nodes.differences.with_label_values(&[&node.name()]).inc();
                }
            }
        }
    }
}

enum Seen {
    Differing(Vec<String>),
    Void,
    Failed(PeerError),
}
