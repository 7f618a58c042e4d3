//! May whoever shows this API key do what is asked? The keys there are, and one decision with its reason.
//! Keys are known by their hashes only. It refuses to guess: what cannot be placed needs a key that is not
//! bound. It reads no header and no file.

mod asked;
mod key;
mod line;

use std::fmt;
use std::sync::Arc;

use subtle::{ConditionallySelectable, ConstantTimeEq};

pub use asked::{Asked, Of, asked, asks_for_no_key};
pub use key::{Bounds, Hash, Key, Refusal, Scope, Verdict};
pub use line::{Fault, parse};

/// More would make every request dear.
pub const MOST_KEYS: usize = 1_000;

/// Every key that is let in.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Arc<Key>>);

/// Why keys cannot stand beside each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clash {
    Name(String),
    Hash(String, String),
    TooMany,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Clash::Name(name) => write!(f, "key `{name}` is there twice; each has a name of its own"),
            Clash::Hash(one, other) => {
                write!(f, "`{one}` and `{other}` are the same key; make one of them anew")
            }
            Clash::TooMany => write!(f, "there are more than {MOST_KEYS} keys"),
        }
    }
}

impl Keys {
    pub fn try_new(keys: impl IntoIterator<Item = Key>) -> Result<Keys, Clash> {
        let mut all: Vec<Arc<Key>> = Vec::new();
        for key in keys {
            if let Some(other) = all.iter().find(|other| other.name == key.name) {
                return Err(Clash::Name(other.name.clone()));
            }
            if let Some(other) = all.iter().find(|other| other.hash == key.hash) {
                return Err(Clash::Hash(other.name.clone(), key.name));
            }
            if all.len() == MOST_KEYS {
                return Err(Clash::TooMany);
            }
            all.push(Arc::new(key));
        }
        Ok(Keys(all))
    }

    /// Every key is compared to its end, so that the time tells neither whether one is like the shown one nor
    /// which.
    pub fn find(&self, shown: &Hash) -> Option<&Arc<Key>> {
        let mut found = u64::MAX;
        for (place, key) in (0..).zip(&self.0) {
            found.conditional_assign(&place, key.hash.0.ct_eq(&shown.0));
        }
        self.0.get(usize::try_from(found).ok()?)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
