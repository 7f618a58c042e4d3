//! Bodies of one record each made into one request, embeddings spelt as numbers and as base64.

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chroma_ha_core::coalesce::{self, Bounds};
use chroma_ha_core::entry::Op;
use criterion::{BenchmarkId, Criterion, Throughput};

const DIMENSIONS: usize = 384;

fn embedding(nth: usize) -> Vec<f32> {
    (0..DIMENSIONS).map(|at| ((nth * DIMENSIONS + at) as f32).sin()).collect()
}

fn body(nth: usize, row: &str) -> Bytes {
    let fields = r#""metadatas":[{"source":"bench"}],"documents":["a short text"],"uris":null"#;
    Bytes::from(format!(r#"{{"ids":["record-{nth}"],"embeddings":[{row}],{fields}}}"#))
}

fn as_numbers(nth: usize) -> Bytes {
    let words: Vec<String> = embedding(nth).iter().map(f32::to_string).collect();
    body(nth, &format!("[{}]", words.join(",")))
}

fn as_base64(nth: usize) -> Bytes {
    let bytes: Vec<u8> = embedding(nth).iter().flat_map(|number| number.to_le_bytes()).collect();
    body(nth, &format!("\"{}\"", STANDARD.encode(bytes)))
}

pub(crate) fn join(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("splice");
    for (spelling, made) in [("numbers", as_numbers as fn(usize) -> Bytes), ("base64", as_base64)] {
        for count in [1, 32, 100] {
            let bodies: Vec<Bytes> = (0..count).map(made).collect();
            let bytes: usize = bodies.iter().map(Bytes::len).sum();
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_with_input(BenchmarkId::new(spelling, count), &bodies, |bencher, bodies| {
                bencher.iter(|| coalesce::join(Op::Upsert, black_box(bodies), Bounds::default()));
            });
        }
    }
    group.finish();
}
