//! What old query strings and bodies say, and how v2 spells it. Bodies are edited field by field and
//! only where v2 would refuse or misread them; it never fills in what the client left out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::Shape;
use crate::route::Refusal;
use crate::route::path::encode;

/// The old query parameters that mean something.
pub(super) struct Query {
    pub(super) tenant: String,
    pub(super) database: String,
    limit: Option<String>,
    offset: Option<String>,
}

impl Query {
    /// `None`: not valid UTF-8. Empty values are what some clients send for none.
    pub(super) fn parse(raw: &str) -> Option<Query> {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for pair in raw.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let [key, value] = [decode_form(key)?, decode_form(value)?];
            if !value.is_empty() {
                fields.entry(key).or_insert(value);
            }
        }
        let mut take = |key| fields.remove(key);
        Some(Query {
            tenant: take("tenant").unwrap_or_else(|| "default_tenant".to_owned()),
            database: take("database").unwrap_or_else(|| "default_database".to_owned()),
            limit: take("limit"),
            offset: take("offset"),
        })
    }

    pub(super) fn database_path(&self) -> String {
        format!("/api/v2/tenants/{}/databases/{}", encode(&self.tenant), encode(&self.database))
    }

    /// `?limit=…&offset=…`, as far as they were given.
    pub(super) fn page(&self) -> String {
        let given = [("limit", &self.limit), ("offset", &self.offset)];
        let pairs: Vec<String> = given
            .into_iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={}", encode(value))))
            .collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

fn decode_form(raw: &str) -> Option<String> {
    let spaced = raw.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned())
}

/// A JSON object whose values stay spelt as they came: numbers keep every digit.
#[derive(Default)]
pub(super) struct Fields<'a>(BTreeMap<String, Cow<'a, RawValue>>);

impl<'a> Fields<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Fields<'a>, serde_json::Error> {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body)?;
        Ok(Fields(fields.into_iter().map(|(key, raw)| (key, Cow::Borrowed(raw))).collect()))
    }

    pub(super) fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.get(key).map(|raw| &**raw)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Cow<'a, RawValue>> {
        self.0.remove(key)
    }

    pub(super) fn put(&mut self, key: &str, value: &Value) {
        if let Ok(raw) = to_raw_value(value) {
            self.0.insert(key.to_owned(), Cow::Owned(raw));
        }
    }

    pub(super) fn put_raw(&mut self, key: &str, raw: Cow<'a, RawValue>) {
        self.0.insert(key.to_owned(), raw);
    }

    /// Moves a field over; one that is missing becomes null.
    pub(super) fn move_from(&mut self, other: &mut Fields<'a>, key: &str) {
        match other.take(key) {
            Some(raw) => self.put_raw(key, raw),
            None => self.put(key, &Value::Null),
        }
    }

    /// A field that says nothing: absent or null.
    fn is_none(&self, key: &str) -> bool {
        self.get(key).is_none_or(|raw| raw.get() == "null")
    }

    /// Removes a field whose value is `{}`: it meant none, and v2 refuses it.
    fn drop_empty(&mut self, key: &str) {
        let empty = self.get(key).is_some_and(|raw| {
            serde_json::from_str::<BTreeMap<String, IgnoredAny>>(raw.get()).is_ok_and(|map| map.is_empty())
        });
        if empty {
            self.0.remove(key);
        }
    }

    pub(super) fn render(&self) -> Bytes {
        // Written by hand because raw values are already JSON.
        let mut out = String::from("{");
        for (key, raw) in &self.0 {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&Value::from(key.as_str()).to_string());
            out.push(':');
            out.push_str(raw.get());
        }
        out.push('}');
        Bytes::from(out)
    }
}

fn fields(body: &[u8]) -> Result<Fields<'_>, Refusal> {
    Fields::parse(body).map_err(|error| {
        Refusal::MalformedBody(format!("Failed to parse the request body as a JSON object: {error}"))
    })
}

/// `get` and `query`.
pub(super) fn read(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut fields = fields(body)?;
    fields.drop_empty("where");
    fields.drop_empty("where_document");
    fields.take("sort");
    if fields.is_none("include") {
        fields.take("include");
    } else if let Some(Ok(mut include)) =
        fields.get("include").map(|raw| serde_json::from_str::<Vec<Value>>(raw.get()))
    {
        // The data of a record was never on the server: old clients load it from the uris.
        include.retain(|what| what != "data");
        fields.put("include", &Value::Array(include));
    }
    Ok(fields.render())
}

/// `delete`, with the ids that the old answer lists.
pub(super) fn delete(body: &[u8]) -> Result<(Bytes, Shape), Refusal> {
    let mut fields = fields(body)?;
    fields.drop_empty("where");
    fields.drop_empty("where_document");
    let filtered = !fields.is_none("where") || !fields.is_none("where_document");
    if !filtered && fields.is_none("ids") {
        let message = "You must provide either ids, where, or where_document to delete. If you want to delete all data in a collection you can delete the collection itself.";
        return Err(Refusal::MalformedBody(message.to_owned()));
    }
    // Which ids a filter met is not in v2's answer; later old servers said `null` always.
    let ids = if filtered { "null" } else { fields.get("ids").map_or("null", RawValue::get) };
    let shape = Shape::Deleted { ids: Bytes::copy_from_slice(ids.as_bytes()) };
    Ok((fields.render(), shape))
}

/// A collection's creation.
pub(super) fn create(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut fields = fields(body)?;
    fields.drop_empty("metadata");
    fields.drop_empty("configuration");
    let legacy = fields.get("metadata").is_some_and(|raw| {
        serde_json::from_str::<BTreeMap<String, IgnoredAny>>(raw.get())
            .is_ok_and(|metadata| metadata.keys().any(|key| key.starts_with("hnsw:")))
    });
    let configuration =
        fields.get("configuration").and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    if legacy {
        // Old servers built the index from the metadata; v2 would prefer the configuration.
        fields.take("configuration");
    } else if let Some(hnsw) = configuration.as_ref().and_then(|value| value.get("hnsw_configuration")) {
        fields.put("configuration", &configuration_v2(hnsw));
    }
    Ok(fields.render())
}

/// An old index configuration in v2's words. `num_threads` is a fact of the client's host.
fn configuration_v2(old: &Value) -> Value {
    let mut hnsw = Map::new();
    for (from, to) in [
        ("space", "space"),
        ("ef_construction", "ef_construction"),
        ("ef_search", "ef_search"),
        ("M", "max_neighbors"),
        ("resize_factor", "resize_factor"),
        ("batch_size", "batch_size"),
        ("sync_threshold", "sync_threshold"),
    ] {
        if let Some(value) = old.get(from) {
            hnsw.insert(to.to_owned(), value.clone());
        }
    }
    serde_json::json!({ "hnsw": hnsw })
}

/// A collection's change.
pub(super) fn modify(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut fields = fields(body)?;
    fields.drop_empty("new_metadata");
    Ok(fields.render())
}
