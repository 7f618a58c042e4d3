//! The look at a node that came back, as the replay actor takes it: every question and every change of
//! the log is an event of its own.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use chroma_ha_core::ids::{CollectionId, NodeId};
use chroma_ha_core::port::Change;
use chroma_ha_core::sequencer::{CopyFailure, Findings};
use serde_json::{Value, json};
use uuid::Uuid;

use super::chroma::own_id;
use super::names::Database;
use super::peer::{broken, collections};
use super::world::World;

/// Tenants, databases and the node's own collections.
type Expected = (Vec<String>, Vec<Database>, Vec<(CollectionId, Uuid)>);

/// That the node cannot answer now tells nothing.
fn judged((status, _): (u16, Value)) -> Result<u16, CopyFailure> {
    if status < 500 && status != 429 { Ok(status) } else { broken(format!("it answered {status}")) }
}

impl World {
    pub fn inspect(self: &Rc<Self>, node: NodeId, generation: u64) {
        let world = Rc::clone(self);
        self.spawn(&Rc::new(Cell::new(Some(node))), async move {
            let findings = world.look_at(node).await;
            world.say(|| format!("{node} was looked at: {findings:?}"));
            if let Err(failure) = &findings {
                if world.leave_in_doubt(node, failure) {
                    return;
                }
                world.sleep(500).await;
            }
            if findings.as_ref().is_ok_and(|found| !found.lost.is_empty()) {
                world.saw("lost collections");
            }
            world.sequencer.lock().inspected(node, generation, findings.ok());
            world.wake_all();
        });
    }

    async fn look_at(&self, node: NodeId) -> Result<Findings, CopyFailure> {
        let (tenants, databases, mapped) = self.expected(node);
        for tenant in tenants {
            let path = format!("/api/v2/tenants/{tenant}");
            if judged(self.say_to(node, "GET", path, Value::Null).await?)? == 404 {
                let path = "/api/v2/tenants".to_owned();
                judged(self.say_to(node, "POST", path, json!({ "name": tenant })).await?)?;
            }
        }
        for (tenant, database) in &databases {
            let path = format!("/api/v2/tenants/{tenant}/databases");
            if judged(self.say_to(node, "GET", format!("{path}/{database}"), Value::Null).await?)? == 404 {
                judged(self.say_to(node, "POST", path, json!({ "name": database })).await?)?;
            }
        }
        let mut present = BTreeSet::new();
        for (tenant, database) in &databases {
            let list = self.ask(node, "GET", collections((tenant, database)), Value::Null).await?;
            present.extend(list.as_array().into_iter().flatten().filter_map(own_id));
        }
        let lost = mapped.into_iter().filter(|(_, own)| !present.contains(own));
        let lost: Vec<CollectionId> = lost.map(|(id, _)| id).collect();
        self.lost(node, lost).await
    }

    async fn lost(&self, node: NodeId, lost: Vec<CollectionId>) -> Result<Findings, CopyFailure> {
        let gone =
            |id: &CollectionId| Change::Mapped { node: node.name(), collection: *id, node_collection: None };
        let changes: Vec<Change> = lost.iter().map(gone).collect();
        if !changes.is_empty() && !self.record(changes).await {
            return broken("the log is away");
        }
        Ok(Findings { lost, joined: true, batch_limit: self.plan.batch_limit, ..Findings::default() })
    }

    /// As the catalog has them.
    fn expected(&self, node: NodeId) -> Expected {
        let sequencer = self.sequencer.lock();
        let catalog = &sequencer.catalog;
        let mut tenants: Vec<String> = catalog.tenants().map(str::to_owned).collect();
        let mut databases: Vec<_> = catalog.databases().map(|(t, d)| (t.to_owned(), d.to_owned())).collect();
        let mut mapped: Vec<_> = sequencer.node(node).mapped().collect();
        tenants.sort();
        databases.sort();
        mapped.sort();
        (tenants, databases, mapped)
    }
}
