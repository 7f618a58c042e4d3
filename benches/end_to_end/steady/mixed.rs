//! What do clients see that read nine times and write once, all on one collection?

use std::borrow::Cow;

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::Real;
use crate::end_to_end::load::{Ask, Kind, clients, requests};
use crate::end_to_end::page::until_applied;
use crate::end_to_end::requests::{Ack, HELD, Requests};

pub(crate) const SECTION: &str = "32 clients, 90 % reads and 10 % writes";

const CLIENTS: usize = 32;

fn ask(requests: &Requests, nth: u64) -> Ask<'_> {
    let bytes = match nth % 10 {
        0 => return requests.write(HELD * 2 + nth, 1, Ack::Usual),
        1..4 => requests.get(nth * 13 % HELD),
        4..7 => requests.query(nth),
        _ => requests.count(),
    };
    (Kind::Read, Cow::Owned(bytes))
}

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    let pair = real.pair().await;
    let sides = real.sides();
    for target in context.turned(&sides) {
        let records = pair.at(target.side);
        requests(target.port, 1, HELD / 100, |nth| records.write(nth, 100, Ack::Usual)).await;
        if target.side == Side::Balancer {
            until_applied(target.port).await;
        }
        let heard = clients(target.port, CLIENTS, context.span(), |nth| ask(records, nth)).await;
        context.figures.note(SECTION, "both", "requests/s", target.side, heard.rate());
        context.note_times(SECTION, "reads", target.side, &heard.times_of(Kind::Read));
        context.note_times(SECTION, "writes", target.side, &heard.times_of(Kind::Write));
        context.note_failures(SECTION, target.side, &heard);
    }
    real.drop_pair(pair).await;
}
