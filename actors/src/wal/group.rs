//! One group of writes on its way into the log: positions, one transaction, the board, the writers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chroma_ha_core::entry::{Draft, Entry};
use chroma_ha_core::idempotency::Claim;
use chroma_ha_core::port::{LogStore, StoreError};
use chroma_ha_core::trace::TraceParent;
use tokio::sync::oneshot;

use super::Appended;
use crate::board::Board;
use crate::gate::Ticket;
use crate::trace::{self, millis};

pub(super) struct Waiting {
    pub(super) draft: Draft,
    pub(super) claim: Option<Claim>,
    pub(super) reply: oneshot::Sender<Result<Appended, StoreError>>,
    /// Travels with the write, so that the bounds cover the queue and the commit, too.
    pub(super) ticket: Arc<Ticket>,
    pub(super) sound: bool,
}

/// Appends a group, hands it to the board and tells the writers. Returns how many entries it had.
pub(super) async fn commit_group(
    board: &Board,
    store: &dyn LogStore,
    group: Vec<Waiting>,
) -> Result<usize, StoreError> {
    let known = {
        let sequencer = board.sequencer();
        // Everything logged before is known here: groups are committed one after the other.
        let kept = || sequencer.surely_kept(group.iter().map(|waiting| &waiting.draft));
        sequencer.leading().then(|| (sequencer.head(), kept()))
    };
    let Some((mut seq, kept)) = known else {
        let error = StoreError::LeaseLost("another balancer may be sequencing".to_owned());
        group.into_iter().for_each(|w| drop(w.reply.send(Err(error.clone()))));
        return Err(error);
    };
    let logged_at_ms = now_unix_ms();
    let mut entries = Vec::with_capacity(group.len());
    let mut replies = Vec::with_capacity(group.len());
    for (waiting, kept) in group.into_iter().zip(kept) {
        seq = seq.next();
        let entry = Entry::new(seq, waiting.draft, logged_at_ms).under(waiting.claim);
        entries.push(Arc::new(entry.acknowledged(waiting.sound && kept)));
        replies.push((waiting.reply, waiting.ticket));
    }
    let begun = Instant::now();
    if let Err(error) = store.append(entries.clone()).await {
        replies.into_iter().for_each(|(reply, _)| drop(reply.send(Err(error.clone()))));
        return Err(error);
    }
    tell(&entries, begun.elapsed());
    let count = entries.len();
    let mut admitted = Vec::with_capacity(count);
    let mut appended = Vec::with_capacity(count);
    for entry in entries {
        let (tell, verdict) = oneshot::channel();
        appended.push(Appended { seq: entry.seq, acknowledged: entry.is_acknowledged(), verdict });
        admitted.push((entry, tell));
    }
    // First: a client that hears of its write must not read past it.
    board.admit(admitted);
    for ((reply, _held_until_here), appended) in replies.into_iter().zip(appended) {
        let _ = reply.send(Ok(appended));
    }
    Ok(count)
}

/// One line a write, for whoever asks for them.
fn tell(entries: &[Arc<Entry>], took: Duration) {
    if !tracing::enabled!(target: "append", tracing::Level::DEBUG) {
        return;
    }
    for entry in entries {
        let span = trace::begin(TraceParent::among(&entry.draft.headers));
        tracing::debug!(
            target: "append",
            seq = entry.seq.0,
            op = entry.draft.op.name(),
            stream = %entry.stream(),
            entries = entries.len(),
            duration_ms = millis(took),
            write_id = entry.draft.write_id,
            trace_id = %span.trace,
            span_id = %span.id,
            parent_id = span.parent.map(display),
            sampled = (!span.sampled).then_some(false),
            "in the log"
        );
    }
}

/// Milliseconds since the Unix epoch by this machine's clock: for people, never for order.
pub fn now_unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
