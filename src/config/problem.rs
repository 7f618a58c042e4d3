//! What is wrong with the environment, and how is it said? One line a problem, naming the variable, the
//! value and what is accepted. It finds no problems itself.

use std::fmt;

use super::secret::redact;
use super::table::Variable;

/// Longest piece of a refused value that is shown, in characters.
const SHOWN: usize = 120;

/// One value that stops the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub variable: &'static str,
    message: String,
}

impl Problem {
    pub(super) fn missing(variable: &'static Variable) -> Problem {
        let message = format!("is not set; it must be {} ({})", variable.accepts, variable.meaning);
        Problem { variable: variable.name, message }
    }

    /// The value is outside what the table says.
    pub(super) fn refused(variable: &'static Variable, value: &str) -> Problem {
        let unit = if variable.unit.is_empty() { String::new() } else { format!(" {}", variable.unit) };
        Problem::because(variable, value, &format!("accepted is {}{unit}", variable.accepts))
    }

    /// The value is refused for a reason that the table does not hold.
    pub(super) fn because(variable: &'static Variable, value: &str, reason: &str) -> Problem {
        let message = format!("={} is refused: {reason}", shown(variable, value));
        Problem { variable: variable.name, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.message.starts_with('=') { "" } else { " " };
        write!(f, "{}{space}{}", self.variable, self.message)
    }
}

/// The value in quotes on one line, or stars where it may be secret and cannot be told apart.
fn shown(variable: &Variable, value: &str) -> String {
    use super::table::Accepts::{HttpUrl, HttpUrls, PostgresUrl};
    let visible = match variable.accepts {
        HttpUrl | PostgresUrl if value.contains("://") => redact(value),
        HttpUrl | HttpUrls if !value.contains('@') => {
            value.split(',').map(redact).collect::<Vec<_>>().join(",")
        }
        accepts if accepts.is_secret() => return "***".to_owned(),
        _ => value.to_owned(),
    };
    let cut: String = visible.chars().take(SHOWN).collect();
    let more = if cut.len() < visible.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Something that deserves a line in the log but stops nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
