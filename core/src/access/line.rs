//! How is a key written down? `NAME SCOPE sha256:HEX [tenant=NAME [database=NAME]]`, and in one line what is
//! wrong with one that is not. No part that may be a secret is repeated.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::key::{Bounds, Hash, Key, Scope};
use crate::route::path::encode;

/// Of a name.
const LONGEST: usize = 64;

/// What is wrong. It repeats no word: the first one may be the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(&'static str);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One key. `None`: the line is empty or a comment.
pub fn parse(line: &str) -> Result<Option<Key>, Fault> {
    let mut words = line.split_whitespace();
    let name = match words.next() {
        None => return Ok(None),
        Some(word) if word.starts_with('#') => return Ok(None),
        Some(word) => word,
    };
    if !is_name(name) {
        let accepted = "accepted is NAME SCOPE sha256:HEX [tenant=NAME [database=NAME]], the name of at most 64 letters, digits, -, _ and .";
        return Err(Fault(accepted));
    }
    let scope = words.next().and_then(|word| Scope::ALL.into_iter().find(|scope| scope.name() == word));
    let scope = scope.ok_or(Fault("after its name its scope must be read, write or admin"))?;
    let hash = words.next().and_then(hash).ok_or(Fault(
        "its hash must be sha256: and 64 hexadecimal digits, not the key itself; `chroma-ha key` prints such a line",
    ))?;
    let bounds = bounds(words).map_err(Fault)?;
    if scope == Scope::Admin && bounds != Bounds::Everything {
        return Err(Fault("scope admin concerns the whole cluster and cannot be bound to a tenant"));
    }
    Ok(Some(Key { name: name.to_owned(), scope, bounds, hash }))
}

/// Whether a key may be called so.
fn is_name(word: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !word.is_empty() && word.len() <= LONGEST && word.chars().all(allowed)
}

fn hash(word: &str) -> Option<Hash> {
    let digits = word.strip_prefix("sha256:")?.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(Hash(bytes))
}

fn bounds<'a>(words: impl Iterator<Item = &'a str>) -> Result<Bounds, &'static str> {
    let (mut tenant, mut database) = (None, None);
    for word in words {
        let (place, raw) = match word.split_once('=') {
            Some(("tenant", raw)) => (&mut tenant, raw),
            Some(("database", raw)) => (&mut database, raw),
            _ => return Err("after its hash only tenant=NAME and database=NAME are accepted"),
        };
        let name = percent_decode_str(raw).decode_utf8().map_err(|_| "its bounds must be UTF-8")?;
        if name.is_empty() {
            return Err("an empty name binds it to nothing; leave the word out, or name one");
        }
        if place.replace(name.into_owned()).is_some() {
            return Err("it can be bound to one tenant and one database");
        }
    }
    match (tenant, database) {
        (None, None) => Ok(Bounds::Everything),
        (Some(tenant), None) => Ok(Bounds::Tenant(tenant)),
        (Some(tenant), Some(database)) => Ok(Bounds::Database { tenant, database }),
        (None, Some(_)) => Err("a database is bound with its tenant: tenant=NAME database=NAME"),
    }
}

/// The line that `parse` reads.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} sha256:", self.name, self.scope.name())?;
        self.hash.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        match &self.bounds {
            Bounds::Everything => Ok(()),
            Bounds::Tenant(tenant) => write!(f, " tenant={}", encode(tenant)),
            Bounds::Database { tenant, database } => {
                write!(f, " tenant={} database={}", encode(tenant), encode(database))
            }
        }
    }
}
