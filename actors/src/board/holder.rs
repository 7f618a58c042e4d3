//! Who holds the lease, as everybody on this balancer sees it, and how certain it is. The log's writer
//! tells; nobody here asks PostgreSQL or another balancer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chroma_ha_core::lease::{Company, Peer, Reads, Tenure};
use tokio::sync::watch;

use super::{Board, Verdict};
use crate::history::LOG;

/// Who sequences, as far as this balancer knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Holder {
    /// The log was not reached since the start.
    #[default]
    Unknown,
    /// This balancer.
    Here,
    /// This balancer is giving the lease away, or has, and nobody is known to have taken it.
    HandingOver,
    /// This balancer held it until its session broke; it may be nobody now, or another one.
    Lost,
    /// Another balancer.
    Elsewhere(Peer),
}

impl Holder {
    /// The address of another balancer that holds it.
    pub(crate) fn elsewhere(self) -> Option<String> {
        if let Holder::Elsewhere(peer) = self { Some(peer.address) } else { None }
    }

    /// In the history.
    fn name(&self) -> &'static str {
        match self {
            Holder::Unknown => "not known",
            Holder::Here => "held here",
            Holder::HandingOver => "given away",
            Holder::Lost => "lost",
            Holder::Elsewhere(_) => "held elsewhere",
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Holder::Unknown => "PostgreSQL was not reached yet",
            Holder::Here => "this balancer took the lease",
            Holder::HandingOver => "this balancer was asked to stop",
            Holder::Lost => "the session with PostgreSQL broke",
            Holder::Elsewhere(_) => "another balancer holds the lease",
        }
    }
}

pub struct LeaseView {
    started: Instant,
    holder: watch::Sender<Holder>,
    tenure: Mutex<Tenure>,
    company: ArcSwap<Company>,
    log_answers: AtomicBool,
}

impl LeaseView {
    pub(super) fn new(started: Instant, lease: Duration) -> LeaseView {
        LeaseView {
            started,
            holder: watch::channel(Holder::default()).0,
            tenure: Mutex::new(Tenure::new(lease)),
            company: ArcSwap::default(),
            log_answers: AtomicBool::new(false),
        }
    }

    fn tenure(&self) -> MutexGuard<'_, Tenure> {
        self.tenure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn holder(&self) -> Holder {
        self.holder.borrow().clone()
    }

    /// To wait for another holder.
    pub fn watch(&self) -> watch::Receiver<Holder> {
        self.holder.subscribe()
    }

    pub fn company(&self) -> Arc<Company> {
        self.company.load_full()
    }

    /// Whether PostgreSQL answered when it was asked last.
    pub fn log_answers(&self) -> bool {
        self.log_answers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_log_answers(&self, answers: bool) {
        self.log_answers.store(answers, Ordering::Relaxed);
    }

    /// Says whether that is news.
    pub(crate) fn set_holder(&self, holder: Holder) -> bool {
        let news = |known: &mut Holder| {
            let news = *known != holder;
            *known = holder;
            news
        };
        self.holder.send_if_modified(news)
    }

    pub(crate) fn meet(&self, company: Company) {
        self.tenure().look(company.others.len());
        self.company.store(company.into());
    }

    /// A check that was begun at `begun` succeeded.
    pub(crate) fn check(&self, begun: Instant) {
        self.tenure().check(begun.saturating_duration_since(self.started));
    }

    /// The lease was given away, or another balancer has it.
    pub(crate) fn end(&self) {
        self.tenure().end();
    }

    /// Whether nobody else can have taken the lease by now: only then may anything be sent to a node.
    pub fn certain(&self) -> bool {
        self.tenure().certain(self.started.elapsed())
    }

    /// Whether what is known here is everything that was acknowledged.
    pub fn reads(&self) -> Reads {
        self.tenure().reads(self.started.elapsed())
    }
}

impl Board {
    /// Another balancer sequences now: it judges what waits here, and its verdicts are not heard here.
    pub fn hand_over(&self) {
        self.lease.end();
        self.sequencer().step_down();
        self.waiters.release(|_, _| Verdict::Unknown);
        self.changed.send_modify(|n| *n += 1);
    }

    pub(crate) fn set_holder(&self, holder: Holder) {
        let (from, to) = (self.lease.holder(), holder.clone());
        if self.lease.set_holder(holder) {
            self.history.turn(LOG, from.name(), to.name(), to.reason());
            self.changed.send_modify(|n| *n += 1);
        }
    }

    /// Whether the log has ever been read: before that, what exists is not known. Waits for it, at most
    /// until the deadline.
    pub async fn has_recovered(&self, wait: Duration) -> bool {
        if self.sequencer().epoch() != 0 {
            return true;
        }
        let deadline = tokio::time::Instant::now() + wait;
        let mut changed = self.changed.subscribe();
        while self.sequencer().epoch() == 0 {
            if matches!(self.lease.holder(), Holder::Elsewhere(_) | Holder::HandingOver) {
                return false;
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return false;
            }
        }
        true
    }

    /// `turn`: of the orders, before the company was asked for.
    pub(crate) fn meet(&self, company: Company, turn: u64) {
        if self.sequencer().heard.read(turn, &company.followed.orders) {
            self.wake_all();
        }
        self.lease.meet(company);
    }

    /// Whether reads of what the log keeps may be answered from here.
    pub fn may_read(&self) -> bool {
        self.lease.reads().allowed()
    }
}
