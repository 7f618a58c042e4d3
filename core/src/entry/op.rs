//! What can a logged write do, and by which names is that known? It knows nothing of bodies.

use serde::{Deserialize, Serialize};

/// What a logged write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Add,
    Upsert,
    Update,
    /// Records, by ids or by a filter.
    Delete,
    CreateCollection,
    /// Rename, metadata or configuration.
    ModifyCollection,
    DeleteCollection,
    CreateDatabase,
    DeleteDatabase,
    CreateTenant,
    UpdateTenant,
    /// Every tenant, database and collection is dropped and the defaults come back.
    Reset,
}

impl Op {
    pub const ALL: [Op; 12] = [
        Op::Add,
        Op::Upsert,
        Op::Update,
        Op::Delete,
        Op::CreateCollection,
        Op::ModifyCollection,
        Op::DeleteCollection,
        Op::CreateDatabase,
        Op::DeleteDatabase,
        Op::CreateTenant,
        Op::UpdateTenant,
        Op::Reset,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Op::Add => "add",
            Op::Upsert => "upsert",
            Op::Update => "update",
            Op::Delete => "delete",
            Op::CreateCollection => "create_collection",
            Op::ModifyCollection => "modify_collection",
            Op::DeleteCollection => "delete_collection",
            Op::CreateDatabase => "create_database",
            Op::DeleteDatabase => "delete_database",
            Op::CreateTenant => "create_tenant",
            Op::UpdateTenant => "update_tenant",
            Op::Reset => "reset",
        }
    }

    pub fn parse(name: &str) -> Option<Op> {
        Op::ALL.into_iter().find(|op| op.name() == name)
    }

    /// Whether it can make a collection disappear: record writes logged after it wait for its decision.
    pub fn is_destructive(self) -> bool {
        matches!(self, Op::DeleteCollection | Op::DeleteDatabase | Op::Reset)
    }

    /// A record write belongs to its collection's stream; everything else to the catalog's.
    pub fn is_record(self) -> bool {
        matches!(self, Op::Add | Op::Upsert | Op::Update | Op::Delete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_is_found_by_its_name() {
        for op in Op::ALL {
            assert_eq!(Op::parse(op.name()), Some(op));
        }
        assert_eq!(Op::parse("drop"), None);
    }
}
