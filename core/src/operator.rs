//! What operators do and what waits for them, as the log keeps it: the audit's rows and dead letters.
//! Words only: who may act is the front's to say, what an act changes the sequencer's.

use serde::Serialize;

/// One act of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// Who: how the caller was let in, and from where.
    pub actor: String,
    /// What: `rebuild`, `dead-letter.retry`, …
    pub action: String,
    /// On what.
    pub target: String,
    /// What came of it.
    pub outcome: String,
    /// What else a reader should know; may be empty.
    pub detail: String,
}

/// A deed as the audit shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRow {
    pub id: i64,
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(flatten)]
    pub deed: Deed,
}

/// Which part of the audit to read: the newest rows first.
#[derive(Clone, Copy, Debug)]
pub struct AuditPage {
    /// Only rows with a smaller id; `None`: from the newest on.
    pub before: Option<i64>,
    /// At most so many rows.
    pub limit: u32,
}
