//! Is everything that the program is made of under a licence that deny.toml allows? The rest of that policy is for
//! `cargo deny`; its bans and its sources are held here, too. Whether a version was yanked only the registry knows.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{assert_none, cargo, read};

const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The strings of `allow`.
fn allowed() -> Vec<String> {
    let policy = read("deny.toml");
    let list = policy.split("\nallow = [").nth(1).and_then(|rest| rest.split(']').next()).expect("a list");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Of every part joined by AND one of those joined by OR must be allowed.
fn fits(expression: &str, allowed: &[String]) -> bool {
    let one = |part: &str| {
        let part = part.replace(['(', ')'], "").replace(" OR ", "/");
        part.split('/').any(|licence| allowed.iter().any(|known| known == licence.trim()))
    };
    expression.split(" AND ").all(one)
}

#[test]
fn every_dependency_is_under_an_allowed_licence() {
    let flags = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", PLATFORM];
    let metadata: Value = serde_json::from_str(&cargo(&flags)).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "{}", packages.len());
    let allowed = allowed();
    let refused = packages.iter().filter(|p| !p["license"].as_str().is_some_and(|l| fits(l, &allowed)));
    let told = refused.map(|p| format!("{} {}: {}", p["name"], p["version"], p["license"]));
    assert_none("licences that deny.toml does not allow", told.collect());
}

/// Those that `[bans]` names, without and with `deny-multiple-versions`.
fn banned() -> (Vec<String>, Vec<String>) {
    let policy = read("deny.toml");
    let list = policy.split("\ndeny = [").nth(1).and_then(|rest| rest.split("\n]").next()).expect("a list");
    let lines = list.lines().filter_map(|line| {
        let name = line.split("crate = \"").nth(1)?.split('"').next()?.to_owned();
        Some((line.contains("deny-multiple-versions = true"), name))
    });
    let (once, never): (Vec<_>, Vec<_>) = lines.partition(|(once, _)| *once);
    let names = |all: Vec<(bool, String)>| all.into_iter().map(|(_, name)| name).collect();
    (names(never), names(once))
}

/// Cargo.lock has what every platform would take, so this is stricter than `cargo deny` is for the two that count.
#[test]
fn no_crate_is_there_that_the_policy_bans_and_all_are_from_the_registry_it_allows() {
    let lock = read("Cargo.lock");
    let count = |name: &str| lock.lines().filter(|line| *line == format!("name = \"{name}\"")).count();
    let (never, once) = banned();
    assert!(never.len() > 2 && once.len() > 2, "{never:?} {once:?}");
    let used: Vec<String> = never.into_iter().filter(|name| count(name) > 0).collect();
    assert_none("crates that deny.toml bans", used);
    let several: Vec<String> = once.into_iter().filter(|name| count(name) != 1).collect();
    assert_none("crates of which deny.toml allows one version", several);
    let sources: BTreeSet<&str> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    let one_registry = sources.len() == 1 && sources.iter().all(|source| source.contains("rust-lang/"));
    assert!(one_registry, "deny.toml allows the public registry of Rust only: {sources:?}");
}

#[test]
fn expressions_are_understood() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for good in ["MIT", "GPL-3.0 OR MIT", "Unlicense/MIT", "(MIT OR Apache-2.0) AND ISC"] {
        assert!(fits(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND Unicode-3.0", ""] {
        assert!(!fits(bad, &allowed), "{bad}");
    }
}
