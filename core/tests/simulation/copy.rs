//! A copy of a collection onto a node, as the replay actor makes it: room under the name, the collection
//! anew, its records page by page while writes go on, and the mapping. Each step is an event of its own.

use std::cell::Cell;
use std::rc::Rc;

use chroma_ha_core::ids::{NodeId, Stream};
use chroma_ha_core::listing::{Listing, Turn};
use chroma_ha_core::operator::{Closing, Letters};
use chroma_ha_core::port::{Change, Leftover, LeftoverState};
use chroma_ha_core::sequencer::{CopyFailure, CopyTask};
use serde_json::{Value, json};
use uuid::Uuid;

use super::chroma::own_id;
use super::names::Place;
use super::peer::{broken, by_name, collections};
use super::world::World;

/// Ids listed with one request, records carried with one.
const PAGE: usize = 3;
const PORTION: usize = 2;

/// A copy that ends anyhow must not keep its node waiting for ever.
struct Open {
    world: Rc<World>,
    node: NodeId,
    task: CopyTask,
    closed: bool,
}

impl Open {
    fn close(&mut self, own: Result<Uuid, CopyFailure>) {
        self.closed = true;
        let Open { world, node, task, .. } = self;
        if let Err(failure) = &own {
            world.leave_in_doubt(*node, failure);
        }
        let own = own.inspect(|_| world.saw("copy"));
        let counts = {
            let mut sequencer = world.sequencer.lock();
            let head = sequencer.head();
            let stream = Stream::Collection(task.collection);
            if own.is_ok() {
                world.copied.borrow_mut().insert((*node, stream), head);
            }
            sequencer.copied(*node, task, own.clone(), world.now_ms.get())
        };
        world.say(|| format!("{node} copy of {}: {own:?} counts={counts}", task.collection));
        world.wake_all();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.closed {
            self.world.saw("copy broke off");
            self.close(broken("the copy broke off"));
        }
    }
}

enum Room {
    Free,
    Begun(Uuid),
}

impl World {
    pub fn copy(self: &Rc<Self>, node: NodeId, task: CopyTask) {
        self.say(|| format!("{node} gets {task:?}"));
        let mut open = Open { world: Rc::clone(self), node, task, closed: false };
        let source = open.task.source;
        self.spawn_with(&Rc::new(Cell::new(Some(node))), Some(source), async move {
            let own = open.world.make(node, &open.task).await;
            open.close(own);
        });
    }

    async fn make(&self, node: NodeId, task: &CopyTask) -> Result<Uuid, CopyFailure> {
        let gone = || CopyFailure::Broken("the collection was deleted meanwhile".to_owned());
        let place = self.place_of(task).ok_or_else(gone)?;
        let from = self.found(task.source, &place).await?.ok_or_else(gone)?;
        if self.sequencer.lock().node_collection(task.source, task.collection) != Some(from) {
            return broken("the source holds another collection of this name");
        }
        let (own, resumed) = match self.room(node, task, &place).await? {
            Room::Begun(own) => (own, true),
            Room::Free => (self.create_copy(node, task, &place).await?, false),
        };
        let path = collections((&place.0, &place.1));
        let (source, target) = (format!("{path}/{from}"), format!("{path}/{own}"));
        let mut listing = Listing::new(PAGE);
        loop {
            let before = self.deletes(task.source, from);
            let offset = listing.offset(before);
            let page = json!({ "include": [], "limit": listing.limit(), "offset": offset });
            let answer = self.ask(task.source, "POST", format!("{source}/get"), page).await?;
            let ids = ids(&answer);
            let turn = listing.take(offset, ids.len(), before, self.deletes(task.source, from));
            if turn == Turn::Again {
                continue;
            }
            self.carry(node, task.source, (&source, &target), ids, resumed).await?;
            if turn == Turn::End {
                break;
            }
        }
        self.finish_copy(node, task, own).await
    }

    fn place_of(&self, task: &CopyTask) -> Option<Place> {
        let sequencer = self.sequencer.lock();
        let place = sequencer.catalog.collection(task.collection)?;
        Some((place.tenant.clone(), place.database.clone(), place.name.clone()))
    }

    async fn room(&self, node: NodeId, task: &CopyTask, place: &Place) -> Result<Room, CopyFailure> {
        let Some(there) = self.found(node, place).await? else { return Ok(Room::Free) };
        let left = task.leftover.filter(|left| left.node_collection == there).map(|left| left.state);
        if matches!(left, Some(LeftoverState::Begun(_))) {
            self.saw("copy goes on");
            return Ok(Room::Begun(there));
        }
        if self.sequencer.lock().logical(node, there).is_some_and(|id| id != task.collection) {
            return broken("the node holds another collection of the catalog under this name");
        }
        let path = format!("{}/{there}/count", collections((&place.0, &place.1)));
        let held = self.ask(node, "GET", path, Value::Null).await?;
        let ours = task.replaces.contains(&there) || self.sequencer.lock().is_outlived(node, there);
        if held != 0 && !ours {
            return broken("the node holds other records under the name");
        }
        self.copying(node, task, there, None).await?;
        self.ask(node, "DELETE", by_name(place), Value::Null).await.map(|_| Room::Free)
    }

    async fn create_copy(&self, node: NodeId, task: &CopyTask, place: &Place) -> Result<Uuid, CopyFailure> {
        let path = collections((&place.0, &place.1));
        let answer = self.ask(node, "POST", path, json!({ "name": place.2 })).await?;
        let own = own_id(&answer).ok_or_else(|| CopyFailure::Broken("no id".to_owned()))?;
        self.copying(node, task, own, Some(LeftoverState::Begun(task.position))).await?;
        Ok(own)
    }

    /// Notes whose the node's collection is that no mapping names.
    async fn copying(
        &self,
        node: NodeId,
        task: &CopyTask,
        own: Uuid,
        begun: Option<LeftoverState>,
    ) -> Result<(), CopyFailure> {
        let (name, collection, node_collection) = (node.name(), task.collection, Some(own));
        let unmapped = Change::Mapped { node: name.clone(), collection, node_collection: None };
        let left = match begun {
            Some(LeftoverState::Begun(position)) => {
                Change::CopyBegun { node: name, collection, node_collection: own, position }
            }
            _ => Change::Copying { node: name, collection, node_collection },
        };
        if !self.record(vec![unmapped, left]).await {
            return broken("the log is away");
        }
        let left = Leftover { node_collection: own, state: begun.unwrap_or(LeftoverState::Void) };
        self.sequencer.lock().leftover(node, collection, left);
        Ok(())
    }

    async fn carry(
        &self,
        node: NodeId,
        source: NodeId,
        (from, to): (&str, &str),
        mut ids: Vec<String>,
        resumed: bool,
    ) -> Result<(), CopyFailure> {
        if resumed && !ids.is_empty() {
            let ask = json!({ "ids": ids, "include": [] });
            let held = self::ids(&self.ask(node, "POST", format!("{to}/get"), ask).await?);
            ids.retain(|id| !held.contains(id));
        }
        for chunk in ids.chunks(PORTION) {
            let ask = json!({ "ids": chunk, "include": ["embeddings", "metadatas", "documents", "uris"] });
            let records = self.ask(source, "POST", format!("{from}/get"), ask).await?;
            if !self::ids(&records).is_empty() {
                self.ask(node, "POST", format!("{to}/add"), records).await?;
            }
            if self.is_taken_out(node) {
                self.saw("copy broke off for an operator");
                return broken("the node is taken out by an operator");
            }
        }
        Ok(())
    }

    async fn finish_copy(&self, node: NodeId, task: &CopyTask, own: Uuid) -> Result<Uuid, CopyFailure> {
        let (node, collection) = (node.name(), task.collection);
        let letters = Letters::Collection(collection);
        let changes = vec![
            Change::Mapped { node: node.clone(), collection, node_collection: Some(own) },
            Change::Copying { node: node.clone(), collection, node_collection: None },
            Change::LettersClosed { node: node.clone(), letters, how: Closing::Rebuilt },
            Change::Quarantined { node, collection, reason: None },
        ];
        if self.record(changes).await { Ok(own) } else { broken("the log is away") }
    }
}

fn ids(answer: &Value) -> Vec<String> {
    let ids = answer["ids"].as_array().into_iter().flatten();
    ids.filter_map(Value::as_str).map(str::to_owned).collect()
}
