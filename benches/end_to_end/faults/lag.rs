//! How long after its acknowledgement does a write show on the replica? Read from the replica itself, again and
//! again, while a moderate load goes on. Beside it, at the same time, single writes straight to the replica's server,
//! and, by turns, such writes to a server that does nothing else.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Pair, Real, create, remove};
use crate::end_to_end::load::{Times, paced};
use crate::end_to_end::requests::{Ack, Requests};
use crate::end_to_end::wire::Wire;
use crate::harness::status::until_all_up;

pub(crate) const SECTION: &str =
    "Lag of the replica under 40 writes a second, beside direct writes, one every 100 ms";
pub(crate) const LAG: &str = "from the acknowledgement until the replica shows it";
pub(crate) const REPLICA: &str = "one direct write to the replica's server meanwhile";
pub(crate) const IDLE: &str = "one direct write to a server at rest";

const CHART: (&str, &str, [&str; 2]) =
    ("lag", "Replication lag, beside direct one-record writes", ["ms", "share of the writes"]);

const WRITERS: u64 = 4;
const PACE: Duration = Duration::from_millis(100);
const SPACE: u64 = 1_000_000;

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    let pair = real.pair().await;
    for side in context.turned(&[Side::Direct, Side::Balancer]) {
        if side == Side::Balancer {
            let (lag, replica) = loaded(real, context.span(), &pair).await;
            note(context, LAG, side, &lag);
            note(context, REPLICA, Side::Direct, &replica);
        } else {
            let idle = direct(real.bare.port(), &pair.direct, context.span()).await;
            note(context, IDLE, side, &idle);
        }
    }
    real.drop_pair(pair).await;
}

fn note(context: &mut Context, measure: &str, side: Side, times: &Times) {
    context.note_times(SECTION, measure, side, times);
    context.figures.note(SECTION, measure, "most ms", side, times.quantile(1.0) * 1e3);
    if context.round == 1 {
        curve(context, measure, times);
    }
}

/// What the replica lags, and what a direct write to it takes meanwhile. That one goes to a collection of which the
/// balancer knows nothing, and which is gone before anything could look for it.
async fn loaded(real: &Real, span: Duration, pair: &Pair) -> (Times, Times) {
    let (port, watched) = (real.balancer(), real.stack.nodes[1].port());
    let followed = real.on_node(1, &pair.name).await;
    let lag = async |writer: u64| {
        let (mut wire, mut reader) = (Wire::to(port), Wire::to(watched));
        paced(span, PACE, async |nth| {
            let record = writer * SPACE + nth;
            let status = wire.send(&pair.balanced.upsert(record, 1, Ack::Usual)).await.expect("an answer");
            assert_eq!(status, 200);
            let acknowledged = Instant::now();
            until_shown(&mut reader, &followed, record).await;
            acknowledged.elapsed().as_secs_f64()
        })
        .await
    };
    let past = format!("{}-past-the-balancer", pair.name);
    let own = create(watched, &past).await;
    let (lags, writes) = join(join_all((0..WRITERS).map(lag)), direct(watched, &own, span)).await;
    remove(watched, &past).await;
    until_all_up(&real.stack).await;
    (Times::of(lags.concat()), writes)
}

/// A write every 100 ms; the first one opens the connection and does not count.
async fn direct(port: u16, requests: &Requests, span: Duration) -> Times {
    let mut wire = Wire::to(port);
    let mut write = async |nth: u64| {
        let (request, begun) = (requests.upsert(nth, 1, Ack::Usual), Instant::now());
        assert_eq!(wire.send(&request).await.expect("an answer"), 200);
        begun.elapsed().as_secs_f64()
    };
    write(0).await;
    Times::of(paced(span, PACE, async |nth| write(nth + 1).await).await)
}

fn curve(context: &mut Context, name: &str, times: &Times) {
    for percent in 0..=100 {
        let share = f64::from(percent) / 100.0;
        context.figures.point(CHART, name, (times.quantile(share) * 1e3, share));
    }
}

async fn until_shown(reader: &mut Wire, replica: &Requests, record: u64) {
    let (asked, wanted) = (replica.get(record), format!("[\"r{record}\"]"));
    loop {
        assert_eq!(reader.send(&asked).await.expect("an answer of the replica"), 200);
        if String::from_utf8_lossy(reader.body()).contains(&wanted) {
            return;
        }
    }
}
