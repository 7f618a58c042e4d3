//! What is written lazily and in bulk: cursors, statuses, retention.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::ids::{NodeId, Seq};
use chroma_ha_core::port::{Change, StoreError};
use chroma_ha_core::sequencer::Keeping;

use super::{WalActor, broken};

#[derive(Message)]
#[rtype(result = "()")]
struct Flushed(Result<Flush, StoreError>);

/// What the last lazy flush wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flush {
    cursors: Vec<Seq>,
    /// Doubts that are kept from now on, or no longer, by node.
    keeping: Vec<Vec<Keeping>>,
    completed: Seq,
}

impl WalActor {
    /// Cursors and statuses, if they moved since the last flush.
    pub(super) fn due(&self) -> Option<(Flush, Vec<Change>)> {
        let mut sequencer = self.board.sequencer();
        if !sequencer.leading() {
            return None;
        }
        let (cursors, keeping): (Vec<_>, Vec<_>) =
            sequencer.node_ids().map(|node| sequencer.durable(node)).unzip();
        keeping.iter().enumerate().for_each(|(n, keeping)| sequencer.unkeep(NodeId(n), keeping));
        let now = Flush { cursors, keeping, completed: sequencer.completed() };
        let mut changes = Vec::new();
        for (n, seq) in now.cursors.iter().enumerate() {
            if sequencer.node(NodeId(n)).joined && self.flushed.cursors.get(n) != Some(seq) {
                changes.push(Change::Cursor { node: NodeId(n).name(), seq: *seq });
            }
        }
        for (n, keeping) in now.keeping.iter().enumerate() {
            let node = || NodeId(n).name();
            let doubted =
                |(stream, first): &Keeping| Change::Doubted { node: node(), stream: *stream, first: *first };
            changes.extend(keeping.iter().map(doubted));
        }
        if now.completed != self.flushed.completed {
            changes.push(Change::Completed { through: now.completed });
        }
        changes.extend(self.board.attempts.take());
        (!changes.is_empty()).then_some((now, changes))
    }

    pub(super) fn flush(&mut self, ctx: &mut Context<Self>) {
        if self.flushing {
            return;
        }
        let Some((now, changes)) = self.due() else { return };
        self.flushing = true;
        let (store, me) = (Arc::clone(&self.store), ctx.address());
        let recorded = self.watched.caught(async move { store.record(changes).await });
        actix_rt::spawn(async move {
            me.do_send(Flushed(recorded.await.unwrap_or_else(broken).map(|()| now)));
        });
    }

    pub(super) fn expire(&self) {
        let through = self.board.sequencer().completed();
        let (store, days, watched) =
            (Arc::clone(&self.store), self.times.retention_days, Arc::clone(&self.watched));
        const BATCH: u32 = 1_000;
        self.watched.spawn(async move {
            loop {
                match store.expire(days, through, BATCH).await {
                    Ok(gone) if gone >= u64::from(BATCH) => {
                        tokio::time::sleep(Duration::from_millis(100)).await
                    }
                    Ok(_) => return,
                    Err(error) => return watched.error(error),
                }
            }
        });
    }
}

impl Handler<Flushed> for WalActor {
    type Result = ();

    fn handle(&mut self, Flushed(result): Flushed, _: &mut Self::Context) {
        self.flushing = false;
        match result {
            Ok(now) => {
                let mut sequencer = self.board.sequencer();
                for (n, keeping) in now.keeping.iter().enumerate() {
                    sequencer.kept(NodeId(n), keeping);
                }
                sequencer.forget_deleted();
                drop(sequencer);
                self.flushed = now;
            }
            Err(error) => self.watched.error(error),
        }
    }
}
