//! The true bound on work in flight and on request bodies in memory: what a request takes travels with it
//! and is given back when the last part of its work ends. Reads and writes cannot take each other's share.
//! A bounded number may wait, for a bounded time; beyond that the answer is no.

use std::sync::Arc;
use std::time::Duration;

use chroma_ha_core::pressure::Pressure;
use chroma_ha_core::route::Share;

mod bound;
#[cfg(test)]
mod tests;

use bound::Bound;

/// Bodies are counted in such pieces, each begun one whole.
const PIECE: usize = 1024;

#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// Requests worked on at once.
    pub requests: usize,
    /// Requests that wait, for whatever.
    pub queued: usize,
    pub wait: Duration,
    /// Bytes of request bodies in memory.
    pub body_bytes: usize,
}

#[derive(Debug)]
pub struct RequestGate {
    requests: Bound,
    /// In pieces.
    bodies: Bound,
    /// Places to wait in.
    queue: Bound,
    wait: Duration,
}

/// What there was too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// Permits to be worked on.
    Requests,
    /// Room for request bodies.
    Bodies,
    /// Memory of the machine itself.
    Memory,
}

impl Scarce {
    pub const ALL: [Scarce; 3] = [Scarce::Requests, Scarce::Bodies, Scarce::Memory];

    pub fn name(self) -> &'static str {
        match self {
            Scarce::Requests => "requests",
            Scarce::Bodies => "bodies",
            Scarce::Memory => "memory",
        }
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// As many requests as may wait are waiting already.
    QueueFull(Scarce),
    /// Its turn did not come in time.
    TimedOut(Scarce),
    /// The machine is nearly out of memory.
    OutOfMemory,
}

impl Shed {
    /// Whether such a request is refused before anything of it is taken in. A write stays in memory until a
    /// node took it; a read passes through.
    pub fn under(pressure: Pressure, share: Share) -> Option<Shed> {
        (pressure == Pressure::Shed && share == Share::Writes).then_some(Shed::OutOfMemory)
    }

    pub fn scarce(self) -> Scarce {
        match self {
            Shed::QueueFull(scarce) | Shed::TimedOut(scarce) => scarce,
            Shed::OutOfMemory => Scarce::Memory,
        }
    }
}

/// How full the gate is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    pub in_flight: usize,
    pub limit: usize,
    /// In the order of `Share::ALL`.
    pub in_flight_by_share: [usize; 2],
    pub share_limit: usize,
    pub queued: usize,
    pub queue_limit: usize,
    pub body_bytes: usize,
    pub body_limit_bytes: usize,
}

impl RequestGate {
    pub fn new(limits: GateLimits) -> Arc<RequestGate> {
        Arc::new(RequestGate {
            requests: Bound::new(limits.requests),
            bodies: Bound::new(limits.body_bytes / PIECE),
            queue: Bound::new(limits.queued),
            wait: limits.wait,
        })
    }

    /// For a request that begins; it has taken nothing yet.
    pub fn ticket(self: &Arc<Self>, share: Share) -> Ticket {
        Ticket { gate: Arc::clone(self), share, entered: false, pieces: 0 }
    }

    /// The largest body that can ever be held.
    pub fn largest_body(&self) -> usize {
        self.bodies.most() * PIECE
    }

    pub fn fill(&self) -> Fill {
        Fill {
            in_flight: self.requests.taken(),
            limit: self.requests.limit,
            in_flight_by_share: Share::ALL.map(|share| self.requests.taken_by(share)),
            share_limit: self.requests.most(),
            queued: self.queue.taken(),
            queue_limit: self.queue.limit,
            body_bytes: self.bodies.taken() * PIECE,
            body_limit_bytes: self.bodies.limit * PIECE,
        }
    }

    async fn take(&self, scarce: Scarce, share: Share, units: u32) -> Result<(), Shed> {
        let bound = if scarce == Scarce::Bodies { &self.bodies } else { &self.requests };
        if bound.try_take(share, units) {
            return Ok(());
        }
        let _place = self.place(share).ok_or(Shed::QueueFull(scarce))?;
        match tokio::time::timeout(self.wait, bound.take(share, units)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Shed::TimedOut(scarce)),
        }
    }

    fn place(&self, share: Share) -> Option<Place<'_>> {
        self.queue.try_take(share, 1).then(|| Place(&self.queue, share))
    }
}

/// A place in the queue, given back when the wait ends, however it ends.
struct Place<'a>(&'a Bound, Share);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.give_back(self.1, 1);
    }
}

/// What one request has taken. It is given back when the ticket is dropped.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<RequestGate>,
    share: Share,
    entered: bool,
    pieces: u32,
}

impl Ticket {
    /// Waits for room for a body of so many bytes in all.
    pub async fn hold(&mut self, bytes: usize) -> Result<(), Shed> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        let more = pieces.saturating_sub(self.pieces);
        if more > 0 {
            self.gate.take(Scarce::Bodies, self.share, more).await?;
            self.pieces = pieces;
        }
        Ok(())
    }

    /// Waits for its turn to be worked on.
    pub async fn enter(&mut self) -> Result<(), Shed> {
        if !self.entered {
            self.gate.take(Scarce::Requests, self.share, 1).await?;
            self.entered = true;
        }
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.entered {
            self.gate.requests.give_back(self.share, 1);
        }
        if self.pieces > 0 {
            self.gate.bodies.give_back(self.share, self.pieces);
        }
    }
}
