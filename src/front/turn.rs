//! Whose turn is it to answer: this balancer's, or the holder's of the lease? While nobody holds it, a
//! request is held within a deadline, so that a deploy or the death of a holder fails none. It answers
//! nothing itself.

use std::time::Duration;

use chroma_ha_actors::board::Holder;
use chroma_ha_core::route::Route;
use tokio::time::{Instant, timeout_at};

use super::exchange::{Incoming, Outgoing};
use super::{Worker, dispatch, forward, rescue};

/// Beyond the lease's time: for the next holder to read the log.
const TAKEOVER: Duration = Duration::from_secs(5);

/// Before a holder that could not answer is asked again.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn answer(worker: &Worker, route: Route, mut incoming: Incoming) -> Outgoing {
    let anywhere = match &route {
        Route::Refused(_) => true,
        Route::Read(read) => read.is_of_any_node(),
        _ => false,
    };
    if incoming.attempt.early && !anywhere {
        return rescue::no_holder();
    }
    if anywhere || incoming.attempt.forwarded {
        return dispatch::answer(worker, &route, &incoming).await;
    }
    let lease = &worker.shared.system.board.lease;
    let begun = Instant::now();
    loop {
        let now = lease.holder();
        let answer = match &now {
            Holder::Elsewhere(peer) => forward::forward(worker, peer, &mut incoming).await,
            _ => dispatch::answer(worker, &route, &incoming).await,
        };
        // Nobody can take the lease while PostgreSQL is away, and nobody knows for how long that is.
        let in_vain = matches!(now, Holder::Unknown | Holder::Lost) || !lease.log_answers();
        let deadline = begun + worker.shared.config.wal.lease_time + TAKEOVER;
        if !answer.untaken || in_vain || Instant::now() >= deadline {
            return answer;
        }
        let mut holder = lease.watch();
        let changed = holder.wait_for(|holder| *holder != now);
        let _ = timeout_at(deadline.min(Instant::now() + PAUSE), changed).await;
    }
}
