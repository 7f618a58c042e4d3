//! Do the documents say what the code says? The table of variables, the test command, the links.

use std::fs;
use std::process::Command;

use chroma_ha::config::table;

use super::{assert_none, read, root};

/// What a reader finds, from the root of the workspace.
fn documents() -> Vec<String> {
    let single = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "migrations/README.md",
        "examples/README.md",
    ];
    let mut found = single.map(str::to_owned).to_vec();
    for folder in ["docs", "docs/adr"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                found.push(format!("{folder}/{name}"));
            }
        }
    }
    found
}

#[test]
fn the_readme_has_the_table_of_variables() {
    let table = table::markdown_table();
    if !read("README.md").contains(&table) {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("variables.md");
        fs::write(&path, table).expect("the table");
        panic!("the table of variables in README.md is old; the new one is in {}", path.display());
    }
}

#[test]
fn the_pipeline_runs_the_test_command_of_the_readme() {
    let pipeline = read(".ci/run");
    let last = pipeline.lines().last().expect("a command");
    assert!(last.starts_with("cargo test"), "{last}");
    let readme = read("README.md");
    let found: Vec<&str> = readme.lines().filter(|line| line.starts_with("cargo test")).collect();
    assert_eq!(found.first(), Some(&last));
}

/// As the program tells them itself.
fn verbs() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_chroma-ha")).arg("--help").output().expect("the program");
    let help = String::from_utf8(output.stdout).expect("text");
    let listed = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let indented = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    indented.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn verbs_that_people_are_told_to_use_exist() {
    let verbs = verbs();
    assert!(verbs.len() > 15 && verbs.contains(&"wal".to_owned()), "{verbs:?}");
    let mut wrong = Vec::new();
    let mut files = documents();
    files.extend(["core/src/alert/messages.txt", "deploy/prometheus-alerts.yaml"].map(str::to_owned));
    for path in files.into_iter().filter(|path| !path.starts_with("docs/adr")) {
        let text = read(&path);
        let quoted = if path.ends_with("yaml") { "chroma-ha " } else { "`chroma-ha " };
        // What `dev` says once all is there is no verb.
        for rest in text.split(quoted).skip(1).filter(|rest| !rest.starts_with("is up")) {
            let word: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || matches!(c, '-' | '…')).collect();
            // A flag, or the name of the whole.
            if !word.is_empty() && word != "…" && !word.starts_with('-') && !verbs.contains(&word) {
                wrong.push(format!("{path}: chroma-ha {word}"));
            }
        }
    }
    assert_none("verbs that are not there", wrong);
}

#[test]
fn links_between_files_lead_somewhere() {
    let mut dead = Vec::new();
    for document in documents() {
        let folder = root().join(&document).parent().expect("a folder").to_owned();
        for target in links(&read(&document)) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") && !folder.join(path).exists() {
                dead.push(format!("{document} → {target}"));
            }
        }
    }
    assert_none("dead links", dead);
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    let parts = text.split("](").skip(1);
    parts.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}
