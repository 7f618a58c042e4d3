//! Does the manual know every kind of message, and does every message come from there?

use std::collections::BTreeSet;
use std::fs;

use chroma_ha_core::alert::kind::{Kind, markdown_table};

use super::{assert_none, read, sources};

#[test]
fn the_manual_has_every_kind_of_message_and_no_other() {
    let (table, manual) = (markdown_table(), read("docs/operations.md"));
    if !manual.contains(&table) {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("alerts.md");
        fs::write(&path, table).expect("the table");
        panic!("the table of alerts in docs/operations.md is old; the new one is in {}", path.display());
    }
    let headings: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let missing = Kind::all().filter(|kind| !headings.contains(&kind.heading()));
    assert_none("kinds without their heading", missing.map(|kind| kind.heading().to_owned()).collect());
    let mut seen = BTreeSet::new();
    let twice = headings.iter().filter(|heading| !seen.insert(**heading));
    assert_none("headings that are there twice", twice.map(ToString::to_string).collect());
}

/// The text of the first string behind `key:` of each alert that is put together by hand.
fn keys_by_hand(code: &str) -> Vec<String> {
    let alerts = code.split("Alert {").skip(1);
    let key = |rest: &str| {
        let rest = rest.split_once("key:")?.1;
        let line = rest.lines().next()?;
        line.split('"').nth(1).map(str::to_owned)
    };
    alerts.filter_map(key).collect()
}

#[test]
fn every_message_is_of_a_kind() {
    let mut wrong = Vec::new();
    for source in sources().into_iter().filter(|source| !source.path.contains("/tests")) {
        let keys = keys_by_hand(&source.code()).into_iter();
        let unknown = keys.filter(|key| Kind::of_key(key).is_none());
        wrong.extend(unknown.map(|key| format!("{}: {key}", source.path)));
        // Headings that a message names must be there.
        let code = source.code().replace("\\\"", "\"");
        for named in code.split("See \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            if !read("docs/operations.md").contains(&format!("\n## {named}\n")) {
                wrong.push(format!("{} names the heading {named}", source.path));
            }
        }
    }
    assert_none("alerts of no kind, or headings that are not there", wrong);
    assert_eq!(keys_by_hand("Alert {\n  key: \"pressure\".to_owned(),\n"), ["pressure"]);
}
