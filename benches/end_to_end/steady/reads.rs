//! What does a read cost through each proxy: of a stub, where hardly anything else is measured, and of real Chroma?

use std::borrow::Cow;

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Real, Stubs, Target, create};
use crate::end_to_end::load::Kind;
use crate::end_to_end::requests::{HELD, Requests};

pub(crate) const STUB: &str = "Reads of a stub that answers at once";
pub(crate) const CHROMA: &str = "Reads of Chroma";

const MANY: usize = 32;

/// Different requests that take turns.
const KINDS: u64 = 64;

type Make = fn(&Requests, u64) -> Vec<u8>;

/// The same bytes again and again cost the client nothing.
fn prepared(requests: &Requests, make: Make) -> Vec<Vec<u8>> {
    (0..KINDS).map(|nth| make(requests, nth * 13 % HELD)).collect()
}

pub(crate) async fn of_stub(stubs: &Stubs, context: &mut Context) {
    let requests = create(stubs.balancer.port(), "read").await;
    let makes: [(&str, Make); 2] = [("count", |r, _| r.count()), ("get", Requests::get)];
    for (name, make) in makes {
        let asked = prepared(&requests, make);
        for target in context.turned(&stubs.targets()) {
            measure(context, STUB, name, target, &asked).await;
        }
    }
}

pub(crate) async fn of_chroma(real: &Real, context: &mut Context) {
    let makes: [(&str, Make); 3] =
        [("count", |r, _| r.count()), ("get", Requests::get), ("query", Requests::query)];
    for (name, make) in makes {
        for target in context.turned(&real.targets()) {
            let asked = prepared(real.held.at(target.side), make);
            measure(context, CHROMA, name, target, &asked).await;
        }
    }
}

async fn measure(
    context: &mut Context,
    section: &'static str,
    name: &str,
    target: Target,
    asked: &[Vec<u8>],
) {
    let ask = |nth: u64| (Kind::Read, Cow::Borrowed(&asked[(nth % KINDS) as usize][..]));
    let figures = |context: &mut Context, measure: &str, unit, value| {
        context.figures.note(section, measure, unit, target.side, value);
    };
    for count in [1, MANY] {
        let measure = format!("{name}, {count} connections").replace("1 connections", "1 connection");
        let (heard, cpu) = context.loaded(target, count, ask).await;
        context.note_failures(&measure, target.side, &heard);
        let times = heard.times();
        if count == 1 {
            figures(context, &measure, "p50 µs", times.quantile(0.5) * 1e6);
            figures(context, &measure, "p99 µs", times.quantile(0.99) * 1e6);
        } else {
            figures(context, &measure, "requests/s", heard.rate());
        }
        // A share of Chroma's own time would hide in the others' figures.
        if let Some(cpu) = cpu.filter(|_| target.side != Side::Direct) {
            figures(context, &measure, "CPU µs", cpu);
        }
    }
}
