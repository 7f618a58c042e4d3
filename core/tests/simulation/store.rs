//! The log store in memory: durable rows, the catalog's tables, cursors; every `record` is atomic and
//! fenced by the epoch. It also refuses what must never be asked of it: an effect that changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use chroma_ha_core::catalog::Move;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::entry::{Decision, Draft, Entry};
use chroma_ha_core::ids::{CollectionId, NodeId, Seq, Stream};
use chroma_ha_core::orders::Orders;
use chroma_ha_core::port::{Change, Leftover, LeftoverState, Page, Pages, Recovered, RecoveredNode};
use uuid::Uuid;

use super::names::{Names, Place};

/// More nodes than any run has.
const MOST_NODES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    Completed,
    Rejected,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub draft: Draft,
    pub acknowledged: bool,
    pub effect: Option<Effect>,
    pub accepted: bool,
    pub status: Status,
}

#[derive(Clone, Debug, Default)]
pub struct Store {
    pub epoch: u64,
    pub rows: Vec<Row>,
    /// Tenants and databases only.
    places: Names,
    collections: BTreeMap<CollectionId, (Place, Option<Seq>)>,
    cursors: BTreeMap<String, (Seq, Seq)>,
    mapped: BTreeMap<(String, CollectionId), Uuid>,
    copying: BTreeMap<(String, CollectionId), Leftover>,
    quarantined: BTreeMap<(String, CollectionId), String>,
    doubts: BTreeMap<(String, Stream), Seq>,
    pub orders: Orders,
    /// Something that a correct balancer never does.
    pub violation: Option<String>,
}

impl Store {
    pub fn head(&self) -> Seq {
        Seq(self.rows.len() as u64)
    }

    pub fn row(&self, seq: Seq) -> &Row {
        &self.rows[seq.prev().0 as usize]
    }

    fn row_mut(&mut self, seq: Seq) -> &mut Row {
        &mut self.rows[seq.prev().0 as usize]
    }

    pub fn append(&mut self, epoch: u64, entries: &[Arc<Entry>]) -> bool {
        let fits = entries.first().is_none_or(|e| e.seq == self.head().next());
        if epoch != self.epoch || !fits {
            return false;
        }
        for entry in entries {
            let draft = entry.draft.clone();
            let acknowledged = entry.is_acknowledged();
            let status = Status::Pending;
            self.rows.push(Row { draft, acknowledged, effect: None, accepted: false, status });
        }
        true
    }

    pub fn record(&mut self, epoch: u64, changes: &[Change]) -> bool {
        if epoch != self.epoch {
            return false;
        }
        changes.iter().for_each(|change| self.change(change));
        true
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Effect { seq, effect } => self.fix(*seq, effect),
            Change::Rejected { seq, .. } => {
                let row = self.row_mut(*seq);
                if row.status == Status::Pending && !row.accepted {
                    row.status = Status::Rejected;
                }
            }
            Change::Accepted { seq } => self.row_mut(*seq).accepted = true,
            Change::CatalogAccepted { seq, effect, moves } => {
                self.fix(*seq, effect);
                self.row_mut(*seq).accepted = true;
                moves.iter().for_each(|step| self.apply(step));
            }
            Change::CatalogCursor { node, seq } => {
                let cursor = self.cursors.entry(node.clone()).or_default();
                cursor.1 = cursor.1.max(*seq);
            }
            Change::Mapped { node, collection, node_collection } => match node_collection {
                Some(own) => drop(self.mapped.insert((node.clone(), *collection), *own)),
                None => drop(self.mapped.remove(&(node.clone(), *collection))),
            },
            Change::Cursor { node, seq } => {
                let cursor = self.cursors.entry(node.clone()).or_default();
                cursor.0 = cursor.0.max(*seq);
            }
            Change::Doubted { node, stream, first } => match first {
                Some(first) => drop(self.doubts.insert((node.clone(), *stream), *first)),
                None => drop(self.doubts.remove(&(node.clone(), *stream))),
            },
            Change::Rewound { node, seq } => {
                let cursor = self.cursors.entry(node.clone()).or_default();
                cursor.0 = cursor.0.min(*seq);
            }
            Change::Completed { through } => {
                let pending = |row: &&mut Row| row.status == Status::Pending;
                let rows = self.rows.iter_mut().take(through.0 as usize).filter(pending);
                rows.for_each(|row| row.status = Status::Completed);
            }
            Change::Copying { node, collection, node_collection } => match node_collection {
                Some(own) => {
                    let left = Leftover { node_collection: *own, state: LeftoverState::Void };
                    self.copying.insert((node.clone(), *collection), left);
                }
                None => drop(self.copying.remove(&(node.clone(), *collection))),
            },
            Change::CopyBegun { node, collection, node_collection, position } => {
                let state = LeftoverState::Begun(*position);
                let left = Leftover { node_collection: *node_collection, state };
                self.copying.insert((node.clone(), *collection), left);
            }
            Change::Quarantined { node, collection, reason } => match reason {
                Some(reason) => {
                    drop(self.quarantined.insert((node.clone(), *collection), reason.clone()));
                }
                None => drop(self.quarantined.remove(&(node.clone(), *collection))),
            },
            // Every node has joined.
            Change::Adopted { .. } | Change::Joined { .. } => {}
            Change::Attempts { .. } | Change::NodeState { .. } => {}
            // Nobody asks for anything here.
            Change::Converted { .. } | Change::OtherIds { .. } => {}
            Change::Outcome { .. } | Change::Audited { .. } => {}
            Change::Drained { node, order } => {
                NodeId::parse(node).into_iter().for_each(|node| self.orders.set_drain(node, *order));
            }
            Change::Preferred { node } => {
                self.orders.preferred = node.as_deref().and_then(NodeId::parse);
            }
            Change::DeadLetter { .. } | Change::LettersClosed { .. } => {}
        }
    }

    fn fix(&mut self, seq: Seq, effect: &Effect) {
        let row = self.row_mut(seq);
        let changed = row.effect.as_ref().is_some_and(|first| first != effect);
        if changed {
            let text = format!("the effect of {seq} was {:?} and became {effect:?}", row.effect);
            self.violation.get_or_insert(text);
        } else {
            row.effect = Some(effect.clone());
        }
    }

    fn apply(&mut self, step: &Move) {
        match step {
            Move::TenantCreated { name } => drop(self.places.tenants.insert(name.clone())),
            Move::DatabaseCreated { tenant, name, .. } => {
                self.places.databases.insert((tenant.clone(), name.clone()));
            }
            Move::DatabaseDeleted { tenant, name, seq } => {
                self.places.databases.remove(&(tenant.clone(), name.clone()));
                self.delete(*seq, |_, place| (&place.0, &place.1) == (tenant, name));
            }
            Move::CollectionCreated { id, tenant, database, name } => {
                let place = (tenant.clone(), database.clone(), name.clone());
                self.must_be_free(*id, &place);
                self.collections.entry(*id).or_insert((place, None));
            }
            Move::CollectionRenamed { id, name } => {
                if let Some(((tenant, database, _), None)) = self.collections.get(id).cloned() {
                    let place = (tenant, database, name.clone());
                    self.must_be_free(*id, &place);
                    self.collections.insert(*id, (place, None));
                }
            }
            Move::CollectionDeleted { id, seq } => self.delete(*seq, |other, _| other == *id),
            Move::Reset { seq } => {
                self.delete(*seq, |_, _| true);
                self.places = Names::default();
            }
        }
    }

    fn delete(&mut self, seq: Seq, goes: impl Fn(CollectionId, &Place) -> bool) {
        for (id, (place, deleted)) in &mut self.collections {
            if deleted.is_none() && goes(*id, place) {
                *deleted = Some(seq);
            }
        }
    }

    fn must_be_free(&mut self, id: CollectionId, place: &Place) {
        let taken = |(other, (at, gone)): (&CollectionId, &(Place, Option<Seq>))| {
            *other != id && at == place && gone.is_none()
        };
        if self.collections.iter().any(taken) {
            self.violation.get_or_insert(format!("two collections are named {place:?}"));
        }
    }

    /// The catalog as the log has it.
    pub fn names(&self) -> Names {
        let live = self.collections.iter().filter(|(_, (_, gone))| gone.is_none());
        let collections = live.map(|(id, (place, _))| (place.clone(), *id)).collect();
        Names { collections, ..self.places.clone() }
    }

    pub fn page(&self, page: &Page) -> Pages {
        let through = page.through.min(self.head());
        let mut pages = Pages { entries: Vec::new(), complete_through: through };
        let mut bytes = 0;
        for seq in (page.from.0..=through.0).map(Seq) {
            let row = self.row(seq);
            let entry = Entry::new(seq, row.draft.clone(), 0).acknowledged(row.acknowledged);
            if row.status == Status::Rejected || page.stream.is_some_and(|s| s != entry.stream()) {
                continue;
            }
            bytes += row.draft.body.len();
            let full = pages.entries.len() >= page.max_entries.max(1) || bytes > page.max_bytes;
            if full && !pages.entries.is_empty() {
                pages.complete_through = seq.prev();
                break;
            }
            let done = row.accepted || row.status == Status::Completed;
            let decision = done.then_some(Decision::Accepted);
            pages.entries.push(Arc::new(entry.recovered(row.effect.clone(), decision)));
        }
        pages
    }

    /// Takes the lease: a new epoch, and everything that is remembered.
    pub fn acquire(&mut self) -> Recovered {
        self.epoch += 1;
        let Names { tenants, databases, collections } = self.names();
        let mut nodes: BTreeMap<String, RecoveredNode> = BTreeMap::new();
        for node in 0..MOST_NODES {
            nodes.entry(NodeId(node).name()).or_default().joined = true;
        }
        for (name, (cursor, catalog_cursor)) in &self.cursors {
            let node = nodes.entry(name.clone()).or_default();
            (node.cursor, node.catalog_cursor) = (*cursor, *catalog_cursor);
        }
        for ((name, id), own) in &self.mapped {
            nodes.entry(name.clone()).or_default().mapped.push((*id, *own));
        }
        for ((name, id), left) in &self.copying {
            nodes.entry(name.clone()).or_default().copying.push((*id, *left));
        }
        for ((name, id), reason) in &self.quarantined {
            nodes.entry(name.clone()).or_default().quarantined.push((*id, reason.clone()));
        }
        for ((name, stream), first) in &self.doubts {
            nodes.entry(name.clone()).or_default().doubts.push((*stream, *first));
        }
        nodes.iter_mut().for_each(|(name, node)| name.clone_into(&mut node.name));
        Recovered {
            quiet: false,
            head: self.head(),
            epoch: self.epoch,
            tenants: tenants.into_iter().collect(),
            databases: databases.into_iter().map(|(tenant, name)| (Uuid::nil(), tenant, name)).collect(),
            collections: collections.into_iter().map(|((t, d, name), id)| (id, t, d, name)).collect(),
            deleted: self.collections.iter().filter_map(|(id, (_, d))| d.map(|seq| (*id, seq))).collect(),
            nodes: nodes.into_values().collect(),
            turns: Vec::new(),
            orders: self.orders.clone(),
        }
    }
}
