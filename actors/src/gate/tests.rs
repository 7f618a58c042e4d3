//! What may be taken of each bound, by whom, how long one waits for it, and that all of it comes back.

use super::*;
use Share::{Reads, Writes};

/// Longer than any wait of these tests.
const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(20);

fn gate(requests: usize, queued: usize, wait: Duration) -> Arc<RequestGate> {
    RequestGate::new(GateLimits { requests, queued, wait, body_bytes: 64 * PIECE })
}

async fn entered(gate: &Arc<RequestGate>, share: Share) -> Result<Ticket, Shed> {
    let mut ticket = gate.ticket(share);
    ticket.enter().await?;
    Ok(ticket)
}

async fn held(gate: &Arc<RequestGate>, share: Share, pieces: usize) -> Result<Ticket, Shed> {
    let mut ticket = gate.ticket(share);
    ticket.hold(pieces * PIECE).await?;
    Ok(ticket)
}

async fn until_queued(gate: &RequestGate) {
    let waits = async {
        while gate.fill().queued == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waits).await.expect("somebody who waits");
}

fn refusal<T>(taken: Result<T, Shed>) -> Shed {
    taken.err().expect("a refusal")
}

#[tokio::test]
async fn beyond_limit_and_queue_it_says_no_at_once() {
    let gate = gate(1, 1, LONG);
    let first = entered(&gate, Reads).await.unwrap();
    let waiting = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { entered(&gate, Reads).await.map(drop) }
    });
    until_queued(&gate).await;
    assert_eq!(refusal(entered(&gate, Reads).await), Shed::QueueFull(Scarce::Requests));
    drop(first);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert_eq!((gate.fill().in_flight, gate.fill().queued), (0, 0));
}

#[tokio::test]
async fn a_wait_ends_in_time_and_leaves_nothing_taken() {
    let gate = gate(1, 1, SHORT);
    let first = entered(&gate, Writes).await.unwrap();
    let refused = tokio::time::timeout(LONG, entered(&gate, Writes)).await.expect("an end of the wait");
    assert_eq!(refusal(refused), Shed::TimedOut(Scarce::Requests));
    drop(first);
    let fill = gate.fill();
    assert_eq!((fill.queued, fill.in_flight, fill.in_flight_by_share), (0, 0, [0, 0]));
}

#[tokio::test]
async fn neither_share_takes_what_is_the_others() {
    for (greedy, other) in [(Reads, Writes), (Writes, Reads)] {
        let gate = gate(8, 4, SHORT);
        let mut taken = Vec::new();
        while let Ok(ticket) = entered(&gate, greedy).await {
            taken.push(ticket);
        }
        assert_eq!(taken.len(), 6, "three quarters");
        let bodies = held(&gate, greedy, 48).await.unwrap();
        assert_eq!(refusal(held(&gate, greedy, 1).await), Shed::TimedOut(Scarce::Bodies));
        // Whoever waits for more does not stand in the way, in the queue neither.
        let waiting: Vec<_> = (0..4).map(|_| tokio::spawn(waits(Arc::clone(&gate), greedy))).collect();
        until_queued(&gate).await;
        let (one, two) = (entered(&gate, other).await.unwrap(), entered(&gate, other).await.unwrap());
        assert!(gate.place(other).is_some(), "and it may wait");
        drop(held(&gate, other, 16).await.unwrap());
        assert_eq!(gate.fill().in_flight, 8);
        drop((one, two, taken, bodies));
        for task in waiting {
            task.await.unwrap();
        }
        let fill = gate.fill();
        assert_eq!(
            (fill.in_flight, fill.in_flight_by_share, fill.queued, fill.body_bytes),
            (0, [0, 0], 0, 0)
        );
    }
}

async fn waits(gate: Arc<RequestGate>, share: Share) {
    drop(entered(&gate, share).await);
}

#[tokio::test]
async fn a_body_that_grows_holds_what_it_has_and_half_received_ones_do_not_wait_for_each_other_for_ever() {
    let gate = gate(8, 4, SHORT);
    let (mut one, mut two) = (held(&gate, Writes, 24).await.unwrap(), held(&gate, Writes, 20).await.unwrap());
    assert_eq!(gate.fill().body_bytes, 44 * PIECE);
    let (first, second) = tokio::join!(one.hold(40 * PIECE), two.hold(40 * PIECE));
    assert_eq!((first, second), (Err(Shed::TimedOut(Scarce::Bodies)), Err(Shed::TimedOut(Scarce::Bodies))));
    drop(two);
    assert_eq!(one.hold(40 * PIECE).await, Ok(()));
    assert_eq!(one.hold(1).await, Ok(()), "it has that");
    assert_eq!(gate.fill().body_bytes, 40 * PIECE);
    drop(one);
    assert_eq!(gate.fill().body_bytes, 0);
    assert_eq!(gate.largest_body(), 48 * PIECE);
}

#[test]
fn a_machine_short_of_memory_takes_no_writes_in() {
    let under = |pressure| Share::ALL.map(|share| Shed::under(pressure, share));
    assert_eq!(under(Pressure::Shed), [None, Some(Shed::OutOfMemory)]);
    assert_eq!(under(Pressure::Busy), [None, None]);
    assert_eq!(under(Pressure::Calm), [None, None]);
}
