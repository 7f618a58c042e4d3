//! One group of writes on its way into the log: positions, one transaction, the board, the writers.

use std::collections::HashSet;
use std::sync::Arc;

use chroma_ha_core::entry::{Draft, Entry};
use chroma_ha_core::port::{LogStore, StoreError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Appended;
use crate::board::Board;

pub(super) struct Waiting {
    pub(super) draft: Draft,
    /// It may be in the log already.
    pub(super) repeatable: bool,
    pub(super) reply: oneshot::Sender<Result<Appended, StoreError>>,
    /// Travels with the write, so that the bound covers the queue too.
    pub(super) _permit: Arc<OwnedSemaphorePermit>,
}

/// Appends a group, hands it to the board and tells the writers. Returns how many entries it had.
pub(super) async fn commit_group(
    board: &Board,
    store: &dyn LogStore,
    group: Vec<Waiting>,
) -> Result<usize, StoreError> {
    let group = unlogged(store, group).await?;
    let head = {
        let sequencer = board.sequencer();
        sequencer.leading().then(|| sequencer.head())
    };
    let Some(mut seq) = head else {
        let error = StoreError::LeaseLost("another balancer may be sequencing".to_owned());
        group.into_iter().for_each(|w| drop(w.reply.send(Err(error.clone()))));
        return Err(error);
    };
    let logged_at_ms = now_unix_ms();
    let mut entries = Vec::with_capacity(group.len());
    let mut replies = Vec::with_capacity(group.len());
    for waiting in group {
        seq = seq.next();
        entries.push(Arc::new(Entry::new(seq, waiting.draft, logged_at_ms)));
        replies.push(waiting.reply);
    }
    if entries.is_empty() {
        return Ok(0);
    }
    if let Err(error) = store.append(entries.clone()).await {
        replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
        return Err(error);
    }
    let count = entries.len();
    let mut admitted = Vec::with_capacity(count);
    for (entry, reply) in entries.into_iter().zip(replies) {
        let (tell, verdict) = oneshot::channel();
        let _ = reply.send(Ok(Appended::Now { seq: entry.seq, verdict }));
        admitted.push((entry, tell));
    }
    board.admit(admitted);
    Ok(count)
}

/// The group without writes that are in the log: no other group is under way, so none of them can come to
/// be there meanwhile.
async fn unlogged(store: &dyn LogStore, group: Vec<Waiting>) -> Result<Vec<Waiting>, StoreError> {
    if !group.iter().any(|waiting| waiting.repeatable) {
        return Ok(group);
    }
    let mut seen = HashSet::new();
    let mut left = Vec::with_capacity(group.len());
    for waiting in group {
        let again = !seen.insert(waiting.draft.write_id.clone());
        let logged = match waiting.repeatable && !again {
            true => store.find(waiting.draft.write_id.clone()).await.map(|row| row.is_some()),
            false => Ok(again),
        };
        match logged {
            Ok(false) => left.push(waiting),
            Ok(true) => drop(waiting.reply.send(Ok(Appended::Before))),
            Err(error) => drop(waiting.reply.send(Err(error))),
        }
    }
    Ok(left)
}

/// Milliseconds since the Unix epoch by this machine's clock: for people, never for order.
pub fn now_unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
