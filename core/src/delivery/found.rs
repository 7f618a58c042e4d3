//! What did the node make of a task? What becomes of the task then is `conclusion`'s matter.

use uuid::Uuid;

use crate::answer::Answer;
use crate::catalog::Move;
use crate::effect::Effect;
use crate::health::Failure;
use crate::ids::CollectionId;

/// What the node made of the task.
#[derive(Debug)]
pub enum Found {
    /// Applied, or nothing had to be.
    Done { answer: Answer, catalog: Option<Box<CatalogFound>> },
    /// The collection is gone from the node, and what was logged before with it.
    Gone,
    /// A judgement about one of several entries: they are tried in smaller requests.
    Split,
    /// A judgement about the request.
    Refused(Answer),
    /// No judgement.
    Failed(Failure, Option<Answer>),
    /// A failure; whether the entry was applied all the same could not be read.
    Unread(Answer),
    /// The log cannot be reached.
    LogAway,
}

/// What a catalog entry turned out to be.
#[derive(Debug)]
pub struct CatalogFound {
    pub effect: Effect,
    /// Changes of the catalog; only from the acting node.
    pub moves: Vec<Move>,
    /// The node's own id of a collection, or that it has none any more.
    pub mapped: Option<(CollectionId, Option<Uuid>)>,
}
