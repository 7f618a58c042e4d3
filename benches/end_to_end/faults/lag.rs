//! How long after its acknowledgement does a write show on the replica? Read from the replica itself, again and
//! again, while a moderate load goes on.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep_until;

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::Real;
use crate::end_to_end::load::Times;
use crate::end_to_end::requests::{Ack, Requests};
use crate::end_to_end::wire::Wire;

pub(crate) const SECTION: &str =
    "Lag of the replica under 40 writes a second, beside a direct write every 100 ms";
pub(crate) const LAG: &str = "lag; direct: one write";

const CHART: (&str, &str, [&str; 2]) =
    ("lag", "Replication lag, beside a direct one-record write", ["ms", "share of the writes"]);

const WRITERS: u64 = 4;
const PACE: Duration = Duration::from_millis(100);
const SPACE: u64 = 1_000_000;

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    let pair = real.pair().await;
    let replica = real.on_node(1, &pair.name).await;
    let (span, [direct, balancer]) = (context.span(), real.sides());
    let watched = real.stack.nodes[1].port();
    let lag = async |writer: u64| {
        let (mut wire, mut reader) = (Wire::to(balancer.port), Wire::to(watched));
        paced(span, async |nth| {
            let record = writer * SPACE + nth;
            let status = wire.send(&pair.balanced.upsert(record, 1, Ack::Usual)).await.expect("an answer");
            assert_eq!(status, 200);
            let acknowledged = Instant::now();
            until_shown(&mut reader, &replica, record).await;
            acknowledged.elapsed().as_secs_f64()
        })
        .await
    };
    let write = async || {
        let mut wire = Wire::to(direct.port);
        paced(span, async |nth| {
            let (request, begun) = (pair.direct.upsert(nth, 1, Ack::Usual), Instant::now());
            assert_eq!(wire.send(&request).await.expect("an answer"), 200);
            begun.elapsed().as_secs_f64()
        })
        .await
    };
    for side in context.turned(&[Side::Direct, Side::Balancer]) {
        let seconds = match side {
            Side::Balancer => join_all((0..WRITERS).map(lag)).await.concat(),
            _ => write().await,
        };
        let times = Times::of(seconds);
        context.note_times(SECTION, LAG, side, &times);
        context.figures.note(SECTION, LAG, "most ms", side, times.quantile(1.0) * 1e3);
        if context.round == 1 {
            curve(context, side, &times);
        }
    }
    real.drop_pair(pair).await;
}

fn curve(context: &mut Context, side: Side, times: &Times) {
    let name = if side == Side::Balancer { "lag" } else { "direct write" };
    for percent in 0..=100 {
        let share = f64::from(percent) / 100.0;
        context.figures.point(CHART, name, (times.quantile(share) * 1e3, share));
    }
}

/// One after the other, begun in step; what is late does not catch up.
async fn paced(span: Duration, mut one: impl AsyncFnMut(u64) -> f64) -> Vec<f64> {
    let (begun, mut seconds) = (tokio::time::Instant::now(), Vec::new());
    for nth in 0..(span.as_secs_f64() / PACE.as_secs_f64()) as u64 {
        sleep_until(begun + PACE.mul_f64(nth as f64)).await;
        seconds.push(one(nth).await);
    }
    seconds
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
