//! A Chroma server in memory, with the quirks that matter: no-ops that answer success, ids that the
//! server mints, limits that pick different records on every server, success that looks like refusal
//! the second time.

use std::collections::BTreeMap;

use bytes::Bytes;
use chroma_ha_core::entry::Op;
use chroma_ha_core::port::{NodeRequest, NodeResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rng::mix;

/// Every collection of the simulation has this dimension; anything else is refused.
const DIMENSION: usize = 2;

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
        let limit = body.get("limit").and_then(Value::as_u64).unwrap_or(u64::MAX);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        found
    }
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

#[derive(Debug)]
pub struct Chroma {
    salt: u64,
    minted: u64,
    pub collections: BTreeMap<Uuid, (String, Records)>,
}

impl Chroma {
    pub fn new(salt: u64) -> Chroma {
        Chroma { salt, minted: 0, collections: BTreeMap::new() }
    }

    pub fn named(&self, name: &str) -> Option<Uuid> {
        self.collections.iter().find(|(_, (n, _))| n == name).map(|(id, _)| *id)
    }

    pub fn execute(&mut self, request: &NodeRequest) -> NodeResponse {
        let segments: Vec<&str> = request.path.split('/').skip(7).collect();
        let (status, body) = match (request.method, segments.as_slice()) {
            ("POST", ["collections"]) => self.create(&parsed(&request.body)),
            ("GET", ["collections", "by-id", own]) => self.by_id(own),
            ("GET", ["collections", own, "count"]) => self.count(own),
            ("GET", ["collections", name]) => self.look_up(name),
            ("PUT", ["collections", own]) => self.modify(own, &parsed(&request.body)),
            ("DELETE", ["collections", name]) => self.drop_named(name),
            ("POST", ["collections", own, verb]) => self.records(own, verb, &parsed(&request.body)),
            _ => (405, Value::Null),
        };
        NodeResponse { status, headers: Vec::new(), body: Bytes::from(body.to_string()) }
    }

    fn create(&mut self, body: &Value) -> (u16, Value) {
        let Some(name) = body["name"].as_str().filter(|name| name.len() < 8) else {
            return (400, json!({ "error": "InvalidArgumentError" }));
        };
        match self.named(name) {
            Some(own) if body["get_or_create"] == true => (200, json!({ "id": own, "name": name })),
            Some(_) => (409, json!({ "error": "UniqueConstraintError" })),
            None => {
                self.minted += 1;
                let own = Uuid::from_u64_pair(self.salt | 1 << 63, self.minted);
                self.collections.insert(own, (name.to_owned(), Records::default()));
                (200, json!({ "id": own, "name": name }))
            }
        }
    }

    fn look_up(&self, name: &str) -> (u16, Value) {
        match self.named(name) {
            Some(own) => (200, json!({ "id": own, "name": name })),
            None => (404, json!({ "error": "NotFoundError" })),
        }
    }

    fn by_id(&self, own: &str) -> (u16, Value) {
        match self.held(own) {
            Some((name, _)) => (200, json!({ "id": own, "name": name, "dimension": DIMENSION })),
            None => (404, json!({ "error": "NotFoundError" })),
        }
    }

    fn count(&self, own: &str) -> (u16, Value) {
        match self.held(own) {
            Some((_, records)) => (200, json!(records.0.len())),
            None => (404, json!({ "error": "NotFoundError" })),
        }
    }

    fn held(&self, own: &str) -> Option<&(String, Records)> {
        self.collections.get(&Uuid::parse_str(own).ok()?)
    }

    fn modify(&mut self, own: &str, body: &Value) -> (u16, Value) {
        let own = Uuid::parse_str(own).unwrap_or_default();
        let name = body["new_name"].as_str().unwrap_or_default();
        if self.named(name).is_some_and(|other| other != own) {
            return (500, json!({ "error": "InternalError" }));
        }
        match self.collections.get_mut(&own) {
            Some(collection) => {
                name.clone_into(&mut collection.0);
                (200, json!({}))
            }
            None => (404, json!({ "error": "NotFoundError" })),
        }
    }

    fn drop_named(&mut self, name: &str) -> (u16, Value) {
        match self.named(name).and_then(|own| self.collections.remove(&own)) {
            Some(_) => (200, json!({})),
            None => (404, json!({ "error": "NotFoundError" })),
        }
    }

    fn records(&mut self, own: &str, verb: &str, body: &Value) -> (u16, Value) {
        let own = Uuid::parse_str(own).unwrap_or_default();
        let Some((_, records)) = self.collections.get_mut(&own) else {
            return (404, json!({ "error": "NotFoundError" }));
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

/// The collection that an answer describes.
pub fn collection_of(body: &[u8]) -> Option<(Uuid, String)> {
    let value = parsed(body);
    let id = Uuid::parse_str(value.get("id")?.as_str()?).ok()?;
    Some((id, value.get("name")?.as_str()?.to_owned()))
}
