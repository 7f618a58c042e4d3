//! Which collections and databases exist, under which ids. One value per balancer, changed only by
//! the moves of decided entries; the same moves change the tables. It does not know the nodes' own
//! ids: those belong to each node's log (`sequencer`).

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{CollectionId, Seq};

pub const DEFAULT_TENANT: &str = "default_tenant";
pub const DEFAULT_DATABASE: &str = "default_database";

/// One step of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "move", rename_all = "snake_case")]
pub enum Move {
    TenantCreated {
        name: String,
    },
    DatabaseCreated {
        id: Uuid,
        tenant: String,
        name: String,
    },
    /// Its collections go with it.
    DatabaseDeleted {
        tenant: String,
        name: String,
        seq: Seq,
    },
    CollectionCreated {
        id: CollectionId,
        tenant: String,
        database: String,
        name: String,
    },
    CollectionRenamed {
        id: CollectionId,
        name: String,
    },
    CollectionDeleted {
        id: CollectionId,
        seq: Seq,
    },
    /// Everything goes; the default tenant and database stay.
    Reset {
        seq: Seq,
    },
}

impl Move {
    /// Whether collections may be gone after it.
    pub fn deletes(&self) -> bool {
        matches!(self, Move::CollectionDeleted { .. } | Move::DatabaseDeleted { .. } | Move::Reset { .. })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    pub tenant: String,
    pub database: String,
    pub name: String,
}

type Place = (String, String, String);

#[derive(Clone, Debug, Default)]
pub struct Catalog {
    tenants: HashSet<String>,
    databases: HashMap<(String, String), Uuid>,
    collections: HashMap<CollectionId, Collection>,
    names: HashMap<Place, CollectionId>,
    /// Deleted collections and the entry that deleted them; a node may still be behind it.
    deleted: HashMap<CollectionId, Seq>,
}

impl Catalog {
    /// What a server has before the first write.
    pub fn fresh() -> Catalog {
        let mut catalog = Catalog::default();
        catalog.restore_defaults();
        catalog
    }

    pub fn recovered(
        tenants: Vec<String>,
        databases: Vec<(Uuid, String, String)>,
        collections: Vec<(CollectionId, String, String, String)>,
        deleted: Vec<(CollectionId, Seq)>,
    ) -> Catalog {
        // The log has the defaults, too, unless they were deleted.
        let mut catalog = Catalog::default();
        catalog.tenants.extend(tenants);
        catalog.databases.extend(databases.into_iter().map(|(id, t, n)| ((t, n), id)));
        for (id, tenant, database, name) in collections {
            catalog.insert(id, Collection { tenant, database, name });
        }
        catalog.deleted.extend(deleted);
        catalog
    }

    pub fn apply(&mut self, step: &Move) {
        match step {
            Move::TenantCreated { name } => {
                self.tenants.insert(name.clone());
            }
            Move::DatabaseCreated { id, tenant, name } => {
                self.databases.insert((tenant.clone(), name.clone()), *id);
            }
            Move::DatabaseDeleted { tenant, name, seq } => {
                for id in self.collections_in(tenant, name) {
                    self.remove(id, *seq);
                }
                self.databases.remove(&(tenant.clone(), name.clone()));
            }
            Move::CollectionCreated { id, tenant, database, name } => self.insert(
                *id,
                Collection { tenant: tenant.clone(), database: database.clone(), name: name.clone() },
            ),
            Move::CollectionRenamed { id, name } => self.rename(*id, name),
            Move::CollectionDeleted { id, seq } => self.remove(*id, *seq),
            Move::Reset { seq } => {
                let all: Vec<_> = self.collections.keys().copied().collect();
                all.into_iter().for_each(|id| self.remove(id, *seq));
                self.tenants.clear();
                self.databases.clear();
                self.restore_defaults();
            }
        }
    }

    fn restore_defaults(&mut self) {
        self.tenants.insert(DEFAULT_TENANT.to_owned());
        self.databases.insert((DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned()), Uuid::nil());
    }

    fn insert(&mut self, id: CollectionId, collection: Collection) {
        self.names.insert(collection.place(), id);
        self.collections.insert(id, collection);
    }

    fn rename(&mut self, id: CollectionId, name: &str) {
        if let Some(mut collection) = self.collections.remove(&id) {
            self.names.remove(&collection.place());
            name.clone_into(&mut collection.name);
            self.insert(id, collection);
        }
    }

    fn remove(&mut self, id: CollectionId, seq: Seq) {
        if let Some(collection) = self.collections.remove(&id) {
            self.names.remove(&collection.place());
        }
        self.deleted.insert(id, seq);
    }

    pub fn collections_in(&self, tenant: &str, database: &str) -> Vec<CollectionId> {
        let inside = |c: &Collection| c.tenant == tenant && c.database == database;
        self.collections.iter().filter(|(_, c)| inside(c)).map(|(id, _)| *id).collect()
    }

    pub fn ids(&self) -> impl Iterator<Item = CollectionId> + '_ {
        self.collections.keys().copied()
    }

    /// Every database: tenant and name.
    pub fn databases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.databases.keys().map(|(tenant, name)| (tenant.as_str(), name.as_str()))
    }

    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.iter().map(String::as_str)
    }

    pub fn collection(&self, id: CollectionId) -> Option<&Collection> {
        self.collections.get(&id)
    }

    pub fn named(&self, tenant: &str, database: &str, name: &str) -> Option<CollectionId> {
        self.names.get(&(tenant.to_owned(), database.to_owned(), name.to_owned())).copied()
    }

    pub fn deleted_at(&self, id: CollectionId) -> Option<Seq> {
        self.deleted.get(&id).copied()
    }

    pub fn database(&self, tenant: &str, name: &str) -> Option<Uuid> {
        self.databases.get(&(tenant.to_owned(), name.to_owned())).copied()
    }

    pub fn has_tenant(&self, name: &str) -> bool {
        self.tenants.contains(name)
    }

    pub fn len(&self) -> usize {
        self.collections.len()
    }

    pub fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }

    /// Forgets deletions that every node has passed; whether there were any.
    pub fn forget_deleted(&mut self, through: Seq) -> bool {
        let before = self.deleted.len();
        self.deleted.retain(|_, seq| *seq > through);
        self.deleted.len() < before
    }
}

impl Collection {
    fn place(&self) -> Place {
        (self.tenant.clone(), self.database.clone(), self.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> CollectionId {
        CollectionId(Uuid::from_u128(n))
    }

    fn created(n: u128, name: &str) -> Move {
        Move::CollectionCreated {
            id: id(n),
            tenant: DEFAULT_TENANT.into(),
            database: DEFAULT_DATABASE.into(),
            name: name.into(),
        }
    }

    fn named(catalog: &Catalog, name: &str) -> Option<CollectionId> {
        catalog.named(DEFAULT_TENANT, DEFAULT_DATABASE, name)
    }

    #[test]
    fn a_name_deleted_and_created_again_is_another_collection() {
        let mut catalog = Catalog::fresh();
        catalog.apply(&created(1, "docs"));
        catalog.apply(&Move::CollectionDeleted { id: id(1), seq: Seq(2) });
        assert_eq!(named(&catalog, "docs"), None);
        catalog.apply(&created(3, "docs"));
        assert_eq!(named(&catalog, "docs"), Some(id(3)));
        assert_eq!(catalog.deleted_at(id(1)), Some(Seq(2)));
    }

    #[test]
    fn a_rename_frees_the_old_name() {
        let mut catalog = Catalog::fresh();
        catalog.apply(&created(1, "docs"));
        catalog.apply(&Move::CollectionRenamed { id: id(1), name: "papers".into() });
        assert_eq!((named(&catalog, "docs"), named(&catalog, "papers")), (None, Some(id(1))));
    }

    #[test]
    fn reset_and_database_delete_take_their_collections_along() {
        let mut catalog = Catalog::fresh();
        catalog.apply(&created(1, "docs"));
        catalog.apply(&Move::DatabaseDeleted {
            tenant: DEFAULT_TENANT.into(),
            name: DEFAULT_DATABASE.into(),
            seq: Seq(2),
        });
        assert!(catalog.is_empty());
        catalog.apply(&Move::TenantCreated { name: "acme".into() });
        catalog.apply(&Move::Reset { seq: Seq(4) });
        assert!(!catalog.has_tenant("acme"));
        assert_eq!(catalog.database(DEFAULT_TENANT, DEFAULT_DATABASE), Some(Uuid::nil()));
    }

    #[test]
    fn a_deleted_default_database_does_not_come_back_with_a_restart() {
        let catalog = Catalog::recovered(vec![DEFAULT_TENANT.into()], Vec::new(), Vec::new(), Vec::new());
        assert!(catalog.has_tenant(DEFAULT_TENANT));
        assert_eq!(catalog.database(DEFAULT_TENANT, DEFAULT_DATABASE), None);
    }
}
