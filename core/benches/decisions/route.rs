//! One look at the route table, for what clients send most and for the longest walk through it.

use std::hint::black_box;

use chroma_ha_core::route;
use criterion::Criterion;

const BASE: &str = "/api/v2/tenants/default_tenant/databases/default_database/collections";
const ID: &str = "30164a8a-5144-4a36-8a9d-f6119f4afb1d";

pub(crate) fn classify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for (name, method, path) in [
        ("heartbeat", "GET", "/api/v2/heartbeat".to_owned()),
        ("get", "POST", format!("{BASE}/{ID}/get")),
        ("upsert", "POST", format!("{BASE}/{ID}/upsert")),
        ("collection by an escaped name", "GET", format!("{BASE}/my%20notes")),
        ("unknown mutation", "POST", format!("{BASE}/{ID}/functions/later/attach")),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| route::classify(black_box(method), black_box(&path)));
        });
    }
    group.finish();
}
