//! How is one task carried out on one node? A state machine: it is handed what was awaited and says what
//! comes next, until the task has ended. It performs nothing: the replay actor and the simulation drive
//! the same steps. The parts: `record` and `catalog` and `create` (what is asked for which entry),
//! `run` (several record writes in one request), `case` (what an answer means), `conclusion`, `failure` and `refusal` (what becomes of it).

use std::sync::Arc;
use std::time::Duration;

use crate::answer::Answer;
use crate::backoff::Backoff;
use crate::coalesce::{Joined, RunEnd};
use crate::conversion::{Conversion, Tally};
use crate::effect::Effect;
use crate::entry::Entry;
use crate::health::{Failure, Observation};
use crate::ids::NodeId;
use crate::port::{Change, NodeFault, NodeRequest, NodeResponse, StoreError};
use crate::sequencer::{Outcome, Shared, Task, Ticket};

mod case;
mod catalog;
mod conclusion;
mod create;
mod deletion;
mod failure;
mod found;
mod record;
mod refusal;
mod run;

use case::Case;
use conclusion::Verdict;
use failure::unkeepable;

pub use found::{CatalogFound, Found};

/// How patient deliveries to a node are.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long the node may take for one request.
    pub timeout: Duration,
    /// Refusals of an accepted entry, or server errors from every candidate, until we give up.
    pub attempts: u32,
    pub backoff: Backoff,
    /// The metadata that names a record's document; `None`: deletions are not converted.
    pub deletion_key: Option<Arc<str>>,
}

/// What is to be done next; its result goes back in as an `Input`.
#[derive(Debug)]
pub enum Next {
    /// Ask the node.
    Ask(NodeRequest),
    /// Commit these changes to the log.
    Record(Vec<Change>),
    /// Wait so long.
    Wait(Duration),
    /// Nothing: the task has ended.
    Done(Box<End>),
}

/// What came of the last `Next`.
#[derive(Debug)]
pub enum Input {
    Begin,
    Answer(Result<NodeResponse, NodeFault>),
    Recorded(Result<(), StoreError>),
    Waited,
}

/// How a task ended. The sequencer knows already.
#[derive(Debug)]
pub struct End {
    pub outcome: Outcome,
    /// False: it came too late and changed nothing.
    pub counts: bool,
    /// What clients hear, entry by entry; none if there is nothing to hear.
    pub answers: Vec<Answer>,
    /// Why no more entries were in the request.
    pub run_end: RunEnd,
    /// Why the node gave no judgement.
    pub failure: Option<Failure>,
    /// Why the entry must be tried again, as operators may read it.
    pub trouble: Option<String>,
    /// When the lane may be looked at again.
    pub retry_in: Option<Duration>,
    /// What a deletion was turned into.
    pub tally: Tally,
}

/// One delivery of one task.
#[derive(Debug)]
pub struct Attempt {
    node: NodeId,
    task: Task,
    terms: Terms,
    stage: Stage,
    observation: Option<Observation>,
    tally: Tally,
}

#[derive(Debug)]
enum Stage {
    Fresh,
    /// The node has been asked.
    Asking(Awaited),
    /// The effect of the entry is being made durable.
    Fixing,
    /// Those of several entries are; this goes then.
    FixingAll(Joined),
    /// The node's own ids that go are being made durable.
    Converting(Vec<String>),
    /// The node has answered, and the outcome is being made durable.
    Committing {
        verdict: Box<Verdict>,
        failures: u32,
    },
    Over,
}

/// Which answer of the node is awaited.
#[derive(Debug)]
enum Awaited {
    Record(record::Awaited),
    Run(run::Awaited),
    Deletion(deletion::Awaited),
    Catalog(catalog::Awaited),
    Create(create::Awaited),
}

/// Where one answer leads.
enum Turn {
    Ask(Awaited, NodeRequest),
    /// The effect is known and must be durable before the entry is sent.
    Fix(Effect),
    /// The same of several entries, of which this is made.
    FixAll(Joined),
    /// What goes on this node is known and must be durable before it is sent.
    Convert(Conversion),
    Found(Found),
}

impl Attempt {
    pub fn new(node: NodeId, task: Task, terms: Terms) -> Attempt {
        Attempt { node, task, terms, stage: Stage::Fresh, observation: None, tally: Tally::default() }
    }

    pub fn task(&self) -> &Task {
        &self.task
    }

    fn ticket(&self) -> Ticket {
        Ticket { node: self.node, stream: self.task.stream, generation: self.task.generation }
    }

    /// The outcome counts and must be carried through, whatever happens to the node's standing. Before,
    /// the attempt may be dropped at any await.
    pub fn is_committing(&self) -> bool {
        matches!(self.stage, Stage::Committing { .. })
    }

    /// What the last answer says about the node's health.
    pub fn take_observation(&mut self) -> Option<Observation> {
        self.observation.take()
    }

    pub fn next(&mut self, sequencer: &Shared, now_ms: u64, input: Input) -> Next {
        match (std::mem::replace(&mut self.stage, Stage::Over), input) {
            (Stage::Committing { verdict, failures }, input) => {
                self.committing(sequencer, verdict, failures, &input)
            }
            (stage, input) => match self.turn(sequencer, stage, input) {
                Turn::Ask(awaited, request) => {
                    self.stage = Stage::Asking(awaited);
                    Next::Ask(request)
                }
                Turn::Fix(effect) => {
                    self.stage = Stage::Fixing;
                    let change =
                        |entry: &Arc<Entry>| Change::Effect { seq: entry.seq, effect: effect.clone() };
                    Next::Record(self.task.entries.first().map(change).into_iter().collect())
                }
                Turn::FixAll(joined) => {
                    self.stage = Stage::FixingAll(joined);
                    Next::Record(self.open_effects())
                }
                Turn::Convert(Conversion { ids, tally }) => {
                    self.tally = tally;
                    self.stage = Stage::Converting(ids.clone());
                    let node = || self.node.name();
                    let change = |entry: &Arc<Entry>| Change::Converted { node: node(), seq: entry.seq, ids };
                    Next::Record(self.task.entries.first().map(change).into_iter().collect())
                }
                Turn::Found(found) => self.conclude(sequencer, now_ms, found),
            },
        }
    }

    fn turn(&mut self, sequencer: &Shared, stage: Stage, input: Input) -> Turn {
        if self.is_run()
            && let Some(turn) = self.run_turn(sequencer, &stage, &input)
        {
            return turn;
        }
        let Some(entry) = self.task.entries.first() else { return Turn::Found(Found::LogAway) };
        let case = Case { node: self.node, task: &self.task, terms: &self.terms, entry, sequencer };
        match (stage, input) {
            (Stage::Fresh, Input::Begin) if entry.draft.op.is_record() => case.begin_record(),
            (Stage::Fresh, Input::Begin) => case.begin_catalog(),
            (Stage::Asking(awaited), Input::Answer(response)) => match awaited {
                Awaited::Record(awaited) => case.record_answered(awaited, response),
                Awaited::Deletion(awaited) => case.deletion_answered(awaited, response),
                // Its first entry goes alone after all.
                Awaited::Run(_) => case.fix(),
                Awaited::Catalog(awaited) => case.catalog_answered(awaited, response),
                Awaited::Create(awaited) => case.create_answered(awaited, response),
            },
            (Stage::Fixing, Input::Recorded(Ok(()))) => case.effect_recorded(),
            // The log keeps no such effect, and nothing was sent.
            (Stage::Fixing, Input::Recorded(Err(StoreError::Refused(reason)))) => {
                Turn::Found(Found::Refused(unkeepable(&reason)))
            }
            (Stage::Converting(ids), Input::Recorded(Ok(()))) => case.conversion_recorded(ids),
            (Stage::Fixing | Stage::Converting(_), Input::Recorded(Err(_))) => Turn::Found(Found::LogAway),
            (stage, input) => {
                debug_assert!(false, "{input:?} was not awaited in {stage:?}");
                Turn::Found(Found::LogAway)
            }
        }
    }
}

#[cfg(test)]
mod tests;
