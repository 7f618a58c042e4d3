//! One source file as text: which rooms of the root it names, how long it is. It knows no syntax beyond
//! comments, `crate::` paths and the place where a file's tests begin.

use std::collections::BTreeSet;

pub(crate) struct Source {
    /// From the root of the workspace.
    pub(crate) path: String,
    lines: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect() }
    }

    /// `front` for `src/front.rs` and everything in `src/front/`.
    pub(crate) fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or_default();
        inside.split(['/', '.']).next().unwrap_or_default()
    }

    /// Without comments and without what is behind the first `#[cfg(test)] mod`.
    pub(crate) fn code(&self) -> String {
        let lines = self.lines.iter().take(self.lines_before_tests());
        lines.filter(|line| !line.trim_start().starts_with("//")).map(|line| line.clone() + "\n").collect()
    }

    pub(crate) fn lines_before_tests(&self) -> usize {
        let begins = |at: usize| {
            self.lines[at] == "#[cfg(test)]"
                && self.lines.get(at + 1).is_some_and(|next| next.starts_with("mod tests {"))
        };
        (0..self.lines.len()).find(|at| begins(*at)).unwrap_or(self.lines.len())
    }

    /// The first name of every `crate::` path, also in `crate::{…}`, and, in a file directly in `src/`,
    /// of every `super::` path.
    pub(crate) fn rooms_named(&self) -> BTreeSet<String> {
        let code = self.code();
        let mut named = BTreeSet::new();
        let mut add = |text: &str| {
            let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            named.insert(name);
        };
        let mut prefixes = vec!["crate::"];
        if !self.path.trim_start_matches("src/").contains('/') {
            prefixes.push("super::");
        }
        for prefix in prefixes {
            for (at, _) in code.match_indices(prefix) {
                let rest = &code[at + prefix.len()..];
                match rest.strip_prefix('{') {
                    Some(group) => items(group).iter().for_each(|item| add(item)),
                    None => add(rest),
                }
            }
        }
        named
    }
}

/// The items of a `use` group at its first level; `group` begins behind the brace.
fn items(group: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut depth = 0;
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(String::new()),
            c if depth == 0 && !c.is_whitespace() => found.last_mut().expect("one").push(c),
            _ => {}
        }
    }
    found
}

#[test]
fn rooms_are_found_in_every_spelling() {
    let text = "use crate::{front::Shared, postgres::{self, PgLog}};\n// crate::slack\nfn f() { crate::host::x() }\n\
        #[cfg(test)]\nmod tests {\n    use crate::dev::Y;\n}\n";
    let source = Source::new("src/cli/a.rs", text);
    assert_eq!(source.room(), "cli");
    let named: Vec<String> = source.rooms_named().into_iter().collect();
    assert_eq!(named, ["front", "host", "postgres"]);
    assert_eq!(source.lines_before_tests(), 3);
}
