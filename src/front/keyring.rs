//! Which API keys hold at this moment? Those that were given, and those of a file that is looked at again and
//! again. A file that cannot be used leaves the last good keys in place, and says so. It judges no request.

use std::sync::Arc;

use chroma_ha_core::access::{Hash, Key, Keys};

use crate::config::ApiKeys;
use crate::reload::{Reloaded, Source};

pub struct KeyRing(Reloaded<ApiKeys>);

impl KeyRing {
    pub fn try_new(given: ApiKeys) -> Result<KeyRing, String> {
        Reloaded::try_new(given).map(KeyRing)
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<Arc<Key>> {
        self.0.now().find(&Hash::of(key)).cloned()
    }

    /// Whether the key still holds, as it was.
    pub(super) fn holds(&self, key: &Key) -> bool {
        self.0.now().find(&key.hash).is_some_and(|now| **now == *key)
    }

    pub(super) fn len(&self) -> usize {
        self.0.now().len()
    }

    /// Why the file is not used as it is.
    pub(super) fn fault(&self) -> Option<String> {
        self.0.fault()
    }

    /// For as long as the balancer runs. Who tells people hears of what cannot be used, and of its end.
    pub async fn watch(self: Arc<Self>, tell: impl Fn(Option<String>)) {
        if self.0.source().file().is_some() {
            self.0.watch(tell).await;
        }
    }
}

impl Source for ApiKeys {
    type Text = Option<String>;
    type Value = Keys;

    fn read(&self) -> Result<Option<String>, String> {
        self.text()
    }

    fn judge(&self, text: &Option<String>) -> Result<Keys, String> {
        self.with(text.as_deref())
    }

    fn tell_new(&self, keys: &Keys) {
        let file = self.file().map(|path| path.display().to_string());
        tracing::info!(file, keys = keys.len(), "the API keys are those of the file now");
    }

    fn tell_fault(&self, fault: &str) {
        let file = self.file().map(|path| path.display().to_string());
        tracing::error!(
            file,
            fault,
            "API_KEYS_FILE cannot be used, so the last good keys stay in place; mend the file"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const HEX: &str = "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090";

    fn ring(file: &std::path::Path) -> KeyRing {
        let vars = [
            ("PRIMARY_URL", "http://p:8000"),
            ("DATABASE_URL", "postgresql://db/log"),
            ("API_KEYS_FILE", file.to_str().unwrap()),
        ];
        let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        KeyRing::try_new(Config::from_env(vars).unwrap().0.keys.unwrap()).unwrap()
    }

    /// Two looks, as the watch takes them.
    fn look_twice(ring: &KeyRing) {
        ring.0.look();
        ring.0.look();
    }

    #[test]
    fn a_broken_file_leaves_the_last_good_keys_in_place_and_a_good_one_replaces_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        std::fs::write(&file, format!("# ours\nbot write sha256:{HEX}\n")).unwrap();
        let ring = ring(&file);
        let bot = ring.find(b"abc123").unwrap();
        assert_eq!(bot.name, "bot");
        for broken in ["bot write\n", "", "# none\n", "bot write sha256:00\n"] {
            std::fs::write(&file, broken).unwrap();
            look_twice(&ring);
            assert!(ring.holds(&bot) && ring.fault().is_some(), "{broken}");
        }
        std::fs::remove_file(&file).unwrap();
        look_twice(&ring);
        assert!(ring.holds(&bot) && ring.fault().is_some_and(|fault| fault.contains("cannot be read")));
        std::fs::write(&file, format!("bot read sha256:{HEX}\n")).unwrap();
        ring.0.look();
        assert!(ring.holds(&bot), "it may not be written to its end yet");
        ring.0.look();
        assert!(!ring.holds(&bot) && ring.fault().is_none(), "it may less now");
        std::fs::write(&file, format!("other read sha256:{}\n", HEX.replace('6', "7"))).unwrap();
        look_twice(&ring);
        assert!(ring.find(b"abc123").is_none() && ring.len() == 1);
    }
}
