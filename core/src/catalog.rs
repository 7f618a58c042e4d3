//! Which collections and databases exist, under which ids, on which node.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{CollectionId, Seq};

/// One step of the catalog. The same value changes the catalog in memory and its tables.
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
