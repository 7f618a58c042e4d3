//! A write that a client sends again under its key: it is not logged a second time, and the client hears
//! the first outcome, or waits for it. What the log holds under a key is asked while no other request with
//! that key is on its way in.

use std::time::Duration;

use actix::prelude::*;
use chroma_ha_core::idempotency::{self, Claim, Claimed};

use super::write::heard;
use super::{Refusal, WriteOutcome};
use crate::board::{Board, Turn};
use crate::wal::{Recall, WalActor};

/// What a request under a key turned out to be.
pub(super) enum Repeat {
    /// The first one; nobody else appends under this key before the turn ends.
    First(Turn),
    Again(Claimed),
}

pub(super) async fn repeat(board: &Board, wal: &Addr<WalActor>, claim: &Claim) -> Result<Repeat, Refusal> {
    let turn = board.turns.take(claim.key).await;
    match idempotency::recall(claim, held(wal, claim).await?) {
        idempotency::Recall::First => Ok(Repeat::First(turn)),
        idempotency::Recall::OtherRequest => Err(Refusal::OtherRequest),
        idempotency::Recall::Repeated(held) => Ok(Repeat::Again(held)),
    }
}

async fn held(wal: &Addr<WalActor>, claim: &Claim) -> Result<Option<Claimed>, Refusal> {
    let held = wal.send(Recall { key: claim.key }).await.map_err(|_| Refusal::Restarting)?;
    Ok(held?)
}

/// What came of the first request, at most `wait` from now.
pub(super) async fn outcome(
    board: &Board,
    wal: &Addr<WalActor>,
    claim: &Claim,
    first: &Claimed,
    wait: Duration,
) -> Result<WriteOutcome, Refusal> {
    if let Some(answer) = first.fate.clone().answer() {
        return Ok(WriteOutcome::Answered(answer));
    }
    let verdict = board.attend(first.seq, first.stream);
    // What was told before we listened is in the log by now.
    match held(wal, claim).await?.and_then(|held| held.fate.answer()) {
        Some(answer) => {
            drop(verdict);
            board.forget_waiter(first.seq);
            Ok(WriteOutcome::Answered(answer))
        }
        None => Ok(heard(board, first.seq, verdict, wait).await),
    }
}
