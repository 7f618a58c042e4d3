//! How fast is the whole of it, beside bare Chroma, nginx and HAProxy? One command starts every server itself,
//! asks both sides by turns in the same run, and tells medians, ratios and what became of the goals. It is no
//! test: nothing fails because something is slow.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on panics")]

use std::time::Instant;

use end_to_end::context::Context;
use end_to_end::figures::Figures;
use end_to_end::ground::{Real, Stubs};
use end_to_end::options::{Measurement, Options};
use end_to_end::{cpu, faults, report, scale, steady};

/// The harness of the promises: the same servers, started by the same code.
#[path = "../tests"]
mod tests {
    pub(crate) mod harness;
}

use tests::harness;

mod end_to_end {
    pub(crate) mod beside;
    pub(crate) mod chart;
    pub(crate) mod context;
    pub(crate) mod cpu;
    pub(crate) mod figures;
    pub(crate) mod goals;
    pub(crate) mod ground;
    pub(crate) mod load;
    pub(crate) mod options;
    pub(crate) mod page;
    pub(crate) mod proxies;
    pub(crate) mod report;
    pub(crate) mod requests;
    pub(crate) mod stub;
    pub(crate) mod wire;

    /// What goes on while nothing fails.
    pub(crate) mod steady {
        pub(crate) mod commit;
        pub(crate) mod limit;
        pub(crate) mod log;
        pub(crate) mod lone;
        pub(crate) mod mixed;
        pub(crate) mod reads;
        pub(crate) mod writers;
    }

    /// What goes on behind a client's back, or when a node fails.
    pub(crate) mod faults {
        pub(crate) mod failover;
        pub(crate) mod lag;
        pub(crate) mod replay;
    }

    /// How cost grows.
    pub(crate) mod scale {
        pub(crate) mod bodies;
        pub(crate) mod collections;
        pub(crate) mod nodes;
        mod probe;
        pub(crate) mod rows;
    }
}

/// Servers are started when the first measurement needs them, and stay for the rest.
#[derive(Default)]
struct Ground {
    real: Option<Real>,
    stubs: Option<Stubs>,
}

impl Ground {
    async fn real(&mut self) -> &mut Real {
        if self.real.is_none() {
            self.real = Some(Real::start().await);
        }
        self.real.as_mut().expect("it was just started")
    }

    async fn stubs(&mut self) -> &Stubs {
        if self.stubs.is_none() {
            self.stubs = Some(Stubs::start(2).await);
        }
        self.stubs.as_ref().expect("it was just started")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::from_args();
    if !options.bench {
        println!("a bench, not a test: cargo bench --bench end_to_end");
        return;
    }
    let (begun, busy) = (Instant::now(), cpu::busy().await);
    let mut context = Context { options, figures: Figures::default(), round: 0 };
    let mut ground = Ground::default();
    let wanted = context.options.measurements();
    for round in 1..=context.options.rounds {
        context.round = round;
        for wanted in wanted.iter().filter(|wanted| round == 1 || !wanted.is_scale()) {
            let (rounds, spent) = (context.options.rounds, begun.elapsed().as_secs());
            eprintln!("round {round} of {rounds}, {wanted:?}, after {spent} s");
            measure(*wanted, &mut ground, &mut context).await;
        }
    }
    report::tell(&context, busy, begun.elapsed());
}

async fn measure(wanted: Measurement, ground: &mut Ground, context: &mut Context) {
    match wanted {
        Measurement::Stub => steady::reads::of_stub(ground.stubs().await, context).await,
        Measurement::Reads => steady::reads::of_chroma(ground.real().await, context).await,
        Measurement::Lone => steady::lone::measure(ground.real().await, context).await,
        Measurement::Writers => steady::writers::measure(ground.real().await, context).await,
        Measurement::Mixed => steady::mixed::measure(ground.real().await, context).await,
        Measurement::Log => steady::log::measure(ground.real().await, context).await,
        Measurement::Lag => faults::lag::measure(ground.real().await, context).await,
        Measurement::Replay => faults::replay::measure(ground.real().await, context).await,
        Measurement::Failover => faults::failover::measure(ground.real().await, context).await,
        Measurement::Collections => scale::collections::measure(context).await,
        Measurement::Nodes => scale::nodes::measure(context).await,
        Measurement::Bodies => scale::bodies::measure(context).await,
        Measurement::Rows => scale::rows::measure(context).await,
    }
}
