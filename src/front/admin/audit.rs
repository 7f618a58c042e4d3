//! What did operators do? A page of the audit, the newest rows first.

use actix_web::{HttpResponse, web};
use chroma_ha_actors::wal::Audit;
use chroma_ha_core::operator::AuditPage;
use serde::Deserialize;
use serde_json::json;

use super::{Answered, Refusal, Worker, answer};

/// Rows of one page.
const ROWS: u32 = 100;
const MOST_ROWS: u32 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    before: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn list(worker: web::Data<Worker>, request: actix_web::HttpRequest) -> HttpResponse {
    answer(page(&worker, request.query_string()).await)
}

async fn page(worker: &Worker, query: &str) -> Answered {
    let asked = web::Query::<Asked>::from_query(query);
    let asked =
        asked.map_err(|error| Refusal::Malformed(format!("accepted are before and limit: {error}")))?;
    let limit = asked.limit.unwrap_or(ROWS).clamp(1, MOST_ROWS);
    let page = AuditPage { before: asked.before, limit };
    let rows = worker.shared.system.wal.send(Audit { page }).await.map_err(|_| Refusal::LogAway)??;
    let full = u32::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next = rows.last().filter(|_| full).map(|row| row.id);
    Ok(HttpResponse::Ok().json(json!({ "audit": rows, "next_before": next })))
}
