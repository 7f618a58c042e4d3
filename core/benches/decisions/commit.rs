//! Writes that wait made into groups: alone, and as a crowd.

use std::hint::black_box;

use chroma_ha_core::commit::{GroupCommit, GroupLimits};
use chroma_ha_core::pressure::Pressure;
use criterion::{BenchmarkId, Criterion, Throughput};

const LIMITS: GroupLimits = GroupLimits { max_entries: 256, max_bytes: 4 << 20 };
const BODY_BYTES: usize = 2_200;

pub(crate) fn groups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group commit");
    for count in [1, 32, 1_000] {
        group.throughput(Throughput::Elements(count));
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bencher, count| {
            let mut commit = GroupCommit::new(LIMITS);
            bencher.iter(|| {
                (0..*count).for_each(|item| commit.push(item, BODY_BYTES));
                while let Some(taken) = commit.begin(Pressure::Calm) {
                    black_box(taken);
                    commit.end();
                }
            });
        });
    }
    group.finish();
}
