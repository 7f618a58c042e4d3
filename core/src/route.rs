//! What a request means: which of its method and path are a read, which a logged write, which are
//! refused. One table for every request that reaches the balancer. It refuses to look at bodies,
//! headers or query strings, and to guess: what it does not know and could change a node is refused.

pub(crate) mod path;
mod place;
mod refusal;
mod share;

use uuid::Uuid;

use crate::entry::Op;
use crate::ids::CollectionId;

pub use path::{
    collection_by_id_path, collection_by_name_path, collections_path, databases_path, encode, records_path,
    with_collection,
};
pub use refusal::{Feature, PathFault, Refusal};
pub use share::Share;

/// What a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Changes nothing: any node that is far enough may answer.
    Read(Read),
    /// Goes into the log before any node sees it.
    Write(Write),
    /// Answered here; no node sees it.
    Refused(Refusal),
    /// A request in the old API: `v1` says which v2 request it stands for.
    V1,
}

/// A request that changes nothing. `HEAD` means what `GET` means; the method itself is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Any node can answer, from its own configuration: heartbeat, version, documentation, and every
    /// `OPTIONS`.
    Server,
    /// A `GET` that the table does not know. A node says 404 itself; a newer one may know it.
    Unknown,
    /// What a server takes in one request. The answer must be true of every node.
    PreFlight,
    /// Catalog answers carry ids, so they are parsed.
    ListCollections {
        tenant: String,
        database: String,
    },
    CountCollections {
        tenant: String,
        database: String,
    },
    CollectionByName {
        tenant: String,
        database: String,
        name: String,
    },
    CollectionById {
        tenant: String,
        database: String,
        id: CollectionId,
    },
    /// `tenant:database:name` in one segment. A node of 1.5.9 closes the connection unanswered, so it
    /// must never be forwarded as it is; it means the same as by name.
    CollectionByCrn {
        tenant: String,
        database: String,
        name: String,
    },
    GetDatabase {
        tenant: String,
        database: String,
    },
    ListDatabases {
        tenant: String,
    },
    GetTenant {
        tenant: String,
    },
    /// A read inside one collection: streamed untouched but for the id in its path.
    Records {
        collection: CollectionId,
        verb: RecordRead,
    },
}

/// What is asked of one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordRead {
    Get,
    Query,
    Count,
    Search,
    IndexingStatus,
    ForkCount,
    /// `functions/{name}`: an attached function's description.
    Function,
    /// A `GET` below a collection that the table does not know: harmless, but its id needs translation.
    Other,
}

/// A request that changes something: always logged first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// `op` is one of add, upsert, update and delete.
    Record {
        op: Op,
        collection: CollectionId,
    },
    CreateCollection {
        tenant: String,
        database: String,
    },
    /// Rename, metadata or configuration; a node ignores tenant and database here.
    ModifyCollection {
        collection: CollectionId,
    },
    DeleteCollection {
        tenant: String,
        database: String,
        name: String,
    },
    CreateDatabase {
        tenant: String,
    },
    DeleteDatabase {
        tenant: String,
        database: String,
    },
    CreateTenant,
    UpdateTenant {
        tenant: String,
    },
    Reset,
}

/// Classifies a request. `path` is the raw path as it came, still percent-encoded, without the query.
pub fn classify(method: &str, path: &str) -> Route {
    if let Err(fault) = path::check(path) {
        return Route::Refused(Refusal::MalformedPath(fault));
    }
    let mut space = [""; path::DEEPEST];
    let segments = path::segments(path, &mut space);
    if let ["api", "v1", ..] = segments {
        return Route::V1;
    }
    if method == "OPTIONS" {
        // Whether cross-origin requests are allowed is a setting of the nodes.
        return Route::Read(Read::Server);
    }
    place::Place::find(segments).route(method)
}

/// A collection id in any spelling that a node takes: with and without dashes, upper case,
/// `{…}` and `urn:uuid:…`. The segment must be percent-decoded already.
pub fn parse_collection_id(raw: &str) -> Option<CollectionId> {
    // The prefix in capitals is no id to a node, but to some releases of the parser.
    if raw.starts_with(['u', 'U']) && !raw.starts_with("urn:uuid:") {
        return None;
    }
    Uuid::parse_str(raw).ok().map(CollectionId)
}

impl Route {
    /// The name of the route in metrics: one of a small fixed set.
    pub fn label(&self) -> &'static str {
        match self {
            Route::Read(read) => read.label(),
            Route::Write(write) => write.op().name(),
            Route::Refused(refusal) => refusal.label(),
            Route::V1 => "v1",
        }
    }

    /// What kind of work it is, for figures: a client's read or write, or something else.
    pub fn class(&self) -> &'static str {
        match self {
            Route::Read(Read::Server | Read::PreFlight | Read::Unknown) => "server",
            Route::Read(_) => "read",
            Route::Write(_) => "write",
            Route::Refused(_) => "refused",
            Route::V1 => "v1",
        }
    }
}

impl Read {
    /// Whether any node can answer, whatever it holds.
    pub fn is_of_any_node(&self) -> bool {
        matches!(self, Read::Server | Read::PreFlight | Read::Unknown)
    }

    pub fn label(&self) -> &'static str {
        match self {
            Read::Server | Read::PreFlight | Read::Unknown => "server",
            Read::ListCollections { .. } => "list_collections",
            Read::CountCollections { .. } => "count_collections",
            Read::CollectionByName { .. } => "get_collection",
            Read::CollectionById { .. } => "get_collection_by_id",
            Read::CollectionByCrn { .. } => "get_collection_by_crn",
            Read::GetDatabase { .. } => "get_database",
            Read::ListDatabases { .. } => "list_databases",
            Read::GetTenant { .. } => "get_tenant",
            Read::Records { verb, .. } => verb.label(),
        }
    }
}

impl RecordRead {
    pub fn label(self) -> &'static str {
        match self {
            RecordRead::Get => "get",
            RecordRead::Query => "query",
            RecordRead::Count => "count",
            RecordRead::Search => "search",
            RecordRead::IndexingStatus => "indexing_status",
            RecordRead::ForkCount => "fork_count",
            RecordRead::Function => "get_function",
            RecordRead::Other => "collection_other",
        }
    }
}

impl Write {
    /// What the log calls it.
    pub fn op(&self) -> Op {
        match self {
            Write::Record { op, .. } => *op,
            Write::CreateCollection { .. } => Op::CreateCollection,
            Write::ModifyCollection { .. } => Op::ModifyCollection,
            Write::DeleteCollection { .. } => Op::DeleteCollection,
            Write::CreateDatabase { .. } => Op::CreateDatabase,
            Write::DeleteDatabase { .. } => Op::DeleteDatabase,
            Write::CreateTenant => Op::CreateTenant,
            Write::UpdateTenant { .. } => Op::UpdateTenant,
            Write::Reset => Op::Reset,
        }
    }
}

#[cfg(test)]
mod tests;
