//! Facts on their way into the log, under the lease they were found out under: what a task of an earlier
//! lease of this very process comes to say counts no more.

use std::sync::Arc;

use actix::prelude::*;
use chroma_ha_core::port::{Change, StoreError};
use tracing::warn;

use super::WalActor;
use crate::health::NodeChanged;

/// Commit these changes together.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Record {
    /// Of the lease under which they were found out.
    pub epoch: u64,
    pub changes: Vec<Change>,
}

impl Handler<Record> for WalActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, record: Record, _: &mut Self::Context) -> Self::Result {
        self.watched.beat();
        if !self.lease.holds() || record.epoch != self.epoch {
            let Record { epoch, .. } = record;
            let error = StoreError::LeaseLost(format!("it was begun under epoch {epoch}, which is over"));
            return Box::pin(async move { Err(error) });
        }
        if self.flushing && record.changes.iter().any(|change| matches!(change, Change::Rewound { .. })) {
            // A flush under way may bring the cursor forward again.
            let error = StoreError::Unavailable("a flush is under way; try again".to_owned());
            return Box::pin(async move { Err(error) });
        }
        let (store, watched) = (Arc::clone(&self.store), Arc::clone(&self.watched));
        Box::pin(self.watched.answering(async move {
            let result = store.record(record.changes).await;
            if let Err(error) = &result {
                warn!(%error, "recording in the log failed");
                watched.error(error);
            }
            result
        }))
    }
}

/// A node's change of state becomes failover history.
impl Handler<NodeChanged> for WalActor {
    type Result = ();

    fn handle(&mut self, NodeChanged { node, change }: NodeChanged, _: &mut Self::Context) {
        if !self.lease.holds() {
            return;
        }
        let (from, to) = (change.from.name().to_owned(), change.to.name().to_owned());
        let change = Change::NodeState { node: node.name(), from, to, reason: change.reason.to_string() };
        let (store, watched) = (Arc::clone(&self.store), Arc::clone(&self.watched));
        self.watched.spawn(async move {
            if let Err(error) = store.record(vec![change]).await {
                watched.error(error);
            }
        });
    }
}
