//! The balancer's own routes: health, status, the log's figures. They need no permit: they
//! answer when everything else is full.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::status::{self, Service};
use super::{Worker, fate, metrics};

/// What these routes, the dashboard's and the operator's take and answer.
const DESCRIPTION: &str = include_str!("openapi.yaml");

const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/health", web::get().to(health))
        .route("/health", web::head().to(health))
        .route("/livez", web::get().to(livez))
        .route("/readyz", web::get().to(readyz))
        .route("/status", web::get().to(status_page))
        .route("/wal/status", web::get().to(wal_status))
        .route("/wal/stats", web::get().to(wal_stats))
        .route("/wal/writes/{write_id}", web::get().to(fate::fate))
        .route("/metrics", web::get().to(metrics::metrics))
        .route("/chroma-ha/openapi.yaml", web::get().to(description));
}

async fn health(worker: web::Data<Worker>) -> HttpResponse {
    let service = Service::of(&worker.shared.system);
    let body = json!({ "status": service.name() });
    match service {
        Service::Healthy | Service::Degraded => HttpResponse::Ok().json(body),
        Service::Unavailable => HttpResponse::ServiceUnavailable().json(body),
    }
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).body("ok")
}

async fn readyz(worker: web::Data<Worker>) -> HttpResponse {
    if status::ready(&worker.shared) {
        HttpResponse::Ok().content_type(TEXT).body("ready")
    } else {
        HttpResponse::ServiceUnavailable().content_type(TEXT).body("not ready")
    }
}

async fn status_page(worker: web::Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(status::status(&worker.shared))
}

async fn wal_status(worker: web::Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(status::wal_status(&worker.shared))
}

async fn wal_stats(worker: web::Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(metrics::wal_stats(&worker.shared))
}

async fn description() -> HttpResponse {
    HttpResponse::Ok().content_type("application/yaml").body(DESCRIPTION)
}
