//! The balancer's own routes: health, status, the log's figures, metrics. They need no permit: they
//! answer when everything else is full.

use std::fmt::Write;

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use prometheus::TextEncoder;
use serde_json::{Value, json};

use super::status::{self, Service};
use super::{Shared, Worker, fate};

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
        .route("/metrics", web::get().to(metrics));
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
    HttpResponse::Ok().body("ok")
}

async fn readyz(worker: web::Data<Worker>) -> HttpResponse {
    if status::ready(&worker.shared) {
        HttpResponse::Ok().body("ready")
    } else {
        HttpResponse::ServiceUnavailable().body("not ready")
    }
}

async fn status_page(worker: web::Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(status::status(&worker.shared))
}

async fn wal_status(worker: web::Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(status::wal_status(&worker.shared))
}

async fn wal_stats(worker: web::Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(status::wal_stats(&worker.shared))
}

async fn metrics(request: HttpRequest, worker: web::Data<Worker>) -> HttpResponse {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") || request.query_string().contains("format=json") {
        return HttpResponse::Ok().json(as_json(&worker.shared));
    }
    let families = worker.shared.system.stats.registry.gather();
    let mut text = TextEncoder::new().encode_to_string(&families).unwrap_or_default();
    gauges(&worker.shared, &mut text);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text)
}

fn as_json(shared: &Shared) -> Value {
    let load = shared.system.load.load();
    json!({
        "cpu_percent": load.sample.cpu_percent,
        "memory_percent": load.sample.memory_percent,
        "memory_used_bytes": load.sample.memory_used_bytes,
        "memory_limit_bytes": load.sample.memory_limit_bytes,
        "rss_bytes": load.sample.rss_bytes,
        "pressure": load.pressure,
        "thresholds": {
            "cpu_percent": shared.config.pressure.cpu_percent,
            "memory_percent": shared.config.pressure.memory_percent,
        },
    })
}

/// What is read off the mechanism at this moment rather than counted.
fn gauges(shared: &Shared, text: &mut String) {
    let system = &shared.system;
    let mut lag = String::new();
    let mut up = String::new();
    {
        let sequencer = system.board.sequencer();
        for node in sequencer.node_ids() {
            let view = sequencer.view(node);
            let state = system.board.posts[node.0].state.load().name();
            let _ = writeln!(lag, "chroma_ha_node_lag_entries{{node=\"{node}\"}} {}", view.lag);
            let _ = writeln!(up, "chroma_ha_node_up{{node=\"{node}\"}} {}", u8::from(state == "up"));
        }
        let _ = writeln!(
            text,
            "# HELP chroma_ha_wal_head Last position of the log.\n# TYPE chroma_ha_wal_head gauge"
        );
        let _ = writeln!(text, "chroma_ha_wal_head {}", sequencer.head());
        let _ = writeln!(
            text,
            "# HELP chroma_ha_lease_held Whether this balancer holds the lease on the log.\n# TYPE chroma_ha_lease_held gauge"
        );
        let _ = writeln!(text, "chroma_ha_lease_held {}", u8::from(sequencer.leading()));
    }
    let _ = write!(
        text,
        "# HELP chroma_ha_node_lag_entries Log entries a node has not applied.\n# TYPE chroma_ha_node_lag_entries gauge\n{lag}"
    );
    let _ = write!(
        text,
        "# HELP chroma_ha_node_up Whether a node is up and caught up.\n# TYPE chroma_ha_node_up gauge\n{up}"
    );
    let _ = writeln!(
        text,
        "# HELP chroma_ha_requests_in_flight Requests that hold a permit.\n# TYPE chroma_ha_requests_in_flight gauge\nchroma_ha_requests_in_flight {}",
        system.gate.in_flight()
    );
}
