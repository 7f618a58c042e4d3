//! The names of a cluster at one moment: tenants, databases, and which collection bears which name. And
//! what one entry of the log must make of them.

use std::collections::{BTreeMap, BTreeSet};

use chroma_ha_core::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use chroma_ha_core::entry::Entry;
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::route::{Route, Write};

use super::chroma::{is_good_name, parsed};

/// Tenant, database and name of a collection.
pub type Place = (String, String, String);
/// Tenant and name of a database.
pub type Database = (String, String);

#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    pub tenants: BTreeSet<String>,
    pub databases: BTreeSet<Database>,
    pub collections: BTreeMap<Place, CollectionId>,
}

impl Default for Names {
    /// What a server has before the first write.
    fn default() -> Names {
        Names {
            tenants: BTreeSet::from([DEFAULT_TENANT.to_owned()]),
            databases: BTreeSet::from([(DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned())]),
            collections: BTreeMap::new(),
        }
    }
}

impl Names {
    pub fn ids(&self) -> Vec<CollectionId> {
        self.collections.values().copied().collect()
    }

    /// The same but for who bears the names, and for empty tenants and databases: a look at a node makes
    /// them again as long as the entry that removed them is not concluded.
    pub fn is_nearly(&self, other: &Names) -> bool {
        self.tenants.is_superset(&other.tenants)
            && self.databases.is_superset(&other.databases)
            && self.collections.keys().eq(other.collections.keys())
    }

    pub fn place(&self, id: CollectionId) -> Option<Place> {
        self.collections.iter().find(|(_, other)| **other == id).map(|(place, _)| place.clone())
    }
}

/// The names after the entry; `None` if it must be refused.
pub fn predicted(entry: &Entry, before: &Names) -> Option<Names> {
    let mut names = before.clone();
    let body = parsed(&entry.draft.body);
    let named = |field: &str| body[field].as_str().map(str::to_owned);
    let target = CollectionId(entry.draft.target.unwrap_or_default());
    match entry.route() {
        Route::Write(Write::CreateCollection { tenant, database }) => {
            let name = named("name").filter(|name| is_good_name(name))?;
            names.databases.get(&(tenant.clone(), database.clone()))?;
            let id = *names.collections.entry((tenant, database, name)).or_insert(target);
            if id != target && body["get_or_create"] != true {
                return None;
            }
        }
        Route::Write(Write::ModifyCollection { .. }) => {
            let old = before.place(target)?;
            names.collections.remove(&old);
            if names.collections.insert((old.0, old.1, named("new_name")?), target).is_some() {
                return None;
            }
        }
        Route::Write(Write::DeleteCollection { tenant, database, name }) => {
            names.collections.remove(&(tenant, database, name))?;
        }
        Route::Write(Write::CreateTenant) => {
            names.tenants.insert(named("name")?).then_some(())?;
        }
        Route::Write(Write::CreateDatabase { tenant }) => {
            names.tenants.get(&tenant)?;
            names.databases.insert((tenant, named("name")?)).then_some(())?;
        }
        Route::Write(Write::DeleteDatabase { tenant, database }) => {
            names.databases.remove(&(tenant.clone(), database.clone())).then_some(())?;
            names.collections.retain(|(t, d, _), _| (t, d) != (&tenant, &database));
        }
        Route::Write(Write::Reset) => names = Names::default(),
        _ => return None,
    }
    Some(names)
}
