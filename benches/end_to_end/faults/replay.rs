//! How fast does a node catch up that was away, beside what Chroma takes itself in requests of 100?

use std::time::Instant;

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Pair, Real};
use crate::end_to_end::load::requests;
use crate::end_to_end::page::Page;
use crate::end_to_end::requests::Ack;
use crate::harness::surface::until_state;

pub(crate) const SECTION: &str = "A node comes back to a queue of one-record writes";
pub(crate) const RATE: &str = "the queue; direct: as many in requests of 100";

const WRITERS: usize = 64;
const REPLICA: &str = "replica-1";

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    for side in context.turned(&[Side::Direct, Side::Balancer]) {
        let pair = real.pair().await;
        if side == Side::Direct {
            bulk(real, context, &pair).await;
        } else {
            replay(real, context, &pair).await;
        }
        real.drop_pair(pair).await;
    }
}

async fn bulk(real: &Real, context: &mut Context, pair: &Pair) {
    let total = (context.options.queued / 100).max(1);
    let heard = requests(real.bare.port(), 1, total, |nth| pair.direct.write(nth, 100, Ack::Usual)).await;
    context.note_failures(RATE, Side::Direct, &heard);
    context.figures.note(SECTION, RATE, "records/s", Side::Direct, heard.rate() * 100.0);
}

async fn replay(real: &mut Real, context: &mut Context, pair: &Pair) {
    let (port, url) = (real.balancer(), real.stack.url());
    real.stack.replica().kill9();
    until_state(&url, REPLICA, "down").await;
    let ask = |nth| pair.balanced.write(nth, 1, Ack::Usual);
    let heard = requests(port, WRITERS, context.options.queued, ask).await;
    context.note_failures("writes while the replica is away", Side::Balancer, &heard);
    context.figures.note(
        SECTION,
        "clients while the node is away",
        "records/s",
        Side::Balancer,
        heard.rate(),
    );
    let before = Page::of(port).await;
    let queued = before.lag();
    real.stack.replica().start_again().await.unwrap_or_else(|reason| panic!("{reason}"));
    let back = Instant::now();
    let mut falling = None;
    loop {
        let lag = Page::of(port).await.lag();
        if lag < queued && falling.is_none() {
            falling = Some((Instant::now(), lag));
        }
        if lag == 0.0 {
            break;
        }
        assert!(back.elapsed().as_secs() < 900, "{lag} writes of {queued} are still queued");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (begun, left) = falling.unwrap_or((back, queued));
    let waited = begun.duration_since(back).as_secs_f64();
    // What was applied at the first look took some of the time before it.
    let rate = if left > queued / 2.0 {
        left / begun.elapsed().as_secs_f64()
    } else {
        queued / back.elapsed().as_secs_f64()
    };
    context.figures.note(SECTION, RATE, "records/s", Side::Balancer, rate);
    context.figures.note(
        SECTION,
        "node answers again, until its queue begins to fall",
        "s",
        Side::Balancer,
        waited,
    );
    context.figures.note(
        SECTION,
        "node answers again, until its queue is empty",
        "s",
        Side::Balancer,
        back.elapsed().as_secs_f64(),
    );
    let merged = Page::of(port).await.mean(&before, "chroma_ha_apply_entries", REPLICA);
    context.figures.note(SECTION, "replay: writes in a request", "count", Side::Balancer, merged);
}
