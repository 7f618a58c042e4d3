//! One API key: its name, what it may do, whose data it reaches. What a request asks is told elsewhere.

use std::fmt;

use sha2::{Digest, Sha256};

use super::asked::{Asked, Of};
use crate::ids::CollectionId;

/// What a key may do. Who may write may read; who may operate the balancer may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Read,
    Write,
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }
}

/// Whose data a key reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Everybody's: it is not bound.
    Everything,
    Tenant(String),
    Database {
        tenant: String,
        database: String,
    },
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bounds::Everything => f.write_str("nothing"),
            Bounds::Tenant(tenant) => write!(f, "tenant `{tenant}`"),
            Bounds::Database { tenant, database } => write!(f, "database `{database}` of tenant `{tenant}`"),
        }
    }
}

/// SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    pub fn of(key: &[u8]) -> Hash {
        Hash(Sha256::digest(key).into())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// For lines, audits and answers. No secret.
    pub name: String,
    pub scope: Scope,
    pub bounds: Bounds,
    pub hash: Hash,
}

/// Whether a key may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// If this collection really is within the key's bounds. Where it is, the path does not prove: servers
    /// look for records by id alone.
    IfWithin(CollectionId),
    Refused(Refusal),
}

/// Why a key may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Scope { name: String, has: Scope, needs: Scope },
    Outside { name: String, bounds: Bounds },
    Bound { name: String, bounds: Bounds },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Scope { name, has, needs } => {
                write!(f, "key `{name}` has scope {}, and this needs {}", has.name(), needs.name())
            }
            Refusal::Outside { name, bounds } => {
                write!(f, "key `{name}` is bound to {bounds}, and this is outside")
            }
            Refusal::Bound { name, bounds } => {
                write!(f, "key `{name}` is bound to {bounds}, and this needs a key that is not bound")
            }
        }
    }
}

impl Key {
    pub fn is_bound(&self) -> bool {
        self.bounds != Bounds::Everything
    }

    /// Whether what is in this database is within its bounds.
    pub fn reaches(&self, tenant: &str, database: &str) -> bool {
        match &self.bounds {
            Bounds::Everything => true,
            Bounds::Tenant(own) => own == tenant,
            Bounds::Database { tenant: own, database: only } => own == tenant && only == database,
        }
    }

    pub fn may(&self, asked: &Asked<'_>) -> Verdict {
        let (name, bounds) = (self.name.clone(), self.bounds.clone());
        if self.scope < asked.scope {
            return Verdict::Refused(Refusal::Scope { name, has: self.scope, needs: asked.scope });
        }
        if !self.is_bound() {
            return Verdict::Allowed;
        }
        let within = match asked.of {
            Of::Nobody => true,
            Of::Everybody => return Verdict::Refused(Refusal::Bound { name, bounds }),
            Of::NameOfTenant(tenant) => match &self.bounds {
                Bounds::Everything => true,
                Bounds::Tenant(own) | Bounds::Database { tenant: own, .. } => own == tenant,
            },
            Of::Tenant(tenant) => matches!(&self.bounds, Bounds::Tenant(own) if own == tenant),
            Of::Database(tenant, database) => self.reaches(tenant, database),
            Of::Collection(id) => return Verdict::IfWithin(id),
            Of::CollectionSaidIn(tenant, database, id) if self.reaches(tenant, database) => {
                return Verdict::IfWithin(id);
            }
            Of::CollectionSaidIn(..) => false,
        };
        if within { Verdict::Allowed } else { Verdict::Refused(Refusal::Outside { name, bounds }) }
    }
}
