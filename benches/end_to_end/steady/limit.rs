//! What could any balancer reach on this machine? Two bare servers get the same records at the same time, without
//! anything between them and the client: in requests of several sizes, the next one when both are done, and each
//! server at its own pace.

use std::time::{Duration, Instant};

use futures_util::future::join;

use crate::end_to_end::beside::second;
use crate::end_to_end::context::Context;
use crate::end_to_end::cpu::Ticks;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Real, create, remove};
use crate::end_to_end::load::clients;
use crate::end_to_end::requests::{Ack, Requests};
use crate::end_to_end::wire::Wire;

pub(crate) const SECTION: &str = "Two bare servers, both written by one client: what this machine gives";

const SIZES: [u64; 4] = [1, 16, 32, 100];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The next request when both servers are done.
    Both,
    /// Neither waits for the other one; the slower one counts.
    Each,
}

pub(crate) fn name(records: u64, pace: Pace) -> String {
    let words = match pace {
        Pace::Both => "in step",
        Pace::Each => "at its own pace",
    };
    format!("requests of {records}, {words}")
}

/// One server and its collection.
type Place<'a> = (u16, &'a Requests);

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    let other = second(real).await;
    let ports = [real.bare.port(), other.port()];
    for records in context.turned(&SIZES) {
        for pace in context.turned(&[Pace::Both, Pace::Each]) {
            // Each has collections that nothing else was written to, as everywhere in this bench.
            let pair = real.pair().await;
            let on_other = create(other.port(), &pair.name).await;
            let before = Ticks::now();
            let places = [(ports[0], &pair.direct), (ports[1], &on_other)];
            let rate = match pace {
                Pace::Both => together(places, records, context.span()).await,
                Pace::Each => apart(places, records, context).await,
            };
            let measure = name(records, pace);
            context.figures.note(SECTION, &measure, "records/s", Side::Direct, rate);
            context.note_processors(SECTION, &measure, Side::Direct, before);
            let name = pair.name.clone();
            real.drop_pair(pair).await;
            remove(other.port(), &name).await;
        }
    }
}

async fn together(places: [Place<'_>; 2], records: u64, span: Duration) -> f64 {
    let [(mut first, one), (mut second, two)] = places.map(|(port, requests)| (Wire::to(port), requests));
    let mut send = async |nth: u64| {
        let asked = [one, two].map(|requests| requests.upsert(nth * records, records, Ack::Usual));
        let answers = join(first.send(&asked[0]), second.send(&asked[1])).await;
        assert_eq!([answers.0.expect("an answer"), answers.1.expect("an answer")], [200, 200]);
    };
    // The first request opens the connections and does not count.
    send(0).await;
    let (begun, mut nth) = (Instant::now(), 0);
    while begun.elapsed() < span {
        nth += 1;
        send(nth).await;
    }
    (nth * records) as f64 / begun.elapsed().as_secs_f64()
}

async fn apart(places: [Place<'_>; 2], records: u64, context: &mut Context) -> f64 {
    let span = context.span();
    let load = async |(port, requests): Place<'_>| {
        clients(port, 1, span, |nth| requests.write(nth, records, Ack::Usual)).await
    };
    let heard = join(load(places[0]), load(places[1])).await;
    for one in [&heard.0, &heard.1] {
        context.note_failures(&name(records, Pace::Each), Side::Direct, one);
    }
    heard.0.rate().min(heard.1.rate()) * records as f64
}
