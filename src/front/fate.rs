//! What became of one write? Its row of the log, found by its id, and where it stands on every node, read
//! off the sequencer: as fast with ten million rows as with one.

use actix_web::{HttpResponse, web};
use chroma_ha_actors::board::Board;
use chroma_ha_actors::wal::Find;
use chroma_ha_core::entry::Decision;
use chroma_ha_core::port::WriteRow;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Worker, rescue};

pub(super) async fn fate(worker: web::Data<Worker>, write_id: web::Path<String>) -> HttpResponse {
    let write_id = write_id.into_inner();
    // What is no id of ours is not asked for: PostgreSQL takes none with NUL in it.
    if Uuid::parse_str(&write_id).is_err() {
        return rescue::no_such_write().into_response();
    }
    let system = &worker.shared.system;
    match system.wal.send(Find { write_id }).await {
        Ok(Ok(Some(row))) => HttpResponse::Ok().json(shown(&system.board, &row)),
        Ok(Ok(None)) => rescue::no_such_write().into_response(),
        Ok(Err(_)) | Err(_) => rescue::log_unreadable().into_response(),
    }
}

pub(super) fn shown(board: &Board, row: &WriteRow) -> Value {
    let sequencer = board.sequencer();
    let decided = sequencer.leading() && sequencer.is_decided(row.stream, row.seq);
    let decision = row.decision.or(decided.then_some(Decision::Accepted));
    let state = |node| match row.status.as_str() {
        "completed" => json!("applied"),
        // Only the holder of the lease knows.
        _ if !sequencer.leading() => json!("unknown"),
        _ => json!(sequencer.place(node, row.stream, row.seq)),
    };
    let nodes: Vec<Value> = match row.decision {
        Some(Decision::Rejected) => Vec::new(),
        _ => sequencer.node_ids().map(|node| json!({ "node": node.name(), "state": state(node) })).collect(),
    };
    let mut body = json!(row);
    body["decision"] = json!(decision.map(|decision| match decision {
        Decision::Accepted => "accepted",
        Decision::Rejected => "rejected",
    }));
    body["nodes"] = json!(nodes);
    body
}
