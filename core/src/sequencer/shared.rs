//! One sequencer for many users: each borrows it for a moment, and never across a wait or while a body
//! is read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Sequencer;

#[derive(Debug)]
pub struct Shared(Mutex<Sequencer>);

impl Shared {
    pub fn new(sequencer: Sequencer) -> Shared {
        Shared(Mutex::new(sequencer))
    }

    /// A user that panicked left whole steps behind it.
    pub fn lock(&self) -> MutexGuard<'_, Sequencer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
