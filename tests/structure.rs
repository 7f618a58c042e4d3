//! Does the code keep the order of its rooms, and do the documents say what is there? It reads sources,
//! manifests and documents as text and runs nothing of the balancer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[path = "structure/alerts.rs"]
mod alerts;
#[path = "structure/deployment.rs"]
mod deployment;
#[path = "structure/documents.rs"]
mod documents;
#[path = "structure/licences.rs"]
mod licences;
#[path = "structure/metrics.rs"]
mod metrics;
#[path = "structure/routes.rs"]
mod routes;
#[path = "structure/source.rs"]
mod source;

use source::Source;

/// Longest file, without the tests in it.
const LINES: usize = 250;

/// Files that are longer, and how long they may be. The list only gets shorter.
const LONGER: [(&str, usize); 0] = [];

/// What the pure core must not reach, by whatever way.
const NOT_IN_CORE: [&str; 10] = [
    "actix",
    "actix-rt",
    "actix-web",
    "tokio",
    "reqwest",
    "hyper",
    "tokio-postgres",
    "bb8",
    "tracing",
    "sysinfo",
];

const NOT_IN_ACTORS: [&str; 6] = ["actix-web", "reqwest", "hyper", "tokio-postgres", "bb8", "sysinfo"];

/// Adapters of the outside. Each stands alone.
const ADAPTERS: [&str; 5] = ["postgres", "chroma", "slack", "host", "otel"];

/// Who may see how the program is put together.
const LEADS_TO_BOOT: [&str; 2] = ["src/boot.rs", "src/cli/links.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|reason| panic!("{path}: {reason}"))
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Every Rust file below the folder, as a path from the root.
fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder").flatten() {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let files = ["core/src", "actors/src", "src"].into_iter().flat_map(rust_files);
    files.map(|path| Source::new(&path, &read(&path))).collect()
}

fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn core_actors_and_root_depend_in_one_direction() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).expect("JSON");
    let rooms = |package: &Value| -> BTreeSet<String> {
        let all = package["dependencies"].as_array().expect("dependencies").iter();
        let ours = all.filter_map(|d| d["name"].as_str()).filter(|name| name.starts_with("chroma-ha"));
        ours.map(str::to_owned).collect()
    };
    for package in metadata["packages"].as_array().expect("packages") {
        let allowed: &[&str] = match package["name"].as_str().expect("a name") {
            "chroma-ha-core" => &[],
            "chroma-ha-actors" => &["chroma-ha-core"],
            _ => &["chroma-ha-actors", "chroma-ha-core"],
        };
        let found = rooms(package);
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert!(found.is_subset(&allowed), "{} depends on {found:?}", package["name"]);
    }
}

/// Also through others: what is compiled into the room on this platform.
fn reaches(package: &str) -> BTreeSet<String> {
    let flags = ["--edges", "normal", "--prefix", "none", "--format", "{p}", "--locked", "--offline"];
    let tree = cargo(&[&["tree", "--package", package], &flags[..]].concat());
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn core_is_pure_and_actors_know_no_wire() {
    for (package, banned) in [("chroma-ha-core", &NOT_IN_CORE[..]), ("chroma-ha-actors", &NOT_IN_ACTORS[..])]
    {
        let reached = reaches(package);
        assert!(reached.contains("serde"), "{package}: the tree was not understood: {reached:?}");
        let found: Vec<String> =
            banned.iter().filter(|name| reached.contains(**name)).map(ToString::to_string).collect();
        assert_none(&format!("{package} reaches"), found);
    }
}

#[test]
fn inside_the_root_the_rooms_keep_apart() {
    let mut wrong = Vec::new();
    for source in sources().into_iter().filter(|source| source.path.starts_with("src/")) {
        let forbidden: Vec<&str> = match source.room() {
            "front" => vec!["postgres", "slack", "host", "dev", "cli", "boot"],
            room if ADAPTERS.contains(&room) => {
                let others = ADAPTERS.into_iter().filter(|other| *other != room);
                others.chain(["front", "boot", "cli", "dev"]).collect()
            }
            "config" => ADAPTERS.into_iter().chain(["front", "boot", "cli", "dev"]).collect(),
            "dev" => ADAPTERS.into_iter().chain(["front", "boot", "cli", "config"]).collect(),
            "backup" => vec!["front", "boot", "cli", "dev", "chroma", "slack", "host", "otel"],
            "tls" | "reload" | "terminal" | "progress" | "cause" | "failure" => {
                ADAPTERS.into_iter().chain(["front", "boot", "cli", "dev", "config", "backup"]).collect()
            }
            _ => Vec::new(),
        };
        let named = source.rooms_named();
        let found = forbidden.into_iter().filter(|room| named.contains(*room));
        wrong.extend(found.map(|room| format!("{} names crate::{room}", source.path)));
        let outer = ADAPTERS.contains(&source.room())
            || matches!(
                source.room(),
                "config" | "dev" | "backup" | "tls" | "reload" | "terminal" | "progress"
            );
        if outer && source.code().contains("chroma_ha_actors") {
            wrong.push(format!("{} names chroma_ha_actors", source.path));
        }
        if !matches!(source.room(), "postgres" | "dev") && source.code().contains("tokio_postgres") {
            wrong.push(format!("{} names tokio_postgres", source.path));
        }
    }
    assert_none("arrows that must not be", wrong);
}

#[test]
fn only_boot_sees_both_sides() {
    let mut wrong = Vec::new();
    for source in sources().into_iter().filter(|source| source.path.starts_with("src/")) {
        let named = source.rooms_named();
        let inside = source.code().contains("chroma_ha_actors") || named.contains("front");
        let outside = ["postgres", "slack", "host"].into_iter().any(|room| named.contains(room));
        if inside && outside && source.room() != "boot" {
            wrong.push(format!("{} sees actors and adapters", source.path));
        }
        if named.contains("boot") && !LEADS_TO_BOOT.contains(&source.path.as_str()) {
            wrong.push(format!("{} names crate::boot", source.path));
        }
    }
    assert_none("files that see both sides", wrong);
}

#[test]
fn faults_for_tests_are_in_no_release_build() {
    let fault = "actors/src/guard/fault.rs";
    assert!(
        read(fault).contains("const _: () = assert!(cfg!(debug_assertions)"),
        "a release must not build it"
    );
    let guard = read("actors/src/guard.rs");
    assert!(guard.contains("#[cfg(debug_assertions)]\nmod fault;"), "{guard}");
    let elsewhere =
        sources().into_iter().filter(|s| s.path != fault && s.code().contains("CHROMA_HA_FAULTS"));
    assert_none("faults are armed", elsewhere.map(|source| source.path).collect());
}

#[test]
fn files_are_short() {
    let mut wrong = Vec::new();
    let benches = ["core/benches", "benches"].into_iter().flat_map(rust_files);
    let benches = benches.map(|path| Source::new(&path, &read(&path)));
    for source in sources().into_iter().chain(benches).filter(|source| !source.path.ends_with("/tests.rs")) {
        let lines = source.lines_before_tests();
        let exception = LONGER.iter().find(|(path, _)| *path == source.path);
        let most = exception.map_or(LINES, |(_, most)| *most);
        if lines > most {
            wrong.push(format!("{}: {lines} lines, at most {most}", source.path));
        }
        if exception.is_some() && lines <= LINES {
            wrong.push(format!("{}: {lines} lines; take it off the list of exceptions", source.path));
        }
    }
    let missing = LONGER.iter().filter(|(path, _)| !root().join(path).exists());
    wrong.extend(missing.map(|(path, _)| format!("{path} is gone; take it off the list of exceptions")));
    assert_none("long files", wrong);
}

#[test]
fn every_file_opens_with_its_question() {
    let folders = ["core/src", "core/benches", "actors/src", "src", "tests", "benches"];
    let files = folders.into_iter().flat_map(rust_files);
    let silent = files.filter(|path| {
        let text = read(path);
        !text.trim().is_empty() && !text.starts_with("//!")
    });
    assert_none("files that do not open with //!", silent.collect());
}

#[test]
fn there_is_no_mod_rs() {
    let files = ["core", "actors", "src", "tests", "benches"].into_iter().flat_map(rust_files);
    assert_none("x.rs beside x/ is the form here", files.filter(|path| path.ends_with("/mod.rs")).collect());
}
