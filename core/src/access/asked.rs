//! What does a request ask, and of whose data? Said of every route, so that no new one is let through
//! unjudged. It does not know who asks.

use super::key::Scope;
use crate::ids::CollectionId;
use crate::route::{Read, Route, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// At least.
    pub scope: Scope,
    pub of: Of<'a>,
}

/// Whose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'a> {
    /// What every server says of itself, and what is refused whoever asks.
    Nobody,
    /// The whole cluster, or something whose owner is not known.
    Everybody,
    /// That a tenant exists: who uses one of its databases may know.
    NameOfTenant(&'a str),
    /// Which databases a tenant has.
    Tenant(&'a str),
    Database(&'a str, &'a str),
    /// A collection, wherever it is.
    Collection(CollectionId),
    /// The same, and both the place that the path says and the real one count.
    CollectionSaidIn(&'a str, &'a str, CollectionId),
}

/// A browser asks so whether it may ask, and shows no key then. It changes nothing and tells nothing of anybody's.
pub fn asks_for_no_key(method: &str) -> bool {
    method == "OPTIONS"
}

/// What the old API asks for is known once it has been translated: until then any key will do.
pub fn asked(route: &Route) -> Asked<'_> {
    let (scope, of) = match route {
        Route::Read(read) => (Scope::Read, read_of(read)),
        Route::Write(write) => written(write),
        Route::Refused(_) | Route::V1 => (Scope::Read, Of::Nobody),
    };
    Asked { scope, of }
}

fn read_of(read: &Read) -> Of<'_> {
    match read {
        Read::Server | Read::PreFlight => Of::Nobody,
        // A newer server may answer with anybody's data.
        Read::Unknown => Of::Everybody,
        Read::ListCollections { tenant, database }
        | Read::CountCollections { tenant, database }
        | Read::CollectionByName { tenant, database, .. }
        | Read::CollectionByCrn { tenant, database, .. }
        | Read::GetDatabase { tenant, database } => Of::Database(tenant, database),
        Read::CollectionById { tenant, database, id } => Of::CollectionSaidIn(tenant, database, *id),
        Read::ListDatabases { tenant } => Of::Tenant(tenant),
        Read::GetTenant { tenant } => Of::NameOfTenant(tenant),
        Read::Records { collection, .. } => Of::Collection(*collection),
    }
}

fn written(write: &Write) -> (Scope, Of<'_>) {
    match write {
        Write::Record { collection, .. } | Write::ModifyCollection { collection } => {
            (Scope::Write, Of::Collection(*collection))
        }
        Write::CreateCollection { tenant, database } | Write::DeleteCollection { tenant, database, .. } => {
            (Scope::Write, Of::Database(tenant, database))
        }
        // A key that is bound to a database could not make it anew.
        Write::CreateDatabase { tenant } | Write::DeleteDatabase { tenant, .. } => {
            (Scope::Write, Of::Tenant(tenant))
        }
        Write::CreateTenant | Write::UpdateTenant { .. } => (Scope::Write, Of::Everybody),
        // It deletes everything of everybody.
        Write::Reset => (Scope::Admin, Of::Everybody),
    }
}
