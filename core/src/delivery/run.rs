//! Several record writes of one collection in one request. It goes through as a whole, or it says nothing
//! about any of them: what was refused is tried again in smaller requests, and whatever else goes wrong,
//! each entry is tried alone. So whose fault it is, is only ever asked of one entry.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::case::{Case, lost};
use super::record::{applied_answer, get_path};
use super::{Attempt, Found, Input, Stage, Turn};
use crate::answer::Answer;
use crate::coalesce::{self, Bounds, Joined, RunEnd};
use crate::effect::{self, Effect, Judge, Question, Send};
use crate::entry::Entry;
use crate::health::Failure;
use crate::port::{Change, NodeRequest};
use crate::sequencer::{Role, Shared};

#[derive(Debug)]
pub(super) enum Awaited {
    /// Which of the records exist that are to be updated.
    Existing,
    /// The write itself.
    Write,
    /// The records that it was for: it had no answer before. Was it applied, as a whole?
    Records { written: Bytes },
}

impl Attempt {
    pub(super) fn is_run(&self) -> bool {
        self.task.entries.len() > 1
    }

    /// `None`: what is left is one entry, and goes its own way.
    pub(super) fn run_turn(&mut self, sequencer: &Shared, stage: &Stage, input: &Input) -> Option<Turn> {
        match (stage, input) {
            (Stage::Fresh, Input::Begin) if self.task.read => Some(self.read_back(sequencer)),
            (Stage::Fresh, Input::Begin) => self.begin_run(sequencer),
            (Stage::Asking(super::Awaited::Run(awaited)), Input::Answer(response)) => {
                let found = self.case(sequencer).judge(response.clone(), false);
                match (awaited, found) {
                    (Awaited::Records { written }, found) => {
                        Some(Turn::Found(self.looked_back_at(sequencer, written, found)))
                    }
                    (Awaited::Existing, Found::Done { answer, .. }) => self.resolve_all(sequencer, &answer),
                    (_, found) => Some(Turn::Found(run_found(found))),
                }
            }
            (Stage::FixingAll(joined), Input::Recorded(Ok(()))) => {
                self.task.entries.iter().for_each(|entry| entry.effect_made_durable());
                Some(self.send_run(sequencer, joined.clone()))
            }
            // Whose effect the log refuses is found out one by one.
            _ => Some(Turn::Found(Found::LogAway)),
        }
    }

    /// It was sent whole, under whatever bounds, and Chroma takes a request whole or not at all. If an effect is
    /// not durable it was never sent.
    fn read_back(&self, sequencer: &Shared) -> Turn {
        let Joined { count, body, .. } = self.joined(Bounds::NONE);
        let sent = count == self.task.entries.len() && !self.task.entries.iter().any(|entry| is_open(entry));
        match effect::look(&body).filter(|_| sent) {
            Some(ids) => {
                let case = self.case(sequencer);
                let path = case.own_path(&get_path(&case.entry.draft.path));
                ask(Awaited::Records { written: body }, case.request("POST", path, ids))
            }
            None => Turn::Found(Found::Split),
        }
    }

    fn looked_back_at(&self, sequencer: &Shared, written: &Bytes, found: Found) -> Found {
        let op = self.task.entries[0].draft.op;
        match found {
            Found::Done { answer, .. } if !effect::holds(op, written, &answer.body) => Found::Split,
            Found::Failed(Failure::Status(_), _) if self.task.attempts >= self.terms.attempts => {
                sequencer.lock().mask(self.ticket());
                Found::Split
            }
            found => run_found(found),
        }
    }

    fn case<'a>(&'a self, sequencer: &'a Shared) -> Case<'a> {
        let entry = &self.task.entries[0];
        Case { node: self.node, task: &self.task, terms: &self.terms, entry, sequencer }
    }

    fn shorten(&mut self, sequencer: &Shared, count: usize, end: RunEnd) {
        if count < self.task.entries.len() {
            self.task.entries.truncate(count);
            self.task.end = end;
            sequencer.lock().shorten(self.ticket(), count);
        }
    }

    /// The first entries that make one request, as far as is known now.
    fn joined(&self, bounds: Bounds) -> Joined {
        let sends: Vec<Send> = self.task.entries.iter().map(|entry| effect::send(entry)).collect();
        let body = |send: &Send| match send {
            Send::Body(body) => Some(body.clone()),
            Send::Empty => None,
        };
        let bodies: Vec<Bytes> = sends.iter().filter_map(body).collect();
        let op = self.task.entries[0].draft.op;
        if bodies.is_empty() {
            return Joined { count: sends.len(), end: self.task.end, body: Bytes::new() };
        }
        let Joined { count, end, body } = coalesce::join(op, &bodies, bounds);
        if count == bodies.len() {
            return Joined { count: sends.len(), end: self.task.end, body };
        }
        let full = sends.iter().enumerate().filter(|(_, send)| **send != Send::Empty);
        let beyond = full.map(|(at, _)| at).nth(count).unwrap_or(sends.len());
        // One that cannot be joined goes without those that need no request.
        Joined { count: beyond.max(1), end, body: if count == 0 { Bytes::new() } else { body } }
    }

    fn begin_run(&mut self, sequencer: &Shared) -> Option<Turn> {
        let joined = self.joined(self.task.bounds);
        self.shorten(sequencer, joined.count, joined.end);
        if !self.is_run() {
            return None;
        }
        let open = |entry: &Arc<Entry>| {
            entry.effect().is_none()
                && effect::question(entry.draft.op, &entry.draft.body) != Question::Nothing
        };
        if self.task.role == Role::Following || !self.task.entries.iter().any(open) {
            return self.fix_all(sequencer, Some(joined));
        }
        let named = |entry: &Arc<Entry>| effect::named_ids(&entry.draft.body).unwrap_or_default();
        let ids: Vec<String> = self.task.entries.iter().flat_map(named).collect();
        let case = self.case(sequencer);
        let path = case.own_path(&get_path(&case.entry.draft.path));
        let body = Bytes::from(json!({ "ids": ids, "include": [] }).to_string());
        Some(ask(Awaited::Existing, case.request("POST", path, body)))
    }

    /// No update makes a record, so what exists before the first one exists before each.
    fn resolve_all(&mut self, sequencer: &Shared, answer: &Answer) -> Option<Turn> {
        let Some(Effect::Ids { ids: existing }) = effect::resolved(&answer.body) else {
            return Some(Turn::Found(lost("the answer to a get has no ids")));
        };
        let existing: HashSet<String> = existing.into_iter().collect();
        for entry in &self.task.entries {
            let mut seen = HashSet::new();
            let named = effect::named_ids(&entry.draft.body).unwrap_or_default();
            let there = |id: &String| existing.contains(id) && seen.insert(id.clone());
            entry.resolve(Effect::Ids { ids: named.into_iter().filter(there).collect() });
        }
        self.fix_all(sequencer, None)
    }

    /// Up to the first entry that Chroma must see as the client wrote it. `joined`: of all of them, as they
    /// are now.
    fn fix_all(&mut self, sequencer: &Shared, joined: Option<Joined>) -> Option<Turn> {
        let acting = self.task.role == Role::Acting;
        let whole = |entry: &Arc<Entry>| acting && effect::judge(entry) != Judge::Nobody;
        let at = self.task.entries.iter().position(whole);
        if let Some(at) = at {
            self.shorten(sequencer, at.max(1), RunEnd::Shape);
        }
        if !self.is_run() {
            return None;
        }
        let joined = joined.filter(|_| at.is_none()).unwrap_or_else(|| self.joined(self.task.bounds));
        let open = acting && !self.open_effects().is_empty();
        Some(if open { Turn::FixAll(joined) } else { self.send_run(sequencer, joined) })
    }

    pub(super) fn open_effects(&self) -> Vec<Change> {
        let open = |entry: &&Arc<Entry>| !entry.effect_is_durable();
        let change = |entry: &Arc<Entry>| {
            entry.effect().map(|effect| Change::Effect { seq: entry.seq, effect: effect.clone() })
        };
        self.task.entries.iter().filter(open).filter_map(change).collect()
    }

    fn send_run(&self, sequencer: &Shared, Joined { body, count, .. }: Joined) -> Turn {
        // Resolved, an update may be longer than it came.
        if count < self.task.entries.len() {
            return Turn::Found(Found::Split);
        }
        let case = self.case(sequencer);
        if body.is_empty() {
            return Turn::Found(Found::Done { answer: applied_answer(case.entry), catalog: None });
        }
        let path = case.own_path(&case.entry.draft.path);
        ask(Awaited::Write, case.request("POST", path, body))
    }

    /// What each client hears of what the node answered.
    pub(super) fn answers(&self, answer: &Answer) -> Vec<Answer> {
        if self.is_run() {
            self.task.entries.iter().map(|entry| applied_answer(entry)).collect()
        } else {
            vec![answer.clone()]
        }
    }
}

fn ask(awaited: Awaited, request: NodeRequest) -> Turn {
    Turn::Ask(super::Awaited::Run(awaited), request)
}

/// What the entry reaches is still to be made durable.
fn is_open(entry: &Entry) -> bool {
    let asks = effect::question(entry.draft.op, &entry.draft.body) != Question::Nothing;
    asks && !entry.effect_is_durable()
}

/// A judgement is one entry's, and so is what a collection that is gone means.
fn run_found(found: Found) -> Found {
    match found {
        Found::Refused(_) | Found::Gone | Found::Unread(_) => Found::Split,
        other => other,
    }
}
