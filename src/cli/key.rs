//! Makes an API key: by chance, shown once, with the line that the balancer is given in its place. It keeps
//! nothing and reaches nobody.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chroma_ha_core::access::{Bounds, Hash, Key, Scope, parse};
use clap::{Args, ValueEnum};
use rustls::crypto::ring::default_provider;

/// Tells people and scanners of leaked secrets what it is.
const PREFIX: &str = "cha_";

const RANDOM_BYTES: usize = 32;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// For lines and audits: letters, digits, dots, - and _
    name: String,
    /// What it may do; each includes those before it.
    #[arg(long, value_enum)]
    scope: Level,
    /// Bind it to this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Bind it to this database of the tenant.
    #[arg(long, requires = "tenant")]
    database: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Read,
    Write,
    Admin,
}

pub(super) fn run(options: Options) -> Result<String, String> {
    let mut random = [0; RANDOM_BYTES];
    let filled = default_provider().secure_random.fill(&mut random);
    filled.map_err(|_| "this machine gave no random bytes, so no key was made; try again".to_owned())?;
    made(options, &random)
}

fn made(options: Options, random: &[u8; RANDOM_BYTES]) -> Result<String, String> {
    let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let bounds = match (options.tenant, options.database) {
        (None, _) => Bounds::Everything,
        (Some(tenant), None) => Bounds::Tenant(tenant),
        (Some(tenant), Some(database)) => Bounds::Database { tenant, database },
    };
    let scope = match options.scope {
        Level::Read => Scope::Read,
        Level::Write => Scope::Write,
        Level::Admin => Scope::Admin,
    };
    let key = Key { name: options.name, scope, bounds, hash: Hash::of(secret.as_bytes()) };
    if parse(&key.to_string()) != Ok(Some(key.clone())) {
        return Err(format!(
            "`{}` is no name for a key, or its scope cannot be bound: at most 64 letters, digits, dots, - and _; admin is never bound",
            key.name
        ));
    }
    Ok(format!(
        "The key, shown only now; its client sends it as `Authorization: Bearer …` or `X-Chroma-Token`:\n{secret}\n\
         Its line for API_KEYS, or for the file of API_KEYS_FILE:\n{key}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str, scope: Level, tenant: Option<&str>) -> Options {
        Options { name: name.to_owned(), scope, tenant: tenant.map(str::to_owned), database: None }
    }

    #[test]
    fn the_line_is_that_of_the_key_and_does_not_hold_it() {
        let text = made(options("bot", Level::Write, Some("a b")), &[7; 32]).unwrap();
        let [_, secret, _, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(secret.starts_with("cha_") && secret.len() == 47, "{secret}");
        let key = parse(line).unwrap().unwrap();
        assert_eq!(key.hash, Hash::of(secret.as_bytes()));
        assert_eq!((key.name.as_str(), key.bounds), ("bot", Bounds::Tenant("a b".to_owned())));
        assert!(!line.contains(secret));
        let other = run(options("bot", Level::Read, None)).unwrap();
        assert_ne!(other.lines().nth(1), Some(secret));
    }

    #[test]
    fn what_could_not_be_read_again_is_not_made() {
        assert!(made(options("a bot", Level::Read, None), &[7; 32]).is_err());
        assert!(made(options("bot", Level::Read, Some("")), &[7; 32]).is_err());
        let bound = made(options("ops", Level::Admin, Some("t")), &[7; 32]).unwrap_err();
        assert!(bound.contains("cannot be bound"), "{bound}");
    }
}
