//! In which words is a person told that a file which may change while the balancer runs cannot be used as it is
//! now?

use super::kind::{Kind, Words};
use super::{Alert, Severity};

/// What is kept in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    ApiKeys,
    Certificate,
}

impl Kept {
    /// The variable that names the file.
    fn variable(self) -> &'static str {
        match self {
            Kept::ApiKeys => "API_KEYS_FILE",
            Kept::Certificate => "TLS_CERT_FILE",
        }
    }
}

pub fn unusable(kept: Kept, fault: &str, at_ms: u64) -> Alert {
    let (title, effect, action) = match kept {
        Kept::ApiKeys => (
            "The file of API keys cannot be used",
            "The last good keys hold: new ones open nothing, and those taken away still do.",
            "Mend the file; it is looked at again by itself.",
        ),
        Kept::Certificate => (
            "The new certificate cannot be used",
            "The last good one is shown, until it expires: then clients turn away.",
            "Mend TLS_CERT_FILE and TLS_KEY_FILE; they are looked at again by themselves.",
        ),
    };
    let words = Words::new(title, format!("{fault}."), effect, action);
    Kind::File.opened(kept.variable(), Severity::Warning, at_ms, words)
}

pub fn usable(kept: Kept, at_ms: u64) -> Alert {
    let (title, what) = match kept {
        Kept::ApiKeys => ("The file of API keys can be used again", "Its keys hold now."),
        Kept::Certificate => ("The new certificate is shown", "It fits its key."),
    };
    Kind::File.resolved(kept.variable(), at_ms, Words::over(title, what))
}
