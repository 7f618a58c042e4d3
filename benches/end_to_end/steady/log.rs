//! How many writes a second does the log take, when clients wait for nothing else? The time until the bound of
//! what it may be ahead refuses the first one is told apart from the time after it.

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::Real;
use crate::end_to_end::load::{Heard, clients};
use crate::end_to_end::page::until_applied;
use crate::end_to_end::requests::Ack;

pub(crate) const SECTION: &str = "Writes acknowledged by the log (`x-chroma-ha-ack: log`)";
pub(crate) const CROWD: &str = "32 clients, until the bound sheds";

const SHED: &str = "32 clients, once the bound sheds";
const CLIENTS: usize = 32;

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    let pair = real.pair().await;
    let ask = |nth: u64| pair.balanced.write(nth, 1, Ack::Log);
    let heard = clients(real.balancer(), CLIENTS, context.span(), ask).await;
    until_applied(real.balancer()).await;
    let all = heard.done() as f64 / heard.begun.elapsed().as_secs_f64();
    let (taken, shed) = heard.parted();
    note(context, CROWD, &taken);
    context.figures.note(SECTION, CROWD, "s", Side::Balancer, taken.lasted);
    if let Some(shed) = shed {
        note(context, SHED, &shed);
        context.note_failures(SHED, Side::Balancer, &shed);
    }
    context.figures.note(SECTION, "until both nodes have them", "writes/s", Side::Balancer, all);
    real.drop_pair(pair).await;
}

fn note(context: &mut Context, measure: &str, heard: &Heard) {
    context.figures.note(SECTION, measure, "writes/s", Side::Balancer, heard.rate());
    context.note_times(SECTION, measure, Side::Balancer, &heard.times());
}
