//! Something that is kept in files and may change while the balancer runs: when does what was seen there count?
//! Once two looks saw the same, for who writes a file is not done at once; and what cannot be used leaves the
//! last good one in place. It does not know what the files hold.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);

/// What is kept in files.
pub(crate) trait Source: Send + Sync + 'static {
    /// As it is there.
    type Text: Clone + PartialEq + Send;
    /// As it is used.
    type Value;

    /// It blocks.
    fn read(&self) -> Result<Self::Text, String>;

    fn judge(&self, text: &Self::Text) -> Result<Self::Value, String>;

    /// Says that this is used from now on.
    fn tell_new(&self, value: &Self::Value);

    /// Says that the last good one stays in place.
    fn tell_fault(&self, fault: &str);
}

/// The value of a source at this moment, looked for again and again.
pub(crate) struct Reloaded<S: Source> {
    source: Arc<S>,
    now: ArcSwap<S::Value>,
    seen: Mutex<Reload<S::Text>>,
}

impl<S: Source> Reloaded<S> {
    pub(crate) fn try_new(source: S) -> Result<Reloaded<S>, String> {
        let text = source.read()?;
        let now = ArcSwap::from_pointee(source.judge(&text)?);
        Ok(Reloaded { source: Arc::new(source), now, seen: Mutex::new(Reload::new(text)) })
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    pub(crate) fn now(&self) -> Guard<Arc<S::Value>> {
        self.now.load()
    }

    /// Why what is there is not used.
    pub(crate) fn fault(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).fault().map(str::to_owned)
    }

    /// Without end. Who tells people hears of what cannot be used, and of its end.
    pub(crate) async fn watch(&self, tell: impl Fn(Option<String>)) {
        loop {
            tokio::time::sleep(EVERY).await;
            let source = Arc::clone(&self.source);
            // A disk may take its time.
            if let Ok(read) = tokio::task::spawn_blocking(move || source.read()).await {
                let before = self.fault();
                self.saw(read);
                let after = self.fault();
                if before != after {
                    tell(after);
                }
            }
        }
    }

    fn saw(&self, read: Result<S::Text, String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.saw(read, |text| self.source.judge(text)) {
            Found::Nothing => {}
            Found::New(value) => {
                let value = Arc::new(value);
                self.now.store(Arc::clone(&value));
                self.source.tell_new(&value);
            }
            Found::Fault(fault) => self.source.tell_fault(&fault),
        }
    }

    /// One look, as the watch takes it.
    #[cfg(test)]
    pub(crate) fn look(&self) {
        self.saw(self.source.read());
    }
}

/// What was seen.
struct Reload<T> {
    /// In use.
    good: T,
    /// At the last look; why there was nothing to see.
    last: Result<T, String>,
    fault: Option<String>,
}

/// What a look means.
#[derive(Debug, PartialEq, Eq)]
enum Found<V> {
    /// What was known before, or not yet settled.
    Nothing,
    /// To be used from now on.
    New(V),
    /// It cannot be used, and that was not told yet.
    Fault(String),
}

impl<T: Clone + PartialEq> Reload<T> {
    fn new(good: T) -> Reload<T> {
        Reload { last: Ok(good.clone()), good, fault: None }
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn saw<V>(&mut self, now: Result<T, String>, judge: impl FnOnce(&T) -> Result<V, String>) -> Found<V> {
        let settled = self.last == now;
        self.last = now;
        let known = self.fault.is_none() && self.last.as_ref().is_ok_and(|last| *last == self.good);
        if !settled || known {
            return Found::Nothing;
        }
        match self.last.as_ref().map_err(String::clone).and_then(|last| Ok((last.clone(), judge(last)?))) {
            Ok((good, value)) => {
                self.good = good;
                self.fault = None;
                Found::New(value)
            }
            Err(fault) if self.fault.as_ref() == Some(&fault) => Found::Nothing,
            Err(fault) => {
                self.fault = Some(fault.clone());
                Found::Fault(fault)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that begin with a capital are no good.
    fn judge(word: &&str) -> Result<String, String> {
        if word.starts_with(char::is_uppercase) {
            Err(format!("{word} is large"))
        } else {
            Ok((*word).to_owned())
        }
    }

    #[test]
    fn what_was_seen_twice_counts_and_a_fault_is_told_once() {
        let mut reload = Reload::new("one");
        let mut saw = |now: Result<&'static str, &str>| reload.saw(now.map_err(str::to_owned), judge);
        assert_eq!(saw(Ok("one")), Found::Nothing);
        assert_eq!((saw(Ok("two")), saw(Ok("two"))), (Found::Nothing, Found::New("two".to_owned())));
        assert_eq!(saw(Ok("two")), Found::Nothing);
        assert_eq!((saw(Ok("th")), saw(Ok("three"))), (Found::Nothing, Found::Nothing), "half written");
        assert_eq!(saw(Ok("three")), Found::New("three".to_owned()));
        assert_eq!(
            (saw(Ok("Four")), saw(Ok("Four"))),
            (Found::Nothing, Found::Fault("Four is large".to_owned()))
        );
        assert_eq!(saw(Ok("Four")), Found::Nothing, "told once");
        assert_eq!((saw(Err("gone")), saw(Err("gone"))), (Found::Nothing, Found::Fault("gone".to_owned())));
        assert_eq!((saw(Ok("three")), saw(Ok("three"))), (Found::Nothing, Found::New("three".to_owned())));
        assert_eq!(reload.fault(), None);
    }
}
