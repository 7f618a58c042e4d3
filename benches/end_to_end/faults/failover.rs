//! What do clients notice when the primary is killed, or hangs? Reads and writes go on at a steady pace, whatever
//! becomes of the earlier ones; the longest time without a success is the gap.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::Real;
use crate::end_to_end::page::until_applied;
use crate::end_to_end::requests::{Ack, HELD, Requests};
use crate::end_to_end::wire::Wire;
use crate::harness::status::until_all_up;

pub(crate) const SECTION: &str = "The primary fails under a write and a read every 10 ms";

const PACE: Duration = Duration::from_millis(10);
/// Requests of one kind that may be open at once: more than there are in the longest gap.
const OPEN: u64 = 400;
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Killed,
    Hung,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Fault::None => "no fault, for comparison",
            Fault::Killed => "killed",
            Fault::Hung => "hung",
        }
    }
}

/// Moments of success, and how many requests were no success.
struct Seen {
    moments: Vec<Instant>,
    failed: usize,
}

impl Seen {
    fn gap(&self) -> Duration {
        let between = self.moments.windows(2).map(|pair| pair[1] - pair[0]);
        between.max().unwrap_or(PATIENCE)
    }
}

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    for fault in [Fault::None, Fault::Killed, Fault::Hung] {
        let pair = real.pair().await;
        let port = real.balancer();
        let held = &real.held.balanced;
        let writes = steady(port, |nth| Cow::Owned(pair.balanced.upsert(nth, 1, Ack::Usual)));
        let reads = steady(port, |nth| Cow::Owned(read(held, nth)));
        let primary = &mut real.stack.nodes[0];
        let strike = async {
            sleep(BEFORE).await;
            match fault {
                Fault::None => {}
                Fault::Killed => primary.kill9(),
                Fault::Hung => primary.sigstop(),
            }
        };
        let ((writes, reads), ()) = join(join(writes, reads), strike).await;
        for (kind, seen) in [("writes", &writes), ("reads", &reads)] {
            let measure = format!("{}, {kind}", fault.name());
            context.figures.note(
                SECTION,
                &measure,
                "longest gap ms",
                Side::Balancer,
                seen.gap().as_secs_f64() * 1e3,
            );
            context.figures.note(SECTION, &measure, "failed requests", Side::Balancer, seen.failed as f64);
        }
        match fault {
            Fault::None => {}
            Fault::Killed => primary.start_again().await.unwrap_or_else(|reason| panic!("{reason}")),
            Fault::Hung => primary.sigcont(),
        }
        until_all_up(&real.stack).await;
        until_applied(port).await;
        real.drop_pair(pair).await;
    }
}

fn read(held: &Requests, nth: u64) -> Vec<u8> {
    held.get(nth * 13 % HELD)
}

/// One request each 10 ms, on the connection that was longest at rest.
async fn steady<'a>(port: u16, ask: impl Fn(u64) -> Cow<'a, [u8]>) -> Seen {
    let begun = Instant::now();
    let ticks = ((BEFORE + AFTER).as_secs_f64() / PACE.as_secs_f64()) as u64;
    let one = async |first: u64| {
        let (mut wire, mut moments, mut failed) = (Wire::to(port), Vec::new(), 0);
        for nth in (first..ticks).step_by(OPEN as usize) {
            sleep_until(begun + PACE.mul_f64(nth as f64)).await;
            match timeout(PATIENCE, wire.send(&ask(nth))).await {
                Ok(Ok(200 | 201)) => moments.push(Instant::now()),
                _ => failed += 1,
            }
        }
        (moments, failed)
    };
    let seen = join_all((0..OPEN.min(ticks)).map(one)).await;
    let mut moments: Vec<Instant> = seen.iter().flat_map(|(moments, _)| moments).copied().collect();
    moments.sort_unstable();
    Seen { moments, failed: seen.iter().map(|(_, failed)| failed).sum() }
}
