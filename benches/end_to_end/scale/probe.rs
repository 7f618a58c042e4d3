//! The same few questions to a balancer of any size: what do a lone write, a lone read and its status page cost?

use std::borrow::Cow;
use std::time::Duration;

use crate::end_to_end::context::Context;
use crate::end_to_end::cpu;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::Stubs;
use crate::end_to_end::load::{Ask, Kind, Times, clients};
use crate::end_to_end::page::until_applied;
use crate::end_to_end::requests::{Ack, Requests};
use crate::end_to_end::wire::request;
use crate::harness::memory::{MIB, resident};

pub(crate) type Chart = (&'static str, &'static str, [&'static str; 2]);

/// What was asked, with the time and the processor time of one.
struct Cost {
    name: &'static str,
    times: Times,
    cpu_us: f64,
}

/// Notes a row for each question and a point of the chart at `size`. `drains`: no node is away.
pub(crate) async fn probe(
    stubs: &Stubs,
    context: &mut Context,
    (section, chart): (&'static str, Chart),
    (requests, size, what): (&Requests, f64, &str),
    drains: bool,
) {
    let status = request("GET", "/status", "", b"");
    let span = context.span();
    let mut costs = Vec::new();
    costs.push(cost(stubs, span, "write", drains, |nth| requests.write(nth, 1, Ack::Usual)).await);
    costs.push(cost(stubs, span, "read", false, |nth| (Kind::Read, Cow::Owned(requests.get(nth)))).await);
    costs.push(cost(stubs, span, "/status", false, |_| (Kind::Read, Cow::Borrowed(&status[..]))).await);
    for Cost { name, times, cpu_us } in costs {
        let (measure, p50) = (format!("{what}: {name}"), times.quantile(0.5) * 1e3);
        context.figures.note(section, &measure, "p50 ms", Side::Balancer, p50);
        context.figures.note(section, &measure, "p99 ms", Side::Balancer, times.quantile(0.99) * 1e3);
        context.figures.note(section, &measure, "CPU µs", Side::Balancer, cpu_us);
        context.figures.point(chart, name, (size, p50));
    }
    let pid = stubs.balancer.pid().expect("a running balancer");
    let memory = resident(pid) as f64 / MIB as f64;
    context.figures.note(section, format!("{what}: resident memory"), "MiB", Side::Balancer, memory);
}

async fn cost<'a>(
    stubs: &Stubs,
    span: Duration,
    name: &'static str,
    drains: bool,
    ask: impl Fn(u64) -> Ask<'a>,
) -> Cost {
    let (port, pid) = (stubs.balancer.port(), stubs.balancer.pid().expect("a running balancer"));
    let before = cpu::seconds(pid);
    let heard = clients(port, 1, span, ask).await;
    if drains {
        until_applied(port).await;
    }
    let used = cpu::seconds(pid).zip(before).map_or(0.0, |(after, before)| after - before);
    assert_eq!(heard.failures(), None, "{name}");
    Cost { name, times: heard.times(), cpu_us: used * 1e6 / heard.done().max(1) as f64 }
}
