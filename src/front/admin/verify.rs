//! All collections, or one, are compared on all nodes because an operator says so; what differs is copied
//! anew unless that was not wished. Writes and reads go on. The result is polled.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use chroma_ha_actors::wal::now_unix_ms;
use chroma_ha_core::operator::Deed;
use serde::Deserialize;
use serde_json::{Value, json};

use super::rebuild::{Place, collection};
use super::{Answered, Caller, Worker, answer, commit, held, read};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Id or name; without it: every collection.
    collection: Option<String>,
    tenant: Option<String>,
    database: Option<String>,
    /// Whether what differs is copied anew; it is, unless this is false.
    repair: Option<bool>,
}

pub(super) async fn begin(
    worker: web::Data<Worker>,
    caller: web::ReqData<Caller>,
    body: Bytes,
) -> HttpResponse {
    answer(start(&worker, caller.into_inner(), &body).await)
}

pub(super) async fn show(worker: web::Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(shown(&worker))
}

async fn start(worker: &Worker, caller: Caller, body: &Bytes) -> Answered {
    let asked: Asked = read(body)?;
    held(worker).await?;
    let Asked { collection: named, tenant, database, repair } = asked;
    let place = named.map(|collection| Place { collection, tenant, database });
    let only = place.as_ref().map(|place| collection(worker, place)).transpose()?;
    let repair = repair.unwrap_or(true);
    let deed = Deed {
        actor: caller.to_string(),
        action: "verify".to_owned(),
        target: only.map_or_else(|| "every collection".to_owned(), |id| id.to_string()),
        outcome: "begun".to_owned(),
        detail: if repair { String::new() } else { "nothing is repaired".to_owned() },
    };
    let board = &worker.shared.system.board;
    board.sequencer().may_verify()?;
    commit(worker, deed, Vec::new()).await?;
    board.sequencer().verify(only, repair, now_unix_ms())?;
    board.wake_all();
    Ok(HttpResponse::Accepted().json(shown(worker)))
}

fn shown(worker: &Worker) -> Value {
    let run = worker.shared.system.board.sequencer().verification().clone();
    let state = match (run.started_at_ms, run.finished_at_ms) {
        (0, _) => "never",
        (_, None) => "under way",
        _ => "over",
    };
    let clean = run.is_clean();
    let mut shown = json!(run);
    shown["state"] = json!(state);
    shown["clean"] = json!(clean);
    shown
}
