//! Where the lines go that tell a person what is being set up. It decides nothing about wording
//! and never carries secrets.

use std::fmt;
use std::sync::Arc;

/// A place for one line of text at a time; clones share it.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&str) + Send + Sync>);

impl Progress {
    pub fn new(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Lines on standard error, so that standard output keeps what a script may want to read.
    pub fn stderr() -> Self {
        Self::new(|line| crate::terminal::remark(line))
    }

    pub fn silent() -> Self {
        Self::new(|_| ())
    }

    pub fn say(&self, line: impl AsRef<str>) {
        (self.0)(line.as_ref());
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}
