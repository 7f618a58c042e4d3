//! A Chroma server in memory, with the quirks that matter: no-ops that answer success, ids that the
//! server mints, limits that pick different records on every server, success that looks like refusal
//! the second time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chroma_ha_core::entry::Op;
use chroma_ha_core::port::{NodeRequest, NodeResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use super::names::{Database, Names, Place};
use super::rng::mix;

/// Every collection of the simulation has this dimension; anything else is refused.
pub const DIMENSION: usize = 2;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    embedding: Option<Value>,
    document: Option<Value>,
    metadata: BTreeMap<String, Value>,
}

impl Record {
    fn says(&self, text: &str) -> bool {
        self.document.as_ref().and_then(Value::as_str).is_some_and(|document| document.contains(text))
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records(pub BTreeMap<String, Record>);

/// What a server says to a record write: the answer, or why not.
pub type Judged = Result<Value, &'static str>;

impl Records {
    pub fn apply(&mut self, op: Op, body: &Value, salt: u64) -> Judged {
        let ids: Vec<&str> = strings(body.get("ids"));
        if op == Op::Delete {
            return self.delete(&ids, body, salt);
        }
        if ids.is_empty() {
            return Err("ids");
        }
        for field in ["embeddings", "metadatas", "documents"] {
            if body.get(field).and_then(Value::as_array).is_some_and(|rows| rows.len() != ids.len()) {
                return Err("lengths");
            }
        }
        let rows = body.get("embeddings").and_then(Value::as_array);
        let wrong = |row: &Value| row.as_array().is_some_and(|v| v.len() != DIMENSION);
        if rows.is_some_and(|rows| rows.iter().any(wrong)) {
            return Err("dimension");
        }
        for (row, id) in ids.iter().enumerate() {
            self.write(op, id, row, body);
        }
        Ok(json!({}))
    }

    fn write(&mut self, op: Op, id: &str, row: usize, body: &Value) {
        match (op, self.0.contains_key(id)) {
            (Op::Add, true) | (Op::Update, false) => return,
            _ => {}
        }
        let record = self.0.entry(id.to_owned()).or_default();
        let at = |field: &str| body.get(field).and_then(|rows| rows.get(row)).filter(|v| !v.is_null());
        if let Some(embedding) = at("embeddings") {
            record.embedding = Some(embedding.clone());
        }
        if let Some(document) = at("documents") {
            record.document = Some(document.clone());
        }
        for (key, value) in at("metadatas").and_then(Value::as_object).into_iter().flatten() {
            if value.is_null() {
                record.metadata.remove(key);
            } else {
                record.metadata.insert(key.clone(), value.clone());
            }
        }
    }

    fn delete(&mut self, ids: &[&str], body: &Value, salt: u64) -> Judged {
        let filtered = ["where", "where_document"].iter().any(|f| body.get(*f).is_some_and(|w| !w.is_null()));
        if !filtered && ids.is_empty() {
            return Err("nothing to delete by");
        }
        if !filtered {
            ids.iter().for_each(|id| drop(self.0.remove(*id)));
            return Ok(json!({ "deleted": ids.len() }));
        }
        let gone = self.matching(body, salt);
        gone.iter().for_each(|id| drop(self.0.remove(id)));
        Ok(json!({ "deleted": gone.len() }))
    }

    fn shown(&self, ids: &[String]) -> Value {
        let rows = || ids.iter().filter_map(|id| self.0.get(id));
        json!({
            "ids": ids,
            "embeddings": rows().map(|r| &r.embedding).collect::<Vec<_>>(),
            "metadatas": rows().map(|r| &r.metadata).collect::<Vec<_>>(),
            "documents": rows().map(|r| &r.document).collect::<Vec<_>>(),
        })
    }

    /// The ids that a `get` or a `delete` by filter finds, in this server's own order.
    pub fn matching(&self, body: &Value, salt: u64) -> Vec<String> {
        let among = body.get("ids").filter(|ids| !ids.is_null()).map(|ids| strings(Some(ids)));
        let filter = body.get("where").and_then(Value::as_object);
        let text = body.get("where_document").and_then(|filter| filter.get("$contains"));
        let fits = |id: &str, record: &Record| {
            among.as_ref().is_none_or(|ids| ids.contains(&id))
                && filter.is_none_or(|f| f.iter().all(|(k, v)| record.metadata.get(k) == Some(v)))
                && text.and_then(Value::as_str).is_none_or(|text| record.says(text))
        };
        let mut found: Vec<String> =
            self.0.iter().filter(|(id, r)| fits(id, r)).map(|(id, _)| id.clone()).collect();
        found.sort_by_key(|id| mix(id.bytes().fold(salt, |h, b| mix(h ^ u64::from(b)))));
        let offset = body.get("offset").and_then(Value::as_u64).unwrap_or_default();
        found.drain(..found.len().min(usize::try_from(offset).unwrap_or(usize::MAX)));
        let limit = body.get("limit").and_then(Value::as_u64).unwrap_or(u64::MAX);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        found
    }
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

pub fn is_good_name(name: &str) -> bool {
    name.len() < 8
}

#[derive(Debug)]
pub struct Chroma {
    salt: u64,
    minted: u64,
    /// Tenants and databases only.
    places: Names,
    pub collections: BTreeMap<Uuid, (Place, Records)>,
    /// Made by copies. A crash before the log knows leaves an empty one that nobody claims.
    pub copies: BTreeSet<Uuid>,
}

/// A header that says whose request it is; servers do not care.
pub const COPY: &str = "copy";

type Reply = (u16, Value);

fn not_found() -> Reply {
    (404, json!({ "error": "NotFoundError" }))
}

fn taken() -> Reply {
    (409, json!({ "error": "UniqueConstraintError" }))
}

fn once(done: bool, otherwise: Reply) -> Reply {
    if done { (200, json!({})) } else { otherwise }
}

impl Chroma {
    pub fn new(salt: u64) -> Chroma {
        Chroma {
            salt,
            minted: 0,
            places: Names::default(),
            collections: BTreeMap::new(),
            copies: BTreeSet::new(),
        }
    }

    /// Everything is gone but what a fresh server has; ids are never minted twice.
    pub fn lose_disk(&mut self) {
        self.places = Names::default();
        self.collections.clear();
    }

    pub fn named(&self, place: &Place) -> Option<Uuid> {
        self.collections.iter().find(|(_, (other, _))| other == place).map(|(id, _)| *id)
    }

    /// The names as clients see them, given which collection is whose.
    pub fn names(&self, logical: impl Fn(Uuid) -> chroma_ha_core::ids::CollectionId) -> Names {
        let claimed = |own: &Uuid| !self.is_unclaimed(*own) || logical(*own).0 != *own;
        let collections = self.collections.iter().filter(|(own, _)| claimed(own));
        let collections = collections.map(|(own, (place, _))| (place.clone(), logical(*own))).collect();
        Names { collections, ..self.places.clone() }
    }

    /// Each time, but for a name that is taken or a database that is not there, and not when copied.
    pub fn falls_under(&self, request: &NodeRequest) -> bool {
        if request.headers.iter().any(|(name, _)| name == COPY) {
            return false;
        }
        let creates = request.path.ends_with("/collections");
        let within =
            |tenant: &str, database: &str| request.path.contains(&format!("/{tenant}/databases/{database}/"));
        let open = || self.places.databases.iter().any(|(tenant, database)| within(tenant, database));
        let there =
            |((tenant, database, name), _): &(Place, Records)| name == "poison" && within(tenant, database);
        let poison = String::from_utf8_lossy(&request.body).contains("poison");
        poison && (!creates || open() && !self.collections.values().any(there))
    }

    /// What a copy made and did not fill; claimed or not, it holds nothing.
    pub fn is_unclaimed(&self, own: Uuid) -> bool {
        let empty = |(_, records): &(Place, Records)| records.0.is_empty();
        self.copies.contains(&own) && self.collections.get(&own).is_some_and(empty)
    }

    pub fn execute(&mut self, request: &NodeRequest) -> NodeResponse {
        let segments: Vec<&str> = request.path.trim_start_matches("/api/v2/").split('/').collect();
        let body = parsed(&request.body);
        let (status, body) = match (request.method, segments.as_slice()) {
            ("POST", ["reset"]) => {
                self.lose_disk();
                (200, json!(true))
            }
            ("POST", ["tenants"]) => self.create_tenant(&body),
            ("GET", ["tenants", tenant]) => once(self.places.tenants.contains(*tenant), not_found()),
            ("POST", ["tenants", tenant, "databases"]) => self.create_database(tenant, &body),
            (method, ["tenants", tenant, "databases", database]) => {
                self.database(method, &((*tenant).to_owned(), (*database).to_owned()))
            }
            (method, ["tenants", tenant, "databases", database, "collections", rest @ ..]) => {
                self.inside(method, &((*tenant).to_owned(), (*database).to_owned()), rest, &body)
            }
            _ => (405, Value::Null),
        };
        if let Some(own) = own_id(&body)
            && request.headers.iter().any(|(name, _)| name == COPY)
        {
            self.copies.insert(own);
        }
        NodeResponse { status, headers: Vec::new(), body: Bytes::from(body.to_string()) }
    }

    fn create_tenant(&mut self, body: &Value) -> Reply {
        let name = body["name"].as_str().unwrap_or_default();
        once(self.places.tenants.insert(name.to_owned()), taken())
    }

    fn create_database(&mut self, tenant: &str, body: &Value) -> Reply {
        if !self.places.tenants.contains(tenant) {
            return not_found();
        }
        let name = body["name"].as_str().unwrap_or_default();
        once(self.places.databases.insert((tenant.to_owned(), name.to_owned())), taken())
    }

    fn database(&mut self, method: &str, database: &Database) -> Reply {
        if method != "DELETE" {
            return once(self.places.databases.contains(database), not_found());
        }
        if !self.places.databases.remove(database) {
            return not_found();
        }
        self.collections.retain(|_, ((t, d, _), _)| (&*t, &*d) != (&database.0, &database.1));
        (200, json!({}))
    }

    fn inside(&mut self, method: &str, database: &Database, rest: &[&str], body: &Value) -> Reply {
        let place = |name: &str| (database.0.clone(), database.1.clone(), name.to_owned());
        match (method, rest) {
            ("POST", []) => self.create(database, body),
            ("GET", []) => self.list(database),
            ("GET", ["by-id", own]) => self.by_id(own),
            ("GET", [own, "count"]) => self.count(own),
            ("GET", [name]) => self.look_up(&place(name)),
            ("PUT", [own]) => self.modify(own, body),
            ("DELETE", [name]) => self.drop_named(&place(name)),
            ("POST", [own, verb]) => self.records(own, verb, body),
            _ => (405, Value::Null),
        }
    }

    fn create(&mut self, database: &Database, body: &Value) -> Reply {
        let Some(name) = body["name"].as_str().filter(|name| is_good_name(name)) else {
            return (400, json!({ "error": "InvalidArgumentError" }));
        };
        if !self.places.databases.contains(database) {
            return not_found();
        }
        let place = (database.0.clone(), database.1.clone(), name.to_owned());
        match self.named(&place) {
            Some(own) if body["get_or_create"] == true => (200, json!({ "id": own, "name": name })),
            Some(_) => taken(),
            None => {
                self.minted += 1;
                let own = Uuid::from_u64_pair(self.salt | 1 << 63, self.minted);
                self.collections.insert(own, (place, Records::default()));
                (200, json!({ "id": own, "name": name }))
            }
        }
    }

    fn list(&self, database: &Database) -> Reply {
        let inside = |place: &Place| (&place.0, &place.1) == (&database.0, &database.1);
        let all = self.collections.iter().filter(|(_, (place, _))| inside(place));
        (200, all.map(|(own, (place, _))| json!({ "id": own, "name": place.2 })).collect())
    }

    fn look_up(&self, place: &Place) -> Reply {
        match self.named(place) {
            Some(own) => (200, json!({ "id": own, "name": place.2 })),
            None => not_found(),
        }
    }

    fn by_id(&self, own: &str) -> Reply {
        match self.held(own) {
            Some((place, _)) => (200, json!({ "id": own, "name": place.2, "dimension": DIMENSION })),
            None => not_found(),
        }
    }

    fn count(&self, own: &str) -> Reply {
        match self.held(own) {
            Some((_, records)) => (200, json!(records.0.len())),
            None => not_found(),
        }
    }

    fn held(&self, own: &str) -> Option<&(Place, Records)> {
        self.collections.get(&Uuid::parse_str(own).ok()?)
    }

    fn modify(&mut self, own: &str, body: &Value) -> Reply {
        let own = Uuid::parse_str(own).unwrap_or_default();
        let name = body["new_name"].as_str().unwrap_or_default();
        let Some((tenant, database, _)) = self.collections.get(&own).map(|(place, _)| place.clone()) else {
            return not_found();
        };
        let place = (tenant, database, name.to_owned());
        if self.named(&place).is_some_and(|other| other != own) {
            return (500, json!({ "error": "InternalError" }));
        }
        self.collections.entry(own).and_modify(|(old, _)| *old = place);
        (200, json!({}))
    }

    fn drop_named(&mut self, place: &Place) -> Reply {
        once(self.named(place).and_then(|own| self.collections.remove(&own)).is_some(), not_found())
    }

    fn records(&mut self, own: &str, verb: &str, body: &Value) -> Reply {
        let own = Uuid::parse_str(own).unwrap_or_default();
        let Some((_, records)) = self.collections.get_mut(&own) else {
            return not_found();
        };
        if verb == "get" {
            return (200, records.shown(&records.matching(body, self.salt)));
        }
        let Some(op) = Op::parse(verb) else { return (405, Value::Null) };
        match records.apply(op, body, self.salt) {
            Ok(answer) => (200, answer),
            Err(reason) => (400, json!({ "error": "InvalidArgumentError", "message": reason })),
        }
    }
}

pub fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

pub fn own_id(value: &Value) -> Option<Uuid> {
    Uuid::parse_str(value["id"].as_str()?).ok()
}

/// The collection that an answer describes.
pub fn collection_of(body: &[u8]) -> Option<(Uuid, String)> {
    let value = parsed(body);
    let id = Uuid::parse_str(value.get("id")?.as_str()?).ok()?;
    Some((id, value.get("name")?.as_str()?.to_owned()))
}
