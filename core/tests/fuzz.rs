//! What do the readers of foreign input do with whatever may come: the table of routes, the translation of the old
//! API, and what splices ids and rows? First what is kept in `corpus`, then as many cases from chance as
//! `CHROMA_HA_FUZZ_CASES` says (2,000). A case that fails is printed: mend it, and keep it in the corpus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::path::Path;

use proptest::prelude::ProptestConfig;

mod fuzz {
    mod input;
    mod route;
    mod splice;
    mod v1;
}

/// How much is left to chance.
fn chance() -> ProptestConfig {
    let cases =
        std::env::var("CHROMA_HA_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The cases that are kept in a file: blocks of lines with a line `---` between them. `\xNN` stands for a byte.
fn kept(file: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|reason| panic!("{}: {reason}", path.display()));
    let cases: Vec<Vec<u8>> =
        text.split("\n---\n").map(|block| bytes(block.trim_end_matches('\n'))).collect();
    assert!(cases.len() > 5, "{file} holds next to nothing");
    cases
}

fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut all = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).expect("two digits after \\x");
        all.push(u8::from_str_radix(digits, 16).expect("two digits after \\x"));
        all.extend_from_slice(rest.as_bytes());
    }
    all
}

/// The first line and the rest.
fn headed(case: &[u8]) -> (String, Vec<u8>) {
    let end = case.iter().position(|byte| *byte == b'\n').unwrap_or(case.len());
    let rest = case.get(end + 1..).unwrap_or_default().to_vec();
    (String::from_utf8_lossy(&case[..end]).into_owned(), rest)
}
