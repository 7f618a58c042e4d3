//! Which variables does chroma-ha know, in which unit, with which default and bounds, and what do they
//! mean? The one table that the parser, `--help` and the README share. It reads nothing.

use std::fmt;

mod options;

pub use options::OPTIONS;

/// One variable of the environment.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    /// What the value counts: `s`, `bytes`, `%`, …; empty where it counts nothing.
    pub unit: &'static str,
    pub default: Preset,
    pub accepts: Accepts,
    pub meaning: &'static str,
}

/// What holds when the variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The start is refused.
    Required,
    /// The feature is off.
    Unset,
    /// This value, spelt as it would be in the environment.
    Value(&'static str),
    /// Computed from the machine or another variable; the words for people.
    Computed(&'static str),
}

/// Which values are accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accepts {
    /// A whole number within bounds, both included.
    Whole(u64, u64),
    /// A number within bounds, both included; decimals allowed.
    Decimal(f64, f64),
    /// `true` or `false`, `1` or `0`, `yes` or `no`, `on` or `off`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An IP address.
    Address,
    /// An `http` or `https` URL.
    HttpUrl,
    /// Such URLs, separated by commas.
    HttpUrls,
    /// A `postgres` or `postgresql` URL.
    PostgresUrl,
    /// A secret that fits into a header; never shown.
    Secret,
    /// Such secrets, separated by commas, one a replica; an empty one means none.
    Secrets,
    /// Lines of keys; never shown.
    Keys,
    /// An `http` or `https` URL that is itself a secret; never shown.
    SecretUrl,
    /// A file that can be read.
    File,
    /// A filter of the `tracing` crate.
    LogFilter,
    /// A name of letters, digits, `-`, `_` and `.`.
    Name,
}

impl Accepts {
    /// Whether a refused value may not be shown.
    pub fn is_secret(self) -> bool {
        use Accepts::{HttpUrl, HttpUrls, Keys, PostgresUrl, Secret, SecretUrl, Secrets};
        matches!(self, Secret | Keys | Secrets | SecretUrl | PostgresUrl | HttpUrl | HttpUrls)
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Accepts::Whole(least, u64::MAX) => write!(f, "a whole number from {least}"),
            Accepts::Whole(least, most) => write!(f, "a whole number from {least} to {most}"),
            Accepts::Decimal(least, most) => write!(f, "a number from {least} to {most}"),
            Accepts::Flag => f.write_str("true or false"),
            Accepts::Word(words) => f.write_str(&words.join(", ")),
            Accepts::Address => f.write_str("an IP address"),
            Accepts::HttpUrl => f.write_str("an http:// or https:// URL"),
            Accepts::HttpUrls => f.write_str("http:// or https:// URLs separated by commas"),
            Accepts::PostgresUrl => f.write_str("a postgresql:// URL"),
            Accepts::Secret => f.write_str("visible ASCII characters without spaces"),
            Accepts::Secrets => f.write_str("one secret a replica, separated by commas"),
            Accepts::Keys => {
                f.write_str("`NAME SCOPE sha256:HEX [tenant=NAME [database=NAME]]`, separated by `;`")
            }
            Accepts::SecretUrl => f.write_str("the webhook's http:// or https:// URL"),
            Accepts::File => f.write_str("the path of a file that can be read"),
            Accepts::LogFilter => {
                f.write_str("a level (error, warn, info, debug, trace) or a tracing filter")
            }
            Accepts::Name => f.write_str("letters, digits, -, _ and . (at most 64)"),
        }
    }
}

impl Preset {
    fn words(self) -> &'static str {
        match self {
            Preset::Required => "required",
            Preset::Unset => "unset",
            Preset::Value(words) | Preset::Computed(words) => words,
        }
    }
}

/// The parts of the table, one after the other.
const fn joined<const N: usize, const P: usize>(parts: [&[Variable]; P]) -> [Variable; N] {
    let mut all = [parts[0][0]; N];
    let (mut part, mut row, mut at) = (0, 0, 0);
    while at < N {
        if row == parts[part].len() {
            (part, row) = (part + 1, 0);
        } else {
            all[at] = parts[part][row];
            (row, at) = (row + 1, at + 1);
        }
    }
    all
}

/// The row of a variable.
pub fn find(name: &str) -> Option<&'static Variable> {
    OPTIONS.iter().find(|variable| variable.name == name)
}

/// The table of the README.
pub fn markdown_table() -> String {
    let head = "| variable | unit | default | accepted | meaning |\n|---|---|---|---|---|\n";
    let row = |v: &Variable| {
        let default = match v.default {
            Preset::Value(value) => format!("`{value}`"),
            other => other.words().to_owned(),
        };
        format!("| `{}` | {} | {default} | {} | {} |\n", v.name, v.unit, v.accepts, v.meaning)
    };
    OPTIONS.iter().fold(head.to_owned(), |table, variable| table + &row(variable))
}

/// The text under `chroma-ha serve --help`.
pub fn help() -> String {
    let row = |v: &Variable| {
        let unit = if v.unit.is_empty() { String::new() } else { format!(" [{}]", v.unit) };
        format!(
            "  {}{unit}  (default: {})\n      {}. Accepted: {}.\n",
            v.name,
            v.default.words(),
            v.meaning,
            v.accepts
        )
    };
    OPTIONS.iter().fold("Environment:\n".to_owned(), |text, variable| text + &row(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_appears_once_with_all_its_facts() {
        let (help, table) = (help(), markdown_table());
        for variable in OPTIONS {
            assert_eq!(OPTIONS.iter().filter(|other| other.name == variable.name).count(), 1);
            assert!(!variable.meaning.is_empty() && !variable.meaning.ends_with('.'), "{}", variable.name);
            assert!(!variable.meaning.contains('|'), "{} would break the table", variable.name);
            assert!(help.contains(variable.name) && table.contains(&format!("| `{}` |", variable.name)));
        }
        assert_eq!(table.lines().count(), OPTIONS.len() + 2);
    }

    #[test]
    fn no_default_is_a_secret() {
        for variable in OPTIONS.iter().filter(|variable| variable.accepts.is_secret()) {
            assert!(!matches!(variable.default, Preset::Value(_)), "{}", variable.name);
        }
    }
}
