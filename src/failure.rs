//! In which way did a verb end badly? The command line prints the line and makes an exit code of the kind; here
//! nobody is told.

use chroma_ha_core::port::StoreError;

#[derive(Debug)]
pub(crate) enum Failure {
    /// It was done and found something wrong, or the balancer refused it.
    Problem(String),
    /// Nobody answered: neither the balancer nor, where it would do, the database.
    Unreachable(String),
    /// The command line asks for something that it does not say clearly enough, or the configuration is wrong.
    Usage(String),
    /// Not now: the balancer asked about does not hold the log, nobody can take it now, or it took longer than it may.
    Later(String),
}

impl Failure {
    pub(crate) fn text(&self) -> &str {
        match self {
            Failure::Problem(text)
            | Failure::Unreachable(text)
            | Failure::Usage(text)
            | Failure::Later(text) => text,
        }
    }

    /// The same in other words.
    pub(crate) fn reworded(self, words: impl FnOnce(&str) -> String) -> Failure {
        let text = words(self.text());
        match self {
            Failure::Problem(_) => Failure::Problem(text),
            Failure::Unreachable(_) => Failure::Unreachable(text),
            Failure::Usage(_) => Failure::Usage(text),
            Failure::Later(_) => Failure::Later(text),
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Problem(text)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Unavailable(_) => Failure::Unreachable(error.to_string()),
            other => Failure::Problem(other.to_string()),
        }
    }
}
