//! One request at a time under each key that clients give their writes, until the first is in the log
//! and the next can find it there. It knows no outcomes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Line, OwnedMutexGuard};

/// Ends when it is dropped.
pub type Turn = OwnedMutexGuard<()>;

#[derive(Default)]
pub struct Turns {
    lines: Mutex<HashMap<[u8; 32], Weak<Line<()>>>>,
}

impl Turns {
    /// Waits until no other request with this key is on its way into the log. Whoever waits holds a
    /// permit, which bounds the line.
    pub async fn take(&self, key: [u8; 32]) -> Turn {
        let line = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.retain(|_, line| line.strong_count() > 0);
            let line = lines.get(&key).and_then(Weak::upgrade).unwrap_or_default();
            lines.insert(key, Arc::downgrade(&line));
            line
        };
        line.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_under_a_key_and_nobody_else_waits() {
        let turns = Turns::default();
        let first = turns.take([1; 32]).await;
        let _other_key = turns.take([2; 32]).await;
        let mut second = Box::pin(turns.take([1; 32]));
        tokio::select! {
            biased;
            _ = &mut second => panic!("both have their turn"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        drop(second.await);
        drop(turns.take([3; 32]).await);
        assert_eq!(turns.lines.lock().unwrap().len(), 2, "what is over is forgotten");
    }
}
