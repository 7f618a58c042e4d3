//! How much of one thing is taken, of so much that there is? Reads and writes each have a share that the
//! other cannot take. It waits as long as it is let: queues and deadlines are the gate's.

use chroma_ha_core::route::Share;
use tokio::sync::{AcquireError, Semaphore};

/// So many units for all; each share gets at most three quarters of them.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) limit: usize,
    all: Semaphore,
    shares: [Semaphore; 2],
}

impl Bound {
    pub(super) fn new(limit: usize) -> Bound {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let share = || Semaphore::new(limit - limit / 4);
        Bound { limit, all: Semaphore::new(limit), shares: [share(), share()] }
    }

    /// The most that one share may take. Of fewer than four nothing is kept for the other.
    pub(super) fn most(&self) -> usize {
        self.limit - self.limit / 4
    }

    pub(super) fn try_take(&self, share: Share, units: u32) -> bool {
        let Ok(own) = self.shares[share as usize].try_acquire_many(units) else { return false };
        let Ok(all) = self.all.try_acquire_many(units) else { return false };
        own.forget();
        all.forget();
        true
    }

    /// Of the share first: what then waits for others is never more than the share, so the other one moves.
    pub(super) async fn take(&self, share: Share, units: u32) -> Result<(), AcquireError> {
        let own = self.shares[share as usize].acquire_many(units).await?;
        self.all.acquire_many(units).await?.forget();
        own.forget();
        Ok(())
    }

    pub(super) fn give_back(&self, share: Share, units: u32) {
        self.all.add_permits(units as usize);
        self.shares[share as usize].add_permits(units as usize);
    }

    pub(super) fn taken(&self) -> usize {
        self.limit - self.all.available_permits()
    }

    pub(super) fn taken_by(&self, share: Share) -> usize {
        self.most() - self.shares[share as usize].available_permits()
    }
}
