//! How many records a second do many clients write, each waiting for its own answer? Through the balancer the
//! clock runs until both nodes have applied everything.

use crate::end_to_end::context::Context;
use crate::end_to_end::cpu::Ticks;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Pair, Real, Target};
use crate::end_to_end::load::clients;
use crate::end_to_end::page::{Page, until_applied};
use crate::end_to_end::requests::Ack;

use super::limit;
use super::lone::breakdown;

pub(crate) const SECTION: &str = "Many clients; through chroma-ha until both nodes have applied everything";
/// A unit.
pub(crate) const TOGETHER: &str = "writes in a request";
pub(crate) const THIRTY_TWO: &str = "32 clients, 1 record each";

#[derive(Clone)]
struct Crowd {
    measure: &'static str,
    clients: usize,
    records: u64,
    ack: Ack,
}

const CROWDS: [Crowd; 6] = [
    Crowd { measure: "8 clients, 1 record each", clients: 8, records: 1, ack: Ack::Usual },
    Crowd { measure: THIRTY_TWO, clients: 32, records: 1, ack: Ack::Usual },
    Crowd { measure: "32 clients, 1 record each, `all`", clients: 32, records: 1, ack: Ack::All },
    Crowd { measure: "128 clients, 1 record each", clients: 128, records: 1, ack: Ack::Usual },
    Crowd { measure: "1 client, 100 records each", clients: 1, records: 100, ack: Ack::Usual },
    Crowd { measure: "4 clients, 100 records each", clients: 4, records: 100, ack: Ack::Usual },
];

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    // First in every second round, last in the others.
    if context.round.is_multiple_of(2) {
        limit::measure(real, context).await;
    }
    for crowd in CROWDS {
        let pair = real.pair().await;
        let sides = real.sides();
        for target in context.turned(&sides) {
            // `all` is the balancer's word; Chroma has been measured without it.
            if crowd.ack == Ack::Usual || target.side == Side::Balancer {
                one(context, &crowd, target, &pair).await;
            }
        }
        real.drop_pair(pair).await;
    }
    if !context.round.is_multiple_of(2) {
        limit::measure(real, context).await;
    }
}

async fn one(context: &mut Context, crowd: &Crowd, target: Target, pair: &Pair) {
    let (measure, requests) = (crowd.measure, pair.at(target.side));
    let ours = target.side == Side::Balancer;
    let before = if ours { Some(Page::of(target.port).await) } else { None };
    let ask = |nth: u64| requests.write(nth, crowd.records, crowd.ack);
    let ticks = Ticks::now();
    let heard = clients(target.port, crowd.clients, context.span(), ask).await;
    if ours {
        until_applied(target.port).await;
    }
    let rate = (heard.done() * crowd.records) as f64 / heard.begun.elapsed().as_secs_f64();
    context.figures.note(SECTION, measure, "records/s", target.side, rate);
    context.note_processors(SECTION, measure, target.side, ticks);
    context.note_times(SECTION, measure, target.side, &heard.times());
    context.note_failures(measure, target.side, &heard);
    let Some(before) = before else { return };
    let after = Page::of(target.port).await;
    let grown = |name: &str| after.sum(name, "") - before.sum(name, "");
    let commits = grown("chroma_ha_wal_commits_total") / grown("chroma_ha_wal_appended_total").max(1.0);
    context.figures.note(SECTION, measure, "commits a write", Side::Balancer, commits);
    let merged = after.mean(&before, "chroma_ha_apply_entries", "");
    context.figures.note(SECTION, measure, TOGETHER, Side::Balancer, merged);
    if measure == THIRTY_TWO {
        breakdown(context, "one write, of 32 clients", &before, &after);
    }
}
