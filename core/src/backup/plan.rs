//! What must there be in a restored cluster? The names as they were some time while the copy was read; the catalog's
//! entries from before it, applied by id, make of them the names at the target. It plans names and creations only:
//! `replay` brings records.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Logged;
use crate::catalog::{Catalog, Move};
use crate::effect::Effect;
use crate::entry::Op;
use crate::ids::{CollectionId, Seq};
use crate::route::{self, Route, Write};

/// The catalog at one position, whichever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub tenants: Vec<String>,
    /// Id, tenant, name.
    pub databases: Vec<(Uuid, String, String)>,
    /// Id, tenant, database, name.
    pub collections: Vec<(CollectionId, String, String, String)>,
}

/// Where a collection's first records come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// It was copied.
    Base,
    /// It was created later, by this request; all its records are in the log.
    Created(Map<String, Value>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub id: CollectionId,
    pub tenant: String,
    pub database: String,
    pub name: String,
    pub origin: Origin,
    /// Metadata and configuration that were set later, in order.
    pub changes: Vec<Map<String, Value>>,
    /// Why its records cannot be told: of a write of them nobody knows what it did.
    pub unknown: Option<String>,
}

/// Everything that is there at the target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub tenants: Vec<String>,
    pub databases: Vec<(Uuid, String, String)>,
    pub collections: Vec<Planned>,
}

impl Plan {
    /// `Err`: of the records of a collection nobody knows what they were at this target.
    pub fn is_known(&self, target: Seq) -> Result<(), String> {
        let unknown = |planned: &Planned| Some((planned.name.clone(), planned.unknown.clone()?));
        let Some((name, why)) = self.collections.iter().find_map(unknown) else { return Ok(()) };
        Err(format!(
            "{name} cannot be restored to position {target}: {why}, because no server got it before {name} was \
             deleted; choose a position before that write or after the deletion, or other collections with --collection"
        ))
    }
}

/// The names, entry by entry.
#[derive(Debug)]
pub struct Fold {
    catalog: Catalog,
    origins: HashMap<CollectionId, Origin>,
    changes: HashMap<CollectionId, Vec<Map<String, Value>>>,
    unknown: HashMap<CollectionId, String>,
}

impl Fold {
    pub fn of(names: &Names) -> Fold {
        let Names { tenants, databases, collections } = names.clone();
        Fold {
            origins: collections.iter().map(|(id, ..)| (*id, Origin::Base)).collect(),
            catalog: Catalog::recovered(tenants, databases, collections, Vec::new()),
            changes: HashMap::new(),
            unknown: HashMap::new(),
        }
    }

    /// The next entry of the log. What the names show already ends the same.
    pub fn log(&mut self, logged: &Logged) -> Result<(), String> {
        if !logged.is_accepted() {
            return Ok(());
        }
        if logged.op.is_record() {
            if let (Some(id), Err(why)) = (logged.collection(), logged.known()) {
                self.unknown.entry(id).or_insert(why);
            }
            return Ok(());
        }
        let body = fields(logged)?;
        for step in moves(logged, &body)? {
            if let Move::CollectionCreated { id, .. } = &step {
                self.origins.insert(*id, Origin::Created(body.clone()));
            }
            self.catalog.apply(&step);
        }
        if let (Op::ModifyCollection, Some(Effect::Collection { id })) = (logged.op, &logged.effect) {
            let change: Map<String, Value> =
                body.into_iter().filter(|(field, value)| field != "new_name" && !value.is_null()).collect();
            if !change.is_empty() {
                self.changes.entry(*id).or_default().push(change);
            }
        }
        Ok(())
    }

    pub fn plan(mut self) -> Plan {
        let mut plan = Plan {
            tenants: self.catalog.tenants().map(str::to_owned).collect(),
            databases: self
                .catalog
                .databases()
                .map(|(tenant, name)| {
                    let id = self.catalog.database(tenant, name).unwrap_or_default();
                    (id, tenant.to_owned(), name.to_owned())
                })
                .collect(),
            collections: Vec::new(),
        };
        let ids: Vec<CollectionId> = self.catalog.ids().collect();
        for id in ids {
            let (Some(there), Some(origin)) = (self.catalog.collection(id), self.origins.remove(&id)) else {
                continue;
            };
            plan.collections.push(Planned {
                id,
                tenant: there.tenant.clone(),
                database: there.database.clone(),
                name: there.name.clone(),
                origin,
                changes: self.changes.remove(&id).unwrap_or_default(),
                unknown: self.unknown.remove(&id),
            });
        }
        plan.tenants.sort();
        plan.databases.sort_by(|a, b| (&a.1, &a.2).cmp(&(&b.1, &b.2)));
        plan.collections
            .sort_by(|a, b| (&a.tenant, &a.database, &a.name).cmp(&(&b.tenant, &b.database, &b.name)));
        plan
    }
}

/// Of what bears one: a delete may come with whatever its client sent along.
fn fields(logged: &Logged) -> Result<Map<String, Value>, String> {
    Ok(serde_json::from_slice(&logged.request_body()?).unwrap_or_default())
}

/// What an accepted entry did to the names.
fn moves(logged: &Logged, body: &Map<String, Value>) -> Result<Vec<Move>, String> {
    let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
    let strange = || format!("entry {} ({}) cannot be understood", logged.seq, logged.op.name());
    let effect = match &logged.effect {
        Some(Effect::Collection { id }) => Some(*id),
        _ => None,
    };
    let Route::Write(write) = route::classify(&logged.method, &logged.path) else { return Err(strange()) };
    let seq = logged.seq;
    Ok(match write {
        Write::CreateCollection { tenant, database } => {
            let (id, name) = (effect.ok_or_else(strange)?, text("name").ok_or_else(strange)?);
            // It took one that was there, otherwise.
            let made = logged.target == Some(id.0);
            let step = Move::CollectionCreated { id, tenant, database, name };
            made.then_some(step).into_iter().collect()
        }
        Write::ModifyCollection { .. } => {
            let id = effect.ok_or_else(strange)?;
            text("new_name").map(|name| Move::CollectionRenamed { id, name }).into_iter().collect()
        }
        Write::DeleteCollection { .. } => {
            vec![Move::CollectionDeleted { id: effect.ok_or_else(strange)?, seq }]
        }
        Write::CreateDatabase { tenant } => {
            let id = logged.target.ok_or_else(strange)?;
            vec![Move::DatabaseCreated { id, tenant, name: text("name").ok_or_else(strange)? }]
        }
        Write::DeleteDatabase { tenant, database } => {
            vec![Move::DatabaseDeleted { tenant, name: database, seq }]
        }
        Write::CreateTenant => vec![Move::TenantCreated { name: text("name").ok_or_else(strange)? }],
        Write::UpdateTenant { .. } => Vec::new(),
        Write::Reset => vec![Move::Reset { seq }],
        Write::Record { .. } => return Err(strange()),
    })
}
