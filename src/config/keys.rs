//! Which API keys was the balancer given, and which does a file add? Every fault is one line that says where.
//! Who shows a key, and what it may, is judged elsewhere.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use chroma_ha_core::access::{self, Bounds, Hash, Key, Keys, Scope};

use super::Secret;
use super::reader::Reader;

/// Of a file of keys, in bytes: a thousand lines are far shorter.
const LONGEST: u64 = 1 << 20;

/// The keys as they were given: those of the environment, and where more are.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    given: Vec<Key>,
    file: Option<PathBuf>,
}

/// `None`: none are set, so none is asked for.
pub(super) fn read(env: &mut Reader, admin_token: Option<&Secret>) -> Option<ApiKeys> {
    let (text, file) = (env.secret_text("API_KEYS"), env.file("API_KEYS_FILE"));
    if text.is_none() && !env.is_set("API_KEYS_FILE") {
        return None;
    }
    let entries =
        text.iter().flat_map(|text| text.split([';', '\n'])).filter(|entry| !entry.trim().is_empty());
    let given = match parsed("entry", entries) {
        Ok(given) if given.is_empty() && text.is_some() => {
            env.refuse("API_KEYS", "it holds no key; `chroma-ha key` prints what belongs there");
            return None;
        }
        Ok(given) => given,
        Err(fault) => {
            env.refuse("API_KEYS", &fault);
            return None;
        }
    };
    let token = admin_token.map(|token| Key {
        name: "ADMIN_TOKEN".to_owned(),
        scope: Scope::Admin,
        bounds: Bounds::Everything,
        hash: Hash::of(token.expose().as_bytes()),
    });
    let keys = ApiKeys { given: given.into_iter().chain(token).collect(), file };
    match keys.text().and_then(|text| keys.with(text.as_deref())) {
        Ok(_) => Some(keys),
        Err(fault) => {
            env.refuse(if keys.file.is_some() { "API_KEYS_FILE" } else { "API_KEYS" }, &fault);
            None
        }
    }
}

fn parsed<'a>(unit: &str, lines: impl Iterator<Item = &'a str>) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for (line, number) in lines.zip(1..) {
        keys.extend(access::parse(line).map_err(|fault| format!("{unit} {number}: {fault}"))?);
    }
    Ok(keys)
}

impl ApiKeys {
    /// What is kept of keys in a file; `None`: there is none.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What the file says now. It blocks.
    pub fn text(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.file else { return Ok(None) };
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
        match read {
            Err(error) => Err(format!("it cannot be read: {error}")),
            Ok(_) if text.len() as u64 > LONGEST => Err(format!("it is longer than {LONGEST} bytes")),
            Ok(_) => Ok(Some(text)),
        }
    }

    /// All keys, with those of this text of the file.
    pub fn with(&self, text: Option<&str>) -> Result<Keys, String> {
        let more = parsed("line", text.unwrap_or_default().lines())?;
        if text.is_some() && more.is_empty() {
            return Err("it holds no key; `chroma-ha key` prints a line for it".to_owned());
        }
        Keys::try_new(self.given.iter().cloned().chain(more)).map_err(|clash| clash.to_string())
    }
}
