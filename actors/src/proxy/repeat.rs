//! A write that is in the log by an earlier attempt: what came of it. Nothing is logged or applied by it.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use bytes::Bytes;
use chroma_ha_core::port::{Page, StoreError, WriteRow};

use super::{Refusal, WriteOutcome, Written};
use crate::board::{Answer, Board, Verdict};
use crate::wal::{Find, Read, WalActor};

/// The outcome of the first attempt; `None`: it is not in the log.
pub(super) async fn outcome(
    board: &Board,
    wal: &Addr<WalActor>,
    write_id: &str,
    wait: Duration,
) -> Option<Result<Written, Refusal>> {
    match find(wal, write_id).await {
        Ok(Some(row)) => Some(join(board, wal, row, wait).await),
        Ok(None) => None,
        Err(refusal) => Some(Err(refusal)),
    }
}

async fn find(wal: &Addr<WalActor>, write_id: &str) -> Result<Option<WriteRow>, Refusal> {
    let found = wal.send(Find { write_id: write_id.to_owned() }).await.map_err(|_| Refusal::Restarting)?;
    Ok(found?)
}

/// Waits with whoever waits for the verdict, unless there is one.
async fn join(
    board: &Board,
    wal: &Addr<WalActor>,
    row: WriteRow,
    wait: Duration,
) -> Result<Written, Refusal> {
    let (write_id, seq) = (row.write_id.clone(), row.seq);
    let written = |outcome| Ok(Written { write_id: write_id.clone(), seq, outcome });
    if row.status == "rejected" {
        return written(WriteOutcome::Answered(refused(&row)));
    }
    let page = Page { stream: None, from: seq, through: seq, max_entries: 1, max_bytes: 1 };
    let pages = wal.send(Read(page)).await.map_err(|_| Refusal::Restarting)??;
    let entry = pages.entries.first();
    if let Some(verdict) = entry.and_then(|entry| board.rejoin(Arc::clone(entry))) {
        return match tokio::time::timeout(wait, verdict).await {
            Ok(Ok(Verdict::Answer(answer))) => written(WriteOutcome::Answered(answer)),
            Ok(Ok(Verdict::Queued)) => written(WriteOutcome::Queued),
            Ok(Ok(Verdict::Unknown) | Err(_)) => written(WriteOutcome::Pending),
            Err(_) => {
                board.forget_waiter(seq);
                written(WriteOutcome::Pending)
            }
        };
    }
    // Decided: a refusal was durable before that.
    match find(wal, &write_id).await? {
        Some(row) if row.status == "rejected" => written(WriteOutcome::Answered(refused(&row))),
        Some(_) => written(WriteOutcome::Accepted(entry.and_then(|entry| entry.effect().cloned()))),
        None => Err(Refusal::Log(StoreError::Refused("an entry left the log while it was looked at".into()))),
    }
}

/// The log keeps the status and the beginning of what the node said.
fn refused(row: &WriteRow) -> Answer {
    let kept = row.error_message.clone().unwrap_or_default();
    match kept.split_once(' ').and_then(|(status, text)| Some((status.parse().ok()?, text.to_owned()))) {
        Some((status, text)) => Answer::json(status, Bytes::from(text)),
        None => {
            Answer::json(404, serde_json::json!({ "error": "NotFoundError", "message": kept }).to_string())
        }
    }
}
