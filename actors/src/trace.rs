//! What is a new piece of work called? Ids of traces and spans from a generator of each thread, seeded by the
//! system: no call to it, and no allocation, for each request. They tell requests apart and keep no secret.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU64, NonZeroU128};
use std::time::Duration;

use chroma_ha_core::trace::{Span, SpanId, TraceId, TraceParent};

/// A piece of work for `parent`, or the first of a trace.
pub fn begin(parent: Option<TraceParent>) -> Span {
    match parent {
        Some(parent) => Span::below(parent, span_id()),
        None => Span::first(trace_id(), span_id()),
    }
}

fn span_id() -> SpanId {
    SpanId(NonZeroU64::new(chance()).unwrap_or(NonZeroU64::MIN))
}

fn trace_id() -> TraceId {
    let id = u128::from(chance()) << 64 | u128::from(chance());
    TraceId(NonZeroU128::new(id).unwrap_or(NonZeroU128::MIN))
}

/// SplitMix64.
fn chance() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::thread::current().id()));
    }
    let state = STATE.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(state);
    let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// Milliseconds as lines show them, to the microsecond.
pub fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_are_alike_on_any_thread() {
        const EACH: usize = 10_000;
        let make = || (0..EACH).map(|_| begin(None).trace.0).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(make)).collect();
        let all: BTreeSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.len(), 4 * EACH);
    }

    #[test]
    fn a_part_keeps_the_trace_under_a_name_of_its_own() {
        let first = begin(None);
        let part = begin(Some(first.as_parent()));
        assert_eq!((part.trace, part.parent), (first.trace, Some(first.id)));
        assert_ne!(part.id, first.id);
    }

    #[test]
    fn milliseconds_are_exact_to_the_microsecond() {
        assert_eq!(millis(Duration::from_nanos(12_345_678)), 12.346);
    }
}
