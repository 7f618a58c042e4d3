//! One node as readers and operators see it, without a lock.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use actix::prelude::*;
use arc_swap::{ArcSwap, ArcSwapOption};
use chroma_ha_core::health::NodeState;
use chroma_ha_core::ids::CollectionId;
use serde::Serialize;
use tokio::sync::watch;

/// Something may be ready for the node's lanes.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Wake;

/// One node as everybody sees it.
pub struct Post {
    pub state: ArcSwap<NodeState>,
    /// Requests of clients under way on this node.
    pub outstanding: AtomicU32,
    /// Rises when the node loses its standing: requests under way there move on at once.
    pub(super) lost: watch::Sender<u64>,
    pub(super) wake: OnceLock<Recipient<Wake>>,
    pub(super) copy: ArcSwapOption<CopyProgress>,
}

/// How far a copy onto a node is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CopyProgress {
    pub collection: CollectionId,
    /// Records copied.
    pub done: usize,
    /// Records of the collection when the copy began.
    pub total: usize,
}

impl Post {
    pub(super) fn new(state: NodeState) -> Post {
        Post {
            state: ArcSwap::from_pointee(state),
            outstanding: AtomicU32::new(0),
            lost: watch::channel(0).0,
            wake: OnceLock::new(),
            copy: ArcSwapOption::empty(),
        }
    }
}
