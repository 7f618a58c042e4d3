//! Do the documents say what the code says? The table of variables, the test command, the links.

use std::fs;

use chroma_ha::config::table;

use super::{assert_none, read, root};

/// What a reader finds, from the root of the workspace.
fn documents() -> Vec<String> {
    let mut found =
        vec!["README.md".to_owned(), "CHANGELOG.md".to_owned(), "migrations/README.md".to_owned()];
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
