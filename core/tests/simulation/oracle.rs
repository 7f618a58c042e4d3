//! What the run must look like from outside: the accepted entries applied one after the other to a
//! fresh model, with the effects that were resolved. Every decision is compared with it as it falls.

use std::collections::BTreeMap;

use chroma_ha_core::answer::Answer;
use chroma_ha_core::effect::{self, Effect, Send};
use chroma_ha_core::entry::{Decision, Entry, Op};
use chroma_ha_core::ids::{CollectionId, Seq, Stream};

use super::chroma::{Records, collection_of, parsed};
use super::names::{Names, predicted};

#[derive(Debug, Default)]
pub struct Oracle {
    catalog: Vec<(Seq, Names)>,
    records: BTreeMap<CollectionId, Vec<(Seq, Records)>>,
    deleted: BTreeMap<CollectionId, Seq>,
    fates: BTreeMap<Seq, Decision>,
    /// Accepted record entries with their effects, for the suffix property.
    accepted: BTreeMap<CollectionId, Vec<(Op, Option<bytes::Bytes>)>>,
    acked: BTreeMap<Stream, Seq>,
    /// Answered with success: these must be accepted, whatever happens.
    promised: Vec<Seq>,
    /// Ids that clients know.
    pub known: Vec<CollectionId>,
}

fn at<T: Clone + Default>(history: &[(Seq, T)], seq: Seq) -> T {
    history.iter().rev().find(|(s, _)| *s <= seq).map(|(_, state)| state.clone()).unwrap_or_default()
}

impl Oracle {
    pub fn names(&self, seq: Seq) -> Names {
        at(&self.catalog, seq)
    }

    pub fn records(&self, id: CollectionId, seq: Seq) -> Records {
        self.records.get(&id).map(|history| at(history, seq)).unwrap_or_default()
    }

    pub fn fate(&self, seq: Seq) -> Option<Decision> {
        self.fates.get(&seq).copied()
    }

    pub fn acked(&self, stream: Stream) -> Seq {
        self.acked.get(&stream).copied().unwrap_or_default()
    }

    fn acknowledge(&mut self, entry: &Entry) {
        let acked = self.acked.entry(entry.stream()).or_default();
        *acked = (*acked).max(entry.seq);
    }

    pub fn queued(&mut self, entry: &Entry) {
        self.acknowledge(entry);
    }

    /// A client hears of its write although nobody has judged it.
    pub fn acknowledged(&mut self, entry: &Entry) {
        self.promised.push(entry.seq);
        self.acknowledge(entry);
    }

    /// A client hears of its write.
    pub fn answered(&mut self, entry: &Entry, answer: &Answer) -> Result<(), String> {
        if answer.status >= 300 {
            let rejected = self.fate(entry.seq) == Some(Decision::Rejected);
            return if rejected { Ok(()) } else { Err(format!("{} was refused but counts", entry.seq)) };
        }
        self.promised.push(entry.seq);
        self.acknowledge(entry);
        if entry.draft.op != Op::CreateCollection {
            return Ok(());
        }
        let Some((id, name)) = collection_of(&answer.body) else { return Err("a create without id".into()) };
        let id = CollectionId(id);
        let names = self.names(Seq(u64::MAX));
        if names.place(id).is_none_or(|place| place.2 != name) {
            return Err(format!("{}: the client was told {id} for {name}", entry.seq));
        }
        if !self.known.contains(&id) {
            self.known.push(id);
        }
        Ok(())
    }

    /// The sequencer decided an entry; a second time after a restart, and then the same.
    /// `failed`: so often that a valid entry may be rejected, and an invalid one accepted that would change
    /// nothing.
    pub fn decided(
        &mut self,
        entry: &Entry,
        decision: Decision,
        moot: bool,
        failed: bool,
    ) -> Result<(), String> {
        match self.fates.insert(entry.seq, decision) {
            Some(first) if first == decision => return Ok(()),
            Some(first) => return Err(format!("{} was {first:?} and is {decision:?}", entry.seq)),
            None => {}
        }
        if entry.is_acknowledged() && decision == Decision::Rejected && failed {
            // Told to a person.
            self.promised.retain(|seq| *seq != entry.seq);
        }
        match entry.collection() {
            Some(id) => self.record_write(id, entry, decision, [moot, failed]),
            None => self.catalog_write(entry, decision, failed),
        }
    }

    fn record_write(
        &mut self,
        id: CollectionId,
        entry: &Entry,
        decision: Decision,
        [moot, failed]: [bool; 2],
    ) -> Result<(), String> {
        let seq = entry.seq;
        if let Some(deleted) = self.deleted.get(&id) {
            // What only a lost disk had is gone with its collection, too.
            let fine = moot && (decision == Decision::Rejected) == (*deleted < seq);
            return if fine {
                Ok(())
            } else {
                Err(format!("{seq} is {decision:?} after its collection went"))
            };
        }
        let history = self.records.entry(id).or_default();
        if history.last().is_some_and(|(last, _)| *last >= seq) {
            return Err(format!("{seq} was decided out of order"));
        }
        let mut state = at(history, seq);
        let body = parsed(&entry.draft.body);
        let valid = state.clone().apply(entry.draft.op, &body, 0).is_ok();
        let accepted = decision == Decision::Accepted;
        if valid != accepted && failed {
            return Ok(());
        }
        if valid != accepted {
            return Err(format!("{seq} is {decision:?}, but valid: {valid}"));
        }
        if accepted {
            admissible_effect(entry, &state)?;
            let sent = match effect::send(entry) {
                Send::Body(body) => Some(body),
                Send::Empty => None,
            };
            if let Some(body) = &sent {
                state.apply(entry.draft.op, &parsed(body), 0).map_err(|why| format!("{seq}: {why}"))?;
            }
            history.push((seq, state));
            self.accepted.entry(id).or_default().push((entry.draft.op, sent));
        }
        Ok(())
    }

    fn catalog_write(&mut self, entry: &Entry, decision: Decision, failed: bool) -> Result<(), String> {
        let seq = entry.seq;
        let before = self.names(seq);
        if self.catalog.last().is_some_and(|(last, _)| *last >= seq) {
            return Err(format!("{seq} was decided out of order"));
        }
        let after = predicted(entry, &before);
        if failed && decision == Decision::Rejected {
            return Ok(());
        }
        if after.is_some() != (decision == Decision::Accepted) {
            return Err(format!("{seq} is {decision:?}, but valid: {} in {before:?}", after.is_some()));
        }
        let Some(after) = after else { return Ok(()) };
        let kept = after.ids();
        let gone = before.ids().into_iter().filter(|id| !kept.contains(id));
        self.deleted.extend(gone.map(|id| (id, seq)));
        self.catalog.push((seq, after));
        Ok(())
    }

    /// What must hold at the end of every run.
    pub fn promises(&self, head: Seq) -> Result<(), String> {
        if let Some(open) = (1..=head.0).map(Seq).find(|seq| !self.fates.contains_key(seq)) {
            return Err(format!("{open} was never decided"));
        }
        match self.promised.iter().find(|seq| self.fates.get(seq) != Some(&Decision::Accepted)) {
            Some(lost) => Err(format!("{lost} was acknowledged and is lost")),
            None => Ok(()),
        }
    }

    /// Any suffix applied again ends in the same state.
    pub fn suffixes(&self) -> Result<(), String> {
        for (id, accepted) in &self.accepted {
            let last = self.records(*id, Seq(u64::MAX));
            for from in 0..accepted.len() {
                let mut state = last.clone();
                for (op, body) in &accepted[from..] {
                    let applied = body.as_ref().map(|body| state.apply(*op, &parsed(body), 0));
                    applied.transpose().map_err(|why| format!("a suffix of {id} is refused: {why}"))?;
                }
                if state != last {
                    return Err(format!("{id}: the suffix from {from} ends in {state:?}, not {last:?}"));
                }
            }
        }
        Ok(())
    }
}

/// An update reaches the ids that existed; a delete by filter as many of the matching as asked.
fn admissible_effect(entry: &Entry, before: &Records) -> Result<(), String> {
    let body = parsed(&entry.draft.body);
    let Some(Effect::Ids { ids }) = entry.effect() else { return Ok(()) };
    let limit = usize::try_from(body["limit"].as_u64().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let mut free = body.clone();
    free.as_object_mut().map(|fields| fields.remove("limit"));
    let matching = before.matching(&free, 0);
    let fits = ids.iter().all(|id| matching.contains(id)) && ids.len() == matching.len().min(limit);
    if fits { Ok(()) } else { Err(format!("{}: {ids:?} of {matching:?} is no effect", entry.seq)) }
}
