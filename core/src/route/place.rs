//! The table: which places Chroma's paths name, which methods each knows, and what those mean. It
//! gets checked segments only and refuses whatever method a place does not know.

use super::path::decode;
use super::refusal::{Feature, Refusal};
use super::{Read, RecordRead, Route, Write, parse_collection_id};
use crate::entry::Op;

/// What a path names. Fixed segments match raw, as in Chroma: `/api/v2/%68eartbeat` is unknown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// Something every node says of itself.
    Server,
    PreFlight,
    Reset,
    Crn(&'a str),
    Tenants,
    Tenant(&'a str),
    Databases(&'a str),
    Database(&'a str, &'a str),
    CollectionsCount(&'a str, &'a str),
    Collections(&'a str, &'a str),
    ById(&'a str, &'a str, &'a str),
    /// One collection: `GET` and `DELETE` take a name, `PUT` an id.
    Collection(&'a str, &'a str, &'a str),
    /// Reads and writes below a collection, which take ids only.
    Read(&'a str, RecordRead),
    PostRead(&'a str, RecordRead),
    Write(&'a str, Op),
    Unsupported(Feature),
    /// Below a collection, but in no table.
    UnknownOf(&'a str),
    Unknown,
}

const GET: &str = "GET,HEAD";
const POST: &str = "POST";

impl<'a> Place<'a> {
    pub(super) fn find(segments: &[&'a str]) -> Place<'a> {
        match *segments {
            ["api", "v2"] | ["docs"] | ["docs", ""] | ["openapi.json"] => Place::Server,
            ["api", "v2", "heartbeat" | "healthcheck" | "version"] => Place::Server,
            ["api", "v2", "pre-flight-checks"] => Place::PreFlight,
            ["api", "v2", "auth", "identity"] => Place::Server,
            ["api", "v2", "reset"] => Place::Reset,
            ["api", "v2", "collections", crn] => Place::Crn(crn),
            ["api", "v2", "tenants"] => Place::Tenants,
            // An empty name is no name: what stays unknown is refused, or a node says what it thinks of it.
            ["api", "v2", "tenants", "", ..] | ["api", "v2", "tenants", _, "databases", "", ..] => {
                Place::Unknown
            }
            ["api", "v2", "tenants", tenant] => Place::Tenant(tenant),
            ["api", "v2", "tenants", tenant, "databases"] => Place::Databases(tenant),
            ["api", "v2", "tenants", tenant, "databases", database] => Place::Database(tenant, database),
            ["api", "v2", "tenants", tenant, "databases", database, ref rest @ ..] => {
                Place::in_database(tenant, database, rest)
            }
            _ => Place::Unknown,
        }
    }

    fn in_database(tenant: &'a str, database: &'a str, rest: &[&'a str]) -> Place<'a> {
        match *rest {
            ["collections_count"] => Place::CollectionsCount(tenant, database),
            ["collections"] => Place::Collections(tenant, database),
            ["collections", "", ..] => Place::Unknown,
            ["collections", collection] => Place::Collection(tenant, database, collection),
            ["collections", "by-id", ""] => Place::Unknown,
            ["collections", "by-id", id] => Place::ById(tenant, database, id),
            ["collections", "by-id", ..] => Place::Unknown,
            ["collections", collection, ref verb @ ..] => Place::in_collection(collection, verb),
            _ => Place::Unknown,
        }
    }

    fn in_collection(collection: &'a str, verb: &[&'a str]) -> Place<'a> {
        match *verb {
            ["get"] => Place::PostRead(collection, RecordRead::Get),
            ["query"] => Place::PostRead(collection, RecordRead::Query),
            ["search"] => Place::PostRead(collection, RecordRead::Search),
            ["count"] => Place::Read(collection, RecordRead::Count),
            ["indexing_status"] => Place::Read(collection, RecordRead::IndexingStatus),
            ["fork_count"] => Place::Read(collection, RecordRead::ForkCount),
            ["add"] => Place::Write(collection, Op::Add),
            ["upsert"] => Place::Write(collection, Op::Upsert),
            ["update"] => Place::Write(collection, Op::Update),
            ["delete"] => Place::Write(collection, Op::Delete),
            ["fork"] => Place::Unsupported(Feature::Fork),
            ["functions", "attach"] => Place::Unsupported(Feature::Functions),
            ["attached_functions", name, "detach"] if !name.is_empty() => {
                Place::Unsupported(Feature::Functions)
            }
            ["functions", name] if !name.is_empty() => Place::Read(collection, RecordRead::Function),
            ["conditional", action, ..] if !action.is_empty() => Place::Unsupported(Feature::Conditional),
            _ => Place::UnknownOf(collection),
        }
    }

    /// The methods that the place knows.
    fn allow(self) -> &'static str {
        match self {
            Place::Server
            | Place::PreFlight
            | Place::Crn(_)
            | Place::CollectionsCount(..)
            | Place::ById(..)
            | Place::Read(..) => GET,
            Place::Reset
            | Place::Tenants
            | Place::PostRead(..)
            | Place::Write(..)
            | Place::Unsupported(_) => POST,
            Place::Tenant(_) => "GET,HEAD,PATCH",
            Place::Databases(_) | Place::Collections(..) => "GET,HEAD,POST",
            Place::Database(..) => "GET,HEAD,DELETE",
            Place::Collection(..) => "GET,HEAD,PUT,DELETE",
            Place::UnknownOf(_) | Place::Unknown => "",
        }
    }

    /// What the method means here.
    pub(super) fn route(self, method: &str) -> Route {
        let read = matches!(method, "GET" | "HEAD");
        match self {
            Place::Unknown if read => Route::Read(Read::Unknown),
            // A newer node may know it: its id needs translation. What is no id stays a stranger.
            Place::UnknownOf(raw) if read => match parse_collection_id(&decode(raw)) {
                Some(collection) => Route::Read(Read::Records { collection, verb: RecordRead::Other }),
                None => Route::Read(Read::Unknown),
            },
            Place::Unknown | Place::UnknownOf(_) => Route::Refused(Refusal::UnknownMutation),
            // Also with methods of a later release: none of them may reach a node.
            Place::Unsupported(feature) if !read => Route::Refused(Refusal::Unsupported(feature)),
            place if !place.allow().split(',').any(|allowed| allowed == method) => {
                Route::Refused(Refusal::MethodNotAllowed { allow: place.allow() })
            }
            place if read => place.read().map_or_else(Route::Refused, Route::Read),
            place => place.not_read(method),
        }
    }

    fn read(self) -> Result<Read, Refusal> {
        Ok(match self {
            Place::PreFlight => Read::PreFlight,
            Place::Crn(raw) => crn(&decode(raw)),
            Place::Tenant(tenant) => Read::GetTenant { tenant: decode(tenant) },
            Place::Databases(tenant) => Read::ListDatabases { tenant: decode(tenant) },
            Place::Database(tenant, database) => {
                Read::GetDatabase { tenant: decode(tenant), database: decode(database) }
            }
            Place::CollectionsCount(tenant, database) => {
                Read::CountCollections { tenant: decode(tenant), database: decode(database) }
            }
            Place::Collections(tenant, database) => {
                Read::ListCollections { tenant: decode(tenant), database: decode(database) }
            }
            Place::Collection(tenant, database, name) => Read::CollectionByName {
                tenant: decode(tenant),
                database: decode(database),
                name: decode(name),
            },
            Place::ById(tenant, database, raw) => {
                let id = parse_collection_id(&decode(raw)).ok_or(Refusal::InvalidById)?;
                Read::CollectionById { tenant: decode(tenant), database: decode(database), id }
            }
            Place::Read(raw, verb) => records(raw, verb)?,
            Place::Server => Read::Server,
            _ => Read::Unknown,
        })
    }

    fn not_read(self, method: &str) -> Route {
        let found = match (self, method) {
            (Place::PostRead(raw, verb), "POST") => {
                return records(raw, verb).map_or_else(Route::Refused, Route::Read);
            }
            (Place::Write(raw, op), "POST") => id(raw).map(|collection| Write::Record { op, collection }),
            (Place::Collection(_, _, raw), "PUT") => {
                id(raw).map(|collection| Write::ModifyCollection { collection })
            }
            (Place::Collection(tenant, database, name), "DELETE") => Ok(Write::DeleteCollection {
                tenant: decode(tenant),
                database: decode(database),
                name: decode(name),
            }),
            (Place::Collections(tenant, database), "POST") => {
                Ok(Write::CreateCollection { tenant: decode(tenant), database: decode(database) })
            }
            (Place::Databases(tenant), "POST") => Ok(Write::CreateDatabase { tenant: decode(tenant) }),
            (Place::Database(tenant, database), "DELETE") => {
                Ok(Write::DeleteDatabase { tenant: decode(tenant), database: decode(database) })
            }
            (Place::Tenants, "POST") => Ok(Write::CreateTenant),
            (Place::Tenant(tenant), "PATCH") => Ok(Write::UpdateTenant { tenant: decode(tenant) }),
            (Place::Reset, "POST") => Ok(Write::Reset),
            // A row in `allow` without a meaning here: fail closed.
            _ => Err(Refusal::UnknownMutation),
        };
        found.map_or_else(Route::Refused, Route::Write)
    }
}

fn id(raw: &str) -> Result<crate::ids::CollectionId, Refusal> {
    parse_collection_id(&decode(raw)).ok_or(Refusal::InvalidCollectionId)
}

fn records(raw: &str, verb: RecordRead) -> Result<Read, Refusal> {
    Ok(Read::Records { collection: id(raw)?, verb })
}

/// A well-formed CRN; anything else a node refuses itself, and answers.
fn crn(text: &str) -> Read {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [tenant, database, name] if !tenant.is_empty() && !database.is_empty() && !name.is_empty() => {
            Read::CollectionByCrn {
                tenant: tenant.to_owned(),
                database: database.to_owned(),
                name: name.to_owned(),
            }
        }
        _ => Read::Unknown,
    }
}
