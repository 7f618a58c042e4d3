//! Failed deliveries, until the next lazy flush writes them beside their entries, for people who look at
//! the log. Nothing relies on them: beyond the bound they are forgotten.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chroma_ha_core::ids::Seq;
use chroma_ha_core::port::Change;

/// Entries between two flushes.
const MOST: usize = 500;

#[derive(Default)]
pub struct Attempts {
    noted: Mutex<BTreeMap<Seq, (u32, String)>>,
}

impl Attempts {
    pub fn note(&self, seq: Seq, attempts: u32, trouble: &str) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < MOST || noted.contains_key(&seq) {
            noted.insert(seq, (attempts, trouble.to_owned()));
        }
    }

    /// What is to be written.
    pub fn take(&self) -> Vec<Change> {
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        let change = |(seq, (retries, error))| Change::Attempts { seq, retries, error };
        noted.into_iter().map(change).collect()
    }
}
