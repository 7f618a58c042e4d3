//! One node as readers and operators see it, without a lock.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use actix::prelude::*;
use arc_swap::{ArcSwap, ArcSwapOption};
use chroma_ha_core::health::NodeState;
use chroma_ha_core::ids::{CollectionId, NodeId};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::deletes::DeleteCounts;

/// Something may be ready for the node's lanes.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Wake;

/// One node as everybody sees it.
pub struct Post {
    pub state: ArcSwap<NodeState>,
    /// Why the last probe had no good answer; none: it had one.
    pub probe_fault: ArcSwapOption<String>,
    /// Requests of clients under way on this node.
    pub outstanding: AtomicU32,
    /// Rises when the node loses its standing: requests under way there move on at once.
    pub(super) lost: watch::Sender<u64>,
    pub(super) wake: OnceLock<Recipient<Wake>>,
    pub(super) copy: ArcSwapOption<CopyProgress>,
    /// Deletes under way there.
    pub deletes: Arc<DeleteCounts>,
}

/// How far a copy onto a node is.
#[derive(Clone, Copy, Debug)]
pub struct CopyProgress {
    pub collection: CollectionId,
    pub source: NodeId,
    pub begun: Instant,
    /// Records that are on the node.
    pub done: usize,
    /// Of these, the ones that it had already.
    pub found: usize,
    /// Records of the collection when the copy began.
    pub total: usize,
}

impl CopyProgress {
    /// As it is shown: with the rate so far, and how long the rest takes at that rate.
    pub fn shown(&self) -> Value {
        let seconds = self.begun.elapsed().as_secs_f64();
        let rate = (self.done - self.found) as f64 / seconds.max(0.001);
        let rest = self.total.saturating_sub(self.done) as f64;
        let remaining = (rate > 0.0).then(|| (rest / rate).ceil());
        json!({
            "collection": self.collection,
            "source": self.source.name(),
            "done": self.done,
            "total": self.total.max(self.done),
            "seconds": seconds.round(),
            "records_per_second": rate.round(),
            "remaining_seconds": remaining,
        })
    }
}

impl Post {
    pub(super) fn new(state: NodeState) -> Post {
        Post {
            state: ArcSwap::from_pointee(state),
            probe_fault: ArcSwapOption::empty(),
            outstanding: AtomicU32::new(0),
            lost: watch::channel(0).0,
            wake: OnceLock::new(),
            copy: ArcSwapOption::empty(),
            deletes: Arc::default(),
        }
    }
}
