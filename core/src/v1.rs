//! Which v2 request an old `/api/v1` request stands for, and how the v2 answer looks to an old client.
//! Facts from releases 0.4.24 to 0.6.3, the last that served v1. It resolves no name itself and never
//! makes more out of a request than it said: what no release knew is refused.

mod answer;
mod request;

use bytes::Bytes;

use crate::ids::CollectionId;
use crate::route::parse_collection_id;
use crate::route::path::{decode, encode};
use crate::route::{PathFault, Refusal, collection_by_name_path, path, with_collection};

pub use answer::{Caller, Shape, VERSION, shape};
use request::Query;

/// A v2 request, and what to do with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    pub method: &'static str,
    /// v2 path and query. While `collection` is unresolved its segment is what the client wrote.
    pub path_and_query: String,
    pub body: Bytes,
    /// The collection that the path names, if one. See [`Translated::resolve`].
    pub collection: Option<NameOrId>,
    pub shape: Shape,
}

/// What an old path says about a collection: users put names where ids belong and the reverse. A name
/// may look like an id, so the place decides which is tried first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameOrId {
    pub tenant: String,
    pub database: String,
    /// The segment, decoded.
    pub text: String,
    /// The segment as an id, if it is one.
    pub id: Option<CollectionId>,
    /// What v2 takes in this place.
    pub wants: Wants,
}

/// What v2 takes where the collection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// `GET` and `DELETE` of a collection.
    Name,
    /// `PUT` of a collection, and its records.
    Id,
}

impl Translated {
    /// The request with the collection's id in its path.
    pub fn with_id(mut self, id: CollectionId) -> Translated {
        self.path_and_query = with_collection(&self.path_and_query, id.0);
        self.collection = None;
        self
    }

    /// The request with the collection's name, and where that name holds, as its path.
    pub fn with_name(mut self, tenant: &str, database: &str, name: &str) -> Translated {
        self.path_and_query = collection_by_name_path(tenant, database, name);
        self.collection = None;
        self
    }

    /// Settles what the path names. `by_name` finds a collection's id by tenant, database and name;
    /// `by_id` finds tenant, database and name by id. An unknown name is left to the node where v2
    /// takes names, so that its answer is the client's.
    pub fn resolve(
        self,
        by_name: impl FnOnce(&str, &str, &str) -> Option<CollectionId>,
        by_id: impl FnOnce(CollectionId) -> Option<(String, String, String)>,
    ) -> Result<Translated, Refusal> {
        let Some(asked) = &self.collection else { return Ok(self) };
        let known = asked.id.and_then(|id| by_id(id).map(|place| (id, place)));
        let named = by_name(&asked.tenant, &asked.database, &asked.text);
        match (asked.wants, named, known) {
            (Wants::Id, _, Some((id, _))) | (Wants::Id, Some(id), None) => Ok(self.with_id(id)),
            (Wants::Id, None, None) => Err(Refusal::NoSuchCollection(asked.text.clone())),
            (Wants::Name, None, Some((_, (tenant, database, name)))) => {
                Ok(self.with_name(&tenant, &database, &name))
            }
            (Wants::Name, ..) => Ok(Translated { collection: None, ..self }),
        }
    }
}

/// Translates an old request. `path_and_query` is as it came.
pub fn translate(method: &str, path_and_query: &str, body: &[u8]) -> Result<Translated, Refusal> {
    let (raw_path, raw_query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    path::check(raw_path).map_err(Refusal::MalformedPath)?;
    let rest = raw_path.strip_prefix("/api/v1").ok_or_else(|| unknown(method))?;
    if !(rest.is_empty() || rest.starts_with('/')) {
        return Err(unknown(method));
    }
    // Old servers took every path with and without a trailing slash.
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let segments: Vec<&str> = rest.split('/').skip(1).collect();
    let query = Query::parse(raw_query).ok_or(Refusal::MalformedPath(PathFault::InvalidUtf8))?;
    let translated = Old { method, query, body }.at(&segments)?;
    let (path, _) = translated.path_and_query.split_once('?').unwrap_or((&translated.path_and_query, ""));
    path::check(path).map_err(Refusal::MalformedPath)?;
    Ok(translated)
}

/// An old request but for its path.
struct Old<'a> {
    method: &'a str,
    query: Query,
    body: &'a [u8],
}

impl Old<'_> {
    fn at(self, segments: &[&str]) -> Result<Translated, Refusal> {
        if self.method == "OPTIONS" {
            return Ok(plain("OPTIONS", "/api/v2/heartbeat".to_owned(), Bytes::new(), Shape::AsIs));
        }
        match *segments {
            [] | ["heartbeat"] => self.get("/api/v2/heartbeat", Shape::AsIs),
            ["version"] => self.get("/api/v2/version", Shape::Version),
            ["pre-flight-checks"] => self.get("/api/v2/pre-flight-checks", Shape::PreFlight),
            ["reset"] => self.post("/api/v2/reset", Shape::AsIs),
            ["tenants"] => self.post("/api/v2/tenants", Shape::Null),
            ["tenants", tenant] => {
                let tenant = encode(&decode(tenant));
                self.get(&format!("/api/v2/tenants/{tenant}"), Shape::Tenant)
            }
            ["databases"] => {
                let path = format!("/api/v2/tenants/{}/databases", encode(&self.query.tenant));
                self.post(&path, Shape::Null)
            }
            ["databases", name] => {
                let (tenant, name) = (encode(&self.query.tenant), encode(&decode(name)));
                self.get(&format!("/api/v2/tenants/{tenant}/databases/{name}"), Shape::AsIs)
            }
            ["count_collections"] => {
                let path = format!("{}/collections_count", self.query.database_path());
                self.get(&path, Shape::AsIs)
            }
            ["collections"] => self.collections(),
            ["collections", collection] if !collection.is_empty() => self.collection(collection),
            ["collections", collection, verb] if !collection.is_empty() => self.records(collection, verb),
            _ => Err(unknown(self.method)),
        }
    }

    fn get(self, path: &str, shape: Shape) -> Result<Translated, Refusal> {
        let method = reading(self.method).ok_or(Refusal::MethodNotAllowed { allow: "GET,HEAD" })?;
        Ok(plain(method, path.to_owned(), Bytes::new(), shape))
    }

    fn post(self, path: &str, shape: Shape) -> Result<Translated, Refusal> {
        if self.method != "POST" {
            return Err(Refusal::MethodNotAllowed { allow: "POST" });
        }
        Ok(plain("POST", path.to_owned(), Bytes::copy_from_slice(self.body), shape))
    }

    fn collections(self) -> Result<Translated, Refusal> {
        let path = format!("{}/collections", self.query.database_path());
        if self.method == "POST" {
            return Ok(plain("POST", path, request::create(self.body)?, Shape::Collection));
        }
        let method = reading(self.method).ok_or(Refusal::MethodNotAllowed { allow: "GET,HEAD,POST" })?;
        Ok(plain(method, path + &self.query.page(), Bytes::new(), Shape::Collections))
    }

    fn collection(self, raw: &str) -> Result<Translated, Refusal> {
        let (method, wants, body, shape) = match self.method {
            "PUT" => ("PUT", Wants::Id, request::modify(self.body)?, Shape::Null),
            "DELETE" => ("DELETE", Wants::Name, Bytes::new(), Shape::Null),
            other => {
                let method =
                    reading(other).ok_or(Refusal::MethodNotAllowed { allow: "GET,HEAD,PUT,DELETE" })?;
                (method, Wants::Name, Bytes::new(), Shape::Collection)
            }
        };
        Ok(self.of_collection(raw, "", method, wants, body, shape))
    }

    fn records(self, raw: &str, verb: &str) -> Result<Translated, Refusal> {
        if verb == "count" {
            let method = reading(self.method).ok_or(Refusal::MethodNotAllowed { allow: "GET,HEAD" })?;
            return Ok(self.of_collection(raw, "/count", method, Wants::Id, Bytes::new(), Shape::Records));
        }
        if !matches!(verb, "add" | "update" | "upsert" | "get" | "query" | "delete") {
            return Err(unknown(self.method));
        }
        if self.method != "POST" {
            return Err(Refusal::MethodNotAllowed { allow: "POST" });
        }
        // Writes are passed on byte for byte: both versions take the same fields.
        let (body, shape) = match verb {
            "add" => (Bytes::copy_from_slice(self.body), Shape::Added),
            "delete" => request::delete(self.body)?,
            "get" | "query" => (request::read(self.body)?, Shape::Found),
            _ => (Bytes::copy_from_slice(self.body), Shape::Null),
        };
        Ok(self.of_collection(raw, &format!("/{verb}"), "POST", Wants::Id, body, shape))
    }

    fn of_collection(
        self,
        raw: &str,
        below: &str,
        method: &'static str,
        wants: Wants,
        body: Bytes,
        shape: Shape,
    ) -> Translated {
        let text = decode(raw);
        let path = collection_by_name_path(&self.query.tenant, &self.query.database, &text) + below;
        let id = parse_collection_id(&text);
        let Query { tenant, database, .. } = self.query;
        let collection = Some(NameOrId { tenant, database, text, id, wants });
        Translated { collection, ..plain(method, path, body, shape) }
    }
}

fn plain(method: &'static str, path_and_query: String, body: Bytes, shape: Shape) -> Translated {
    Translated { method, path_and_query, body, collection: None, shape }
}

fn reading(method: &str) -> Option<&'static str> {
    ["GET", "HEAD"].into_iter().find(|known| *known == method)
}

fn unknown(method: &str) -> Refusal {
    if reading(method).is_some() { Refusal::UnknownRoute } else { Refusal::UnknownMutation }
}

#[cfg(test)]
mod tests;
