//! API keys for a test: what a client shows, and the line that the balancer gets in its place.

use chroma_ha_core::access::{Hash, Key, parse};

/// The key itself.
pub(crate) fn secret(name: &str) -> String {
    format!("cha_of-{name}-planted")
}

/// Its line: `words` are its scope and bounds.
pub(crate) fn line(name: &str, words: &str) -> String {
    let (scope, bounds) = words.split_once(' ').unwrap_or((words, ""));
    let unset = format!("{name} {scope} sha256:{} {bounds}", "0".repeat(64));
    let key = parse(&unset).ok().flatten().unwrap_or_else(|| panic!("{unset}"));
    Key { hash: Hash::of(secret(name).as_bytes()), ..key }.to_string()
}

/// All that belongs into `API_KEYS`.
pub(crate) fn lines(keys: &[(&str, &str)]) -> String {
    keys.iter().map(|(name, words)| line(name, words)).collect::<Vec<_>>().join("; ")
}

/// As most clients show it.
pub(crate) fn bearer(name: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {}", secret(name)))
}
