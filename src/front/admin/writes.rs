//! Writes of the log as operators look for them: by state and collection, the latest first; one with where
//! it stands on every node, and with its body if that is asked for.

use actix_web::{HttpRequest, HttpResponse, web};
use chroma_ha_actors::wal::{Body, Find, Writes};
use chroma_ha_core::ids::{Seq, Stream};
use chroma_ha_core::operator::WritePage;
use serde::Deserialize;
use serde_json::json;

use super::rebuild::{Place, collection};
use super::{Answered, Refusal, Worker, answer};
use crate::front::fate;

/// Rows of one page.
const ROWS: u32 = 100;
const MOST_ROWS: u32 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// `pending`, `failed`, `rejected`, `completed`, `unfinished` (the first three, as without it) or `all`.
    state: Option<String>,
    /// Id or name, or `catalog`.
    collection: Option<String>,
    tenant: Option<String>,
    database: Option<String>,
    before: Option<u64>,
    limit: Option<u32>,
}

pub(super) async fn list(worker: web::Data<Worker>, request: HttpRequest) -> HttpResponse {
    answer(page(&worker, request.query_string()).await)
}

async fn page(worker: &Worker, query: &str) -> Answered {
    let asked = web::Query::<Asked>::from_query(query).map_err(|error| {
        let accepted = "accepted are state, collection, tenant, database, before and limit";
        Refusal::Malformed(format!("{accepted}: {error}"))
    })?;
    let Asked { state, collection: named, tenant, database, before, limit } = asked.into_inner();
    let state = state.as_deref().unwrap_or("unfinished");
    let states = WritePage::states(state).ok_or_else(|| {
        let known = "pending, failed, rejected, completed, unfinished or all";
        Refusal::Malformed(format!("no write has the state `{state}`; accepted are {known}"))
    })?;
    let stream = match named {
        None => None,
        Some(named) if named == "catalog" => Some(Stream::Catalog),
        Some(named) => {
            let id = collection(worker, &Place { collection: named, tenant, database })?;
            Some(Stream::Collection(id))
        }
    };
    let limit = limit.unwrap_or(ROWS).clamp(1, MOST_ROWS);
    let page = WritePage { states, stream, before: before.map(Seq), limit };
    let rows = worker.shared.system.wal.send(Writes { page }).await.map_err(|_| Refusal::LogAway)??;
    let full = u32::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next = rows.last().filter(|_| full).map(|row| row.seq);
    Ok(HttpResponse::Ok().json(json!({ "writes": rows, "next_before": next })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedOne {
    /// Whether what the client sent is shown.
    #[serde(default)]
    body: bool,
}

pub(super) async fn show(
    worker: web::Data<Worker>,
    write_id: web::Path<String>,
    request: HttpRequest,
) -> HttpResponse {
    answer(one(&worker, write_id.into_inner(), request.query_string()).await)
}

async fn one(worker: &Worker, write_id: String, query: &str) -> Answered {
    let asked = web::Query::<AskedOne>::from_query(query);
    let AskedOne { body } =
        asked.map_err(|error| Refusal::Malformed(format!("accepted is body: {error}")))?.into_inner();
    let system = &worker.shared.system;
    let find = Find { write_id: write_id.clone() };
    let row = system.wal.send(find).await.map_err(|_| Refusal::LogAway)??;
    let gone = || Refusal::NotFound(format!("no write with the id `{write_id}` is in the log"));
    let mut shown = fate::shown(&system.board, &row.ok_or_else(gone)?);
    if body {
        let asked = Body { write_id: write_id.clone() };
        let bytes = system.wal.send(asked).await.map_err(|_| Refusal::LogAway)??;
        shown["body"] = json!(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    }
    Ok(HttpResponse::Ok().json(shown))
}
