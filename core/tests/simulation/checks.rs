//! What readers must never see, checked at any moment, and what must hold at the end.

use chroma_ha_core::effect::{self, Send};
use chroma_ha_core::entry::{Decision, Entry};
use chroma_ha_core::ids::{CollectionId, NodeId, Seq, Stream};
use chroma_ha_core::sequencer::Gate;

use super::chroma::{Records, parsed};
use super::names::{Names, predicted};
use super::world::{Process, World};

impl World {
    /// Every node that may be read shows what was acknowledged, or later.
    pub fn check_reads(&self) {
        if !self.sequencer.lock().leading() {
            return;
        }
        let live = self.oracle.borrow().names(Seq(u64::MAX));
        for id in live.ids().into_iter().filter(|id| self.sequencer.lock().catalog.collection(*id).is_some())
        {
            let stream = Stream::Collection(id);
            let readable = self.sequencer.lock().readable(Gate::Stream(stream));
            if let Some((node, _)) = readable.iter().find(|(node, _)| self.is_taken_out(*node)) {
                self.fail(format!("{node} is taken out and read for {id}"));
            }
            for (node, own) in readable.into_iter().filter(|(node, _)| self.answers(*node)) {
                let chroma = self.servers[node.0].chroma.borrow();
                let shown = own.and_then(|own| chroma.collections.get(&own)).map(|(_, records)| records);
                let Some(shown) = shown else {
                    let first = self.sequencer.lock().node(node).first(Stream::Catalog);
                    if first.is_some_and(|seq| self.sent.borrow().contains(&(node, seq))) {
                        continue; // its delete is under way
                    }
                    self.fail(format!("{node} is readable for {id} and does not have it"));
                    continue;
                };
                self.check(
                    self.shows(
                        node,
                        stream,
                        |seq| self.oracle.borrow().records(id, seq) == *shown,
                        |first| self.is_on_its_way(node, id, first, shown),
                    )
                    .map_err(|text| format!("{text}: {shown:?}")),
                );
            }
        }
        let readable = self.sequencer.lock().readable(Gate::Stream(Stream::Catalog));
        for (node, _) in readable.into_iter().filter(|(node, _)| self.answers(*node)) {
            let shown = self.shown_names(node);
            let result = self.shows(
                node,
                Stream::Catalog,
                |seq| self.oracle.borrow().names(seq) == shown,
                |first| {
                    predicted(&self.entry(first), &self.oracle.borrow().names(first.prev()))
                        .is_some_and(|n| shown.is_nearly(&n))
                },
            );
            self.check(result.map_err(|text| format!("{text}: {shown:?}")));
        }
    }

    /// One that does not answer shows nothing wrong.
    fn answers(&self, node: NodeId) -> bool {
        self.servers[node.0].process.get() == Process::Alive
    }

    /// `state`: what is shown is the state at this position. `next`: or the state after the first
    /// entry that the node is not known to have, or those that went along with it.
    fn shows(
        &self,
        node: NodeId,
        stream: Stream,
        state: impl Fn(Seq) -> bool,
        next: impl Fn(Seq) -> bool,
    ) -> Result<(), String> {
        let (first, fed) = {
            let sequencer = self.sequencer.lock();
            (sequencer.node(node).first(stream), sequencer.node(node).fed)
        };
        let at = first.map_or(fed, Seq::prev);
        let acked = self.oracle.borrow().acked(stream);
        if acked > at {
            return Err(format!("{node} is readable for {stream} at {at}, acknowledged is {acked}"));
        }
        if self.copied.borrow().get(&(node, stream)).is_some_and(|through| at < *through) {
            return Ok(()); // records were read as they were then
        }
        let ahead = first.filter(|seq| self.sent.borrow().contains(&(node, *seq)));
        if state(at) || ahead.is_some_and(next) {
            return Ok(());
        }
        Err(format!("{node} shows what {stream} never was at {at}"))
    }

    /// An entry as the log has it.
    pub fn entry(&self, seq: Seq) -> Entry {
        let store = self.store.borrow();
        let row = store.row(seq);
        let entry = Entry::new(seq, row.draft.clone(), 0).acknowledged(row.acknowledged);
        entry.recovered(row.effect.clone(), None)
    }

    /// Whether the records are as the entries that were sent, from this one on, leave them one after the other.
    /// What went wrong may have been applied: then they may show its entries once more, for as long as nobody
    /// has made sure.
    fn is_on_its_way(&self, node: NodeId, id: CollectionId, first: Seq, shown: &Records) -> bool {
        let doubted = {
            let sequencer = self.sequencer.lock();
            let doubt = sequencer.node(node).doubts.of(Stream::Collection(id));
            doubt.filter(|doubt| doubt.is_fresh()).map(|doubt| doubt.first)
        };
        self.is_reached(node, id, first, doubted.is_some(), shown)
            || doubted.is_some_and(|doubted| self.is_reached(node, id, doubted.min(first), true, shown))
    }

    fn is_reached(
        &self,
        node: NodeId,
        id: CollectionId,
        first: Seq,
        doubtful: bool,
        shown: &Records,
    ) -> bool {
        let sent: Vec<Seq> =
            self.sent.borrow().range((node, first)..=(node, Seq(u64::MAX))).map(|(_, seq)| *seq).collect();
        let ours = |seq: Seq| {
            let rejected = self.oracle.borrow().fate(seq) == Some(Decision::Rejected);
            Some(self.entry(seq)).filter(|entry| entry.collection() == Some(id) && !rejected)
        };
        let sent: Vec<Entry> = sent.into_iter().filter_map(ours).collect();
        let mut once = self.oracle.borrow().records(id, first.prev());
        sent.iter().enumerate().any(|(at, entry)| {
            apply(&mut once, entry);
            let again = doubtful
                && (0..=at).any(|from| {
                    let mut twice = once.clone();
                    sent[from..=at].iter().any(|entry| {
                        apply(&mut twice, entry);
                        twice == *shown
                    })
                });
            once == *shown || again
        })
    }

    fn shown_names(&self, node: NodeId) -> Names {
        let chroma = self.servers[node.0].chroma.borrow();
        let sequencer = self.sequencer.lock();
        chroma.names(|own| sequencer.logical(node, own).unwrap_or(CollectionId(own)))
    }

    pub fn final_checks(&self) {
        let head = self.store.borrow().head();
        self.check_reads();
        self.check(self.oracle.borrow().promises(head));
        self.check(self.oracle.borrow().suffixes());
        let names = self.oracle.borrow().names(head);
        let logged = self.store.borrow().names();
        if logged != names {
            self.fail(format!("the log ends with {logged:?}, not {names:?}"));
        }
        for node in (0..self.servers.len()).map(NodeId) {
            let shown = self.shown_names(node);
            if shown != names {
                self.fail(format!("{node} ends with {shown:?}, not {names:?}"));
            }
            for (own, (name, records)) in &self.servers[node.0].chroma.borrow().collections {
                let id = self.sequencer.lock().logical(node, *own);
                let right = id.map(|id| self.oracle.borrow().records(id, head));
                let unclaimed = id.is_none() && self.servers[node.0].chroma.borrow().is_unclaimed(*own);
                if right.as_ref() != Some(records) && !unclaimed {
                    self.fail(format!("{node} ends with {records:?} in {name:?}, not {right:?}"));
                }
            }
        }
        for seq in (1..=head.0).map(Seq) {
            let rejected = self.store.borrow().row(seq).status == super::store::Status::Rejected;
            if rejected && self.oracle.borrow().fate(seq) != Some(Decision::Rejected) {
                self.fail(format!("{seq} is rejected in the log only"));
            }
        }
    }
}

fn apply(records: &mut Records, entry: &Entry) {
    if let Send::Body(body) = effect::send(entry) {
        let _ = records.apply(entry.draft.op, &parsed(&body), 0);
    }
}
