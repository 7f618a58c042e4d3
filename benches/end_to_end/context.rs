//! One round of measurements: what was asked for, and what came out so far. It also turns the order of the sides,
//! so that none is always the first.

use std::time::Duration;

use super::cpu::{self, Ticks};
use super::figures::{Figures, Side};
use super::ground::Target;
use super::load::{Ask, Heard, Times, clients};
use super::options::Options;

pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) figures: Figures,
    pub(crate) round: u32,
}

impl Context {
    pub(crate) fn span(&self) -> Duration {
        self.options.span()
    }

    /// The sides in the order of this round.
    pub(crate) fn turned<T: Clone>(&self, sides: &[T]) -> Vec<T> {
        let mut sides = sides.to_vec();
        if self.round.is_multiple_of(2) {
            sides.reverse();
        }
        sides
    }

    /// Load on one target for a span, with the processor time of its process by request, in microseconds.
    pub(crate) async fn loaded<'a>(
        &self,
        target: Target,
        count: usize,
        ask: impl Fn(u64) -> Ask<'a>,
    ) -> (Heard, Option<f64>) {
        let before = target.pid.and_then(cpu::seconds);
        let heard = clients(target.port, count, self.span(), ask).await;
        let after = target.pid.and_then(cpu::seconds);
        let each =
            before.zip(after).map(|(before, after)| (after - before) * 1e6 / heard.done().max(1) as f64);
        (heard, each)
    }

    pub(crate) fn note_times(&mut self, section: &'static str, measure: &str, side: Side, times: &Times) {
        self.figures.note(section, measure, "p50 ms", side, times.quantile(0.5) * 1e3);
        self.figures.note(section, measure, "p99 ms", side, times.quantile(0.99) * 1e3);
    }

    /// How much of the machine was in use since then, by whomever: near 100 % it is the machine that is measured.
    pub(crate) fn note_processors(
        &mut self,
        section: &'static str,
        measure: &str,
        side: Side,
        since: Option<Ticks>,
    ) {
        if let Some(share) = since.and_then(|since| since.share()) {
            self.figures.note(section, measure, "% of processors", side, share * 100.0);
        }
    }

    /// A figure from which requests are missing is told as such.
    pub(crate) fn note_failures(&mut self, measure: &str, side: Side, heard: &Heard) {
        if let Some(failures) = heard.failures() {
            self.figures.remark(format!("{measure}, {}: {failures}", side.name()));
        }
    }
}
