//! `/metrics`: the counters, and what is read off the mechanism as it is asked, for Prometheus; or how loaded
//! the host is, as JSON. `/wal/stats`: the counters and percentiles as JSON. It makes no figure itself.

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use chroma_ha_actors::stats::reading::Reading;
use chroma_ha_core::ids::NodeId;
use prometheus::proto::{Histogram, Metric};
use prometheus::{Error, TextEncoder};
use serde_json::{Value, json};

use super::{Shared, Worker};

pub(super) async fn metrics(request: HttpRequest, worker: web::Data<Worker>) -> HttpResponse {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") || request.query_string().contains("format=json") {
        return HttpResponse::Ok().json(as_json(&worker.shared));
    }
    match text(&worker.shared) {
        Ok(text) => HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text),
        Err(error) => HttpResponse::InternalServerError().body(format!(
            "the figures cannot be written: {error}; report this, and use /status meanwhile\n"
        )),
    }
}

fn text(shared: &Shared) -> Result<String, Error> {
    let mut families = shared.system.stats.gather();
    families.extend(Reading::of(&shared.system).families()?.gather());
    TextEncoder::new().encode_to_string(&families)
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
        "strains": load.strains,
        "queue": load.sample.queue,
        "thresholds": {
            "cpu_percent": shared.config.pressure.cpu_percent,
            "memory_percent": shared.config.pressure.memory_percent,
        },
    })
}

pub(super) fn wal_stats(shared: &Shared) -> Value {
    let mut figures = serde_json::Map::new();
    for family in shared.system.stats.gather() {
        let unit = if family.name().ends_with("_seconds") { "_seconds" } else { "" };
        let values: Vec<Value> = family.get_metric().iter().map(|metric| figure(metric, unit)).collect();
        figures.insert(family.name().to_owned(), Value::Array(values));
    }
    let board = &shared.system.board;
    let nodes = (0..board.posts.len()).map(NodeId);
    let latency = |node: NodeId| json!({ "node": node.name(), "figures": board.history.latency(node) });
    figures.insert("last_minute".to_owned(), nodes.map(latency).collect());
    Value::Object(figures)
}

fn figure(metric: &Metric, unit: &str) -> Value {
    let labels: serde_json::Map<String, Value> =
        metric.get_label().iter().map(|l| (l.name().to_owned(), json!(l.value()))).collect();
    let histogram = metric.get_histogram();
    if histogram.get_bucket().is_empty() {
        return json!({ "labels": labels, "value": metric.get_counter().get_value() });
    }
    json!({
        "labels": labels,
        "count": histogram.get_sample_count(),
        format!("sum{unit}"): histogram.get_sample_sum(),
        format!("p50{unit}"): quantile(histogram, 50),
        format!("p99{unit}"): quantile(histogram, 99),
    })
}

/// The upper bound of the bucket that holds the percentile; `None` when empty or beyond the last bucket.
fn quantile(histogram: &Histogram, percent: u64) -> Option<f64> {
    let wanted = (histogram.get_sample_count() * percent).div_ceil(100);
    let mut buckets = histogram.get_bucket().iter();
    let found = buckets.find(|bucket| wanted > 0 && bucket.cumulative_count() >= wanted);
    found.map(|bucket| bucket.upper_bound())
}
