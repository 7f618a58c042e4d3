//! One write on its way: into the log, to its verdict, and to as many nodes as its client waits for. A
//! write that cannot be logged is refused before; one that was logged is never reported as failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chroma_ha_core::entry::Draft;
use chroma_ha_core::ids::{CollectionId, Seq, Stream};
use chroma_ha_core::port::StoreError;
use chroma_ha_core::validation::Judgement;
use tokio::sync::oneshot;

use super::ahead::{self, Ahead};
use super::repeat::{self, Repeat};
use super::{Ack, ProxyConfig, Refusal, Submit, WriteOutcome, Written};
use crate::board::{Board, Verdict};
use crate::stats::Stats;
use crate::wal::{Append, WalActor};

pub(super) async fn write(
    board: &Board,
    wal: &Addr<WalActor>,
    stats: &Stats,
    submit: Submit,
    config: ProxyConfig,
) -> Result<Written, Refusal> {
    let Submit { draft, ticket, ack, claim } = submit;
    let wait = config.verdict_wait;
    // What the log says under a key counts only while nobody else can append to it.
    leading(board)?;
    let turn = match &claim {
        None => None,
        Some(claim) => match repeat::repeat(board, wal, claim).await? {
            Repeat::First(turn) => Some(turn),
            Repeat::Again(first) => {
                let outcome = repeat::outcome(board, wal, claim, &first, wait).await?;
                everywhere(board, &outcome, first.stream, first.seq, ack, wait).await;
                return Ok(Written { write_id: first.write_id, seq: first.seq, outcome, replayed: true });
            }
        },
    };
    let (stream, write_id) = (draft.stream(), draft.write_id.clone());
    admissible(board, &draft)?;
    let ahead = match ack {
        Ack::Log => Some(ahead::look_through(board, &draft, config.most_ahead)?),
        Ack::Applied | Ack::All => None,
    };
    let sound = ahead.as_ref().is_some_and(Ahead::is_sound);
    let append = Append { draft, claim, ticket: Arc::clone(&ticket), sound };
    let begun = Instant::now();
    let appended = wal.send(append).await.map_err(|_| Refusal::Restarting)??;
    stats.log.append(begun.elapsed());
    drop(turn);
    let seq = appended.seq;
    if let Some(ahead) = &ahead {
        stats.log.acknowledgement(ahead.told(appended.acknowledged));
    }
    let outcome = match ahead.as_ref().map(|ahead| &ahead.judgement) {
        Some(Judgement::Sound(answer)) if appended.acknowledged => WriteOutcome::Acknowledged(answer.clone()),
        _ => heard(board, seq, appended.verdict, wait).await,
    };
    if let Some(ahead) = &ahead {
        ahead.learn(board, &outcome);
    }
    everywhere(board, &outcome, stream, seq, ack, wait).await;
    Ok(Written { write_id, seq, outcome, replayed: false })
}

pub(super) async fn heard(
    board: &Board,
    seq: Seq,
    verdict: oneshot::Receiver<Verdict>,
    wait: Duration,
) -> WriteOutcome {
    match tokio::time::timeout(wait, verdict).await {
        Ok(Ok(Verdict::Answer(answer))) => WriteOutcome::Answered(answer),
        Ok(Ok(Verdict::Queued)) => WriteOutcome::Queued,
        Ok(Ok(Verdict::Unknown)) | Ok(Err(_)) => WriteOutcome::Pending,
        Err(_) => {
            board.forget_waiter(seq);
            WriteOutcome::Pending
        }
    }
}

/// Waits for every node, if the client does. In time or not, the write is accepted: a slow node must not turn it
/// into a failure.
async fn everywhere(
    board: &Board,
    outcome: &WriteOutcome,
    stream: Stream,
    seq: Seq,
    ack: Ack,
    wait: Duration,
) {
    if let WriteOutcome::Answered(answer) = outcome
        && ack == Ack::All
        && answer.status < 300
    {
        let _ = tokio::time::timeout(wait, board.on_all(stream, seq)).await;
    }
}

fn leading(board: &Board) -> Result<(), Refusal> {
    if board.sequencer().leading() && board.lease.certain() {
        return Ok(());
    }
    Err(Refusal::Log(StoreError::LeaseLost("this balancer does not hold it".to_owned())))
}

/// What can be said before anything is logged.
fn admissible(board: &Board, draft: &Draft) -> Result<(), Refusal> {
    leading(board)?;
    let sequencer = board.sequencer();
    if !draft.op.is_record() {
        // Logged all the same, a delete would hold up every later write, of all collections.
        let nobody = sequencer.nobody_judges_catalog();
        return if nobody { Err(Refusal::NoNodeForCatalog) } else { Ok(()) };
    }
    let id = CollectionId(draft.target.unwrap_or_default());
    if sequencer.is_lost(id) {
        return Err(Refusal::Lost(id));
    }
    let known = sequencer.catalog.collection(id).is_some();
    if known { Ok(()) } else { Err(Refusal::NoSuchCollection(id)) }
}
