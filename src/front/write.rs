//! A mutation: made into a draft for the log, submitted, its verdict answered. What the client hears is
//! the acting node's answer, with the id under which the log keeps the write.

use std::sync::Arc;

use chroma_ha_actors::proxy::{Ack, Refusal, Submit, WriteOutcome, Written};
use chroma_ha_core::entry::Draft;
use chroma_ha_core::poison::{poison, unkeepable_name};
use chroma_ha_core::route::Write;
use chroma_ha_core::trace::TRACEPARENT;
use uuid::Uuid;

use super::exchange::{Incoming, Outgoing, fields};
use super::{Worker, idempotency, rescue, restored};
use crate::config::WriteAck;

/// Names the write in answers, for `/wal/writes/{write_id}`.
pub(super) const WRITE_ID: &str = "x-chroma-ha-write-id";

/// The write had been sent before under the same key; the answer is the first one's.
const REPLAYED: &str = "x-chroma-ha-replayed";

/// Per request: when the write is answered.
const ACK: &str = "x-chroma-ha-ack";

/// Request headers that go to the nodes and into the log, besides the trace. Credentials are not among them.
const LOGGED: [&str; 1] = ["content-type"];

pub(super) async fn write(worker: &Worker, write: &Write, incoming: Incoming) -> Outgoing {
    let ack = match ack(worker.shared.config.wal.write_ack, &incoming) {
        Ok(ack) => ack,
        Err(refused) => return refused,
    };
    let claim = match idempotency::claim(&incoming) {
        Ok(claim) => claim,
        Err(reason) => return Outgoing::error(400, "InvalidArgumentError", &reason),
    };
    let minted = match restored::id(worker, write, &incoming) {
        Ok(asked) => asked.unwrap_or_else(Uuid::new_v4),
        Err(refused) => return refused,
    };
    let ticket = Arc::clone(&incoming.ticket);
    let draft = draft(write, minted, incoming);
    if let Some(reason) = unkeepable_name(write, &draft.body) {
        return Outgoing::error(400, "InvalidArgumentError", &reason);
    }
    if let Some(reason) = poison(draft.op, &draft.body) {
        return Outgoing::error(501, "ChromaError", &reason);
    }
    let record = draft.op.is_record();
    match worker.proxy.send(Submit { draft, ticket, ack, claim }).await {
        Ok(Ok(written)) => answered(written, record),
        Ok(Err(refusal)) => rescue::refusal(&refusal),
        Err(_) => rescue::refusal(&Refusal::Restarting),
    }
}

/// What the request asks for, else what is configured.
fn ack(configured: WriteAck, incoming: &Incoming) -> Result<Ack, Outgoing> {
    let asked = match incoming.header(ACK) {
        None => Some(configured),
        Some(word) => WriteAck::parse(word),
    };
    match asked {
        Some(WriteAck::Applied) => Ok(Ack::Applied),
        Some(WriteAck::All) => Ok(Ack::All),
        Some(WriteAck::Log) => Ok(Ack::Log),
        None => {
            let message = format!("{ACK} accepts `applied`, `all` and `log`; the write was not logged");
            Err(Outgoing::error(400, "InvalidArgumentError", &message))
        }
    }
}

fn draft(write: &Write, minted: Uuid, incoming: Incoming) -> Draft {
    let target = match write {
        Write::Record { collection, .. } | Write::ModifyCollection { collection } => Some(collection.0),
        // Not by a node, so that every node's copy gets the same logical id.
        Write::CreateCollection { .. } | Write::CreateDatabase { .. } => Some(minted),
        _ => None,
    };
    let logged = |name: &&str| incoming.header(name).map(|value| ((*name).to_owned(), value.to_owned()));
    // Replayed after an outage, the write is still told under its client's trace.
    let trace = (TRACEPARENT.to_owned(), incoming.span.as_parent().header());
    let headers = LOGGED.iter().filter_map(logged).chain([trace]).collect();
    // No write of Chroma's knows a query, and a client may put its key there.
    let path = incoming.path().to_owned();
    Draft {
        write_id: incoming.attempt.write_id,
        op: write.op(),
        target,
        headers,
        method: incoming.method,
        path,
        body: incoming.body,
    }
}

fn answered(written: Written, record: bool) -> Outgoing {
    let Written { write_id, seq, outcome, replayed } = written;
    let outgoing = match outcome {
        WriteOutcome::Answered(answer) | WriteOutcome::Acknowledged(answer) => {
            Outgoing::whole(answer.status, fields(answer.headers), answer.body)
        }
        WriteOutcome::Queued => Outgoing::json(202, "{}"),
        WriteOutcome::Pending => rescue::pending(&write_id, record),
    };
    let outgoing = if replayed { outgoing.with(REPLAYED, "true") } else { outgoing };
    Outgoing { seq: Some(seq), ..outgoing.with(WRITE_ID, write_id) }
}
