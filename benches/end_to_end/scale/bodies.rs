//! What does the size of a body cost, on its way in and on its way out?

use std::borrow::Cow;

use super::probe::Chart;
use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Stubs, create};
use crate::end_to_end::load::{Kind, requests};
use crate::end_to_end::page::until_applied;
use crate::end_to_end::steady::commit::commits;
use crate::harness::memory::{MIB, peak};
use crate::harness::sql::connect;

pub(crate) const SECTION: &str = "Cost by the size of a body (2 stub nodes; writes go through the log, too)";

const WRITES: Chart = ("bodies-written", "A write by the size of its body", ["KiB", "p50 ms"]);
const READS: Chart = ("bodies-read", "A read by the size of its answer", ["KiB", "p50 ms"]);
const SIZES_KIB: [usize; 6] = [1, 10, 100, 1_000, 10_000, 30_000];
/// Bytes that are moved for one figure, about.
const MOVED_KIB: usize = 200_000;
const MOST: usize = 200;
const LEAST: usize = 5;

pub(crate) async fn measure(context: &mut Context) {
    let stubs = Stubs::start(2).await;
    let asked = create(stubs.balancer.port(), "asked").await;
    let client = connect(&stubs.database_url).await;
    for kib in SIZES_KIB {
        let most = if context.options.quick { LEAST } else { MOST };
        let count = (MOVED_KIB / kib).clamp(LEAST, most) as u64;
        let (write, read) = (asked.long_upsert(0, kib << 10), asked.long_get(kib));
        for (chart, kind, bytes) in [(WRITES, Kind::Write, &write), (READS, Kind::Read, &read)] {
            let word = if kind == Kind::Write { "write" } else { "read" };
            let measure = format!("{word} of {kib} KiB");
            for target in context.turned(&stubs.targets()) {
                let heard = requests(target.port, 1, count, |_| (kind, Cow::Borrowed(&bytes[..]))).await;
                context.note_failures(&measure, target.side, &heard);
                let p50 = heard.times().quantile(0.5) * 1e3;
                context.figures.note(SECTION, &measure, "p50 ms", target.side, p50);
                context.figures.point(chart, target.side.name(), (kib as f64, p50));
            }
            until_applied(stubs.balancer.port()).await;
        }
        let commit = commits(&client, kib << 10, LEAST).await.quantile(0.5) * 1e3;
        let measure = format!("one commit of PostgreSQL of {kib} KiB");
        context.figures.note(SECTION, measure, "p50 ms", Side::Direct, commit);
        context.figures.point(WRITES, "one commit", (kib as f64, commit));
    }
    let most = peak(stubs.balancer.pid().expect("a running balancer")) as f64 / MIB as f64;
    context.figures.note(SECTION, "most memory ever resident", "MiB", Side::Balancer, most);
}
