//! Does this store hold the lease right now? The session that does, from the attempt to the end. What
//! the lease says in the tables is `lease`'s.

use std::sync::{Arc, PoisonError};

use chroma_ha_core::port::{Recovered, StoreError};

use super::PgLog;
use super::lease::{self, Attempt, Held};
use super::pool::Session;

impl PgLog {
    pub(super) fn set_held(&self, held: Option<Arc<Held>>) -> Option<Arc<Held>> {
        std::mem::replace(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner), held)
    }

    /// The lease, if its session lives.
    pub(super) fn held(&self) -> Result<Arc<Held>, StoreError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match held {
            Some(held) if !held.session.is_closed() => Ok(held),
            Some(_) => Err(StoreError::LeaseLost("its session ended".to_owned())),
            None => Err(StoreError::LeaseLost("it is not held".to_owned())),
        }
    }

    /// After an unknown outcome or a lost lease the session must not run anything more.
    pub(super) fn judge<T>(&self, held: &Arc<Held>, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(result, Err(StoreError::Unavailable(_) | StoreError::LeaseLost(_))) {
            held.session.cut();
            let mut current = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, held)) {
                *current = None;
            }
        }
        result
    }

    pub(super) async fn try_acquire(&self) -> Result<Option<Recovered>, StoreError> {
        let mut waiting = self.waiting.lock().await;
        // A lease that is still held starts anew, under a new epoch.
        self.let_go().await;
        let session = match waiting.take() {
            Some(session) if !session.is_closed() => session,
            _ => Session::open(&self.settings).await?,
        };
        match lease::take(session, &self.own).await? {
            Attempt::Taken(held, recovered) => {
                self.set_held(Some(Arc::from(held)));
                Ok(Some(recovered))
            }
            Attempt::Busy(session) => {
                *waiting = Some(session);
                Ok(None)
            }
        }
    }

    pub(super) async fn let_go(&self) {
        if let Some(held) = self.set_held(None) {
            // Unlocked or cut off: either way the lock goes.
            let _ = lease::unlock(&held).await;
            held.session.cut();
        }
    }
}
