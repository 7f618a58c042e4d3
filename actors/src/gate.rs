//! The true bound on work in flight: a permit is taken before anything is sent to an actor, travels
//! inside the message and is released when the work ends. A bounded number may wait for one, for a
//! bounded time; beyond that the answer is no.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub struct RequestGate {
    permits: Arc<Semaphore>,
    limit: usize,
    queued: AtomicUsize,
    queue_limit: usize,
    queue_timeout: Duration,
}

/// Why no permit was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// As many requests as may wait are waiting already.
    QueueFull,
    /// No permit became free in time.
    TimedOut,
}

impl RequestGate {
    pub fn new(limit: usize, queue_limit: usize, queue_timeout: Duration) -> Arc<RequestGate> {
        let permits = Arc::new(Semaphore::new(limit));
        Arc::new(RequestGate { permits, limit, queued: AtomicUsize::new(0), queue_limit, queue_timeout })
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn in_flight(&self) -> usize {
        self.limit - self.permits.available_permits()
    }

    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, Shed> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = self.queue().ok_or(Shed::QueueFull)?;
        let permit = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(self.queue_timeout, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Shed::TimedOut),
        }
    }

    fn queue(&self) -> Option<Place<'_>> {
        let limit = self.queue_limit;
        let more = |queued: usize| (queued < limit).then_some(queued + 1);
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Place(&self.queued))
    }
}

/// A place in the queue, given back when the wait ends, however it ends.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any wait of these tests.
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn beyond_limit_and_queue_it_says_no_at_once() {
        let gate = RequestGate::new(1, 1, Duration::from_millis(50));
        let held = gate.enter().await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.map(drop) }
        });
        let waits = async {
            while gate.queued() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, waits).await.expect("no second permit");
        assert_eq!(gate.enter().await.map(drop), Err(Shed::QueueFull));
        drop(held);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!((gate.in_flight(), gate.queued()), (0, 0));
    }

    #[tokio::test]
    async fn a_wait_ends_in_time() {
        let gate = RequestGate::new(1, 1, Duration::from_millis(10));
        let _held = gate.enter().await.unwrap();
        let refused = tokio::time::timeout(LONG, gate.enter()).await.expect("an end of the wait");
        assert_eq!(refused.map(drop), Err(Shed::TimedOut));
        assert_eq!(gate.queued(), 0);
    }
}
