//! How a v2 answer looks to an old client. It decides by the request's shape and the status only, and
//! passes on untouched what it cannot read.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::request::Fields;

/// The release that old clients are told: the last whose clients all speak v1.
pub const VERSION: &str = "0.5.23";

/// What the answer of the translated request becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The same in both versions.
    AsIs,
    /// A write that old servers answered with `null`.
    Null,
    /// `add`, answered with `true`.
    Added,
    /// `delete`, answered with the ids (a JSON list, or `null`).
    Deleted {
        ids: Bytes,
    },
    /// `get` and `query`.
    Found,
    /// Any other read of a collection's records.
    Records,
    Collection,
    Collections,
    Tenant,
    PreFlight,
    Version,
}

/// The kind of client, as far as answers depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Python clients up to 0.5.3. Those up to 0.5.0 fail on fields of a listed collection that they do
    /// not know.
    Requests,
    /// Everybody else. Python clients from 0.5.4 on fail on fields that are missing, and up to 0.5.5 on
    /// `log_position`.
    Other,
}

impl Caller {
    pub fn of(user_agent: Option<&str>) -> Caller {
        match user_agent {
            Some(agent) if agent.starts_with("python-requests/") => Caller::Requests,
            _ => Caller::Other,
        }
    }
}

/// The answer as an old server would have given it.
pub fn shape(shape: &Shape, caller: Caller, status: u16, body: &[u8]) -> (u16, Bytes) {
    let as_is = || Bytes::copy_from_slice(body);
    if status >= 400 {
        return error(shape, status, body).unwrap_or_else(|| (status, as_is()));
    }
    let shaped = match shape {
        Shape::AsIs | Shape::Records => None,
        Shape::Null => Some(Bytes::from_static(b"null")),
        Shape::Added => Some(Bytes::from_static(b"true")),
        Shape::Deleted { ids } => Some(ids.clone()),
        Shape::Found => found(body),
        // One collection is read field by field: nobody fails on a field too many.
        Shape::Collection => collection(Caller::Other, body),
        Shape::Collections => collections(caller, body),
        Shape::Tenant => only(body, "name"),
        // Without `supports_base64_encoding`: no v1 client could send it.
        Shape::PreFlight => only(body, "max_batch_size"),
        Shape::Version if body.is_empty() => None,
        Shape::Version => Some(rendered(&Value::from(VERSION))),
    };
    (status, shaped.unwrap_or_else(as_is))
}

fn value(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

fn rendered(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn only(body: &[u8], key: &str) -> Option<Bytes> {
    let found = value(body)?;
    Some(rendered(&json!({ key: found.get(key)? })))
}

/// Columns stay byte for byte; old servers said `included` and had a column `data`.
fn found(body: &[u8]) -> Option<Bytes> {
    let mut fields = Fields::parse(body).ok()?;
    if let Some(include) = fields.take("include") {
        fields.put_raw("included", include);
    }
    if fields.get("data").map(RawValue::get).is_none() {
        fields.put("data", &Value::Null);
    }
    Some(fields.render())
}

fn collections(caller: Caller, body: &[u8]) -> Option<Bytes> {
    let found: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    let mut out = Vec::with_capacity(body.len());
    out.push(b'[');
    for raw in found {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&collection(caller, raw.get().as_bytes())?);
    }
    out.push(b']');
    Some(Bytes::from(out))
}

/// A collection with exactly the fields that every old client of the kind accepts.
fn collection(caller: Caller, body: &[u8]) -> Option<Bytes> {
    let mut found = Fields::parse(body).ok()?;
    let mut shaped = Fields::default();
    for key in ["id", "name", "metadata", "tenant", "database"] {
        shaped.move_from(&mut found, key);
    }
    if caller == Caller::Other {
        shaped.move_from(&mut found, "dimension");
        let whole = value(body)?;
        let version = whole.get("version").and_then(Value::as_u64).unwrap_or(0);
        shaped.put("version", &Value::from(version));
        shaped.put("configuration_json", &configuration(&whole));
    }
    Some(shaped.render())
}

/// The index configuration with the type names by which 0.5 and 0.6 clients read it. `num_threads` is
/// left out: it is a fact of one node's host, and the clients have a default.
fn configuration(found: &Value) -> Value {
    let given = |key: &str| found.pointer(&format!("/configuration_json/hnsw/{key}"));
    let whole = |key: &str, default: u64| given(key).and_then(Value::as_u64).unwrap_or(default);
    let space = given("space").or_else(|| found.pointer("/configuration_json/spann/space"));
    let sync_threshold = whole("sync_threshold", 1000);
    let batch_size = found
        .pointer("/schema/keys/#embedding/float_list/vector_index/config/hnsw/batch_size")
        .and_then(Value::as_u64)
        .unwrap_or(100);
    json!({
        "hnsw_configuration": {
            "space": space.and_then(Value::as_str).unwrap_or("l2"),
            "ef_construction": whole("ef_construction", 100),
            "ef_search": whole("ef_search", 10),
            "M": whole("max_neighbors", 16),
            // The clients insist on a float.
            "resize_factor": given("resize_factor").and_then(Value::as_f64).unwrap_or(1.2),
            // They refuse a batch that is larger than the threshold.
            "batch_size": batch_size.min(sync_threshold),
            "sync_threshold": sync_threshold,
            "_type": "HNSWConfigurationInternal",
        },
        "_type": "CollectionConfigurationInternal",
    })
}

/// Errors by the names that old clients turn into exceptions of their own.
fn error(shape: &Shape, status: u16, body: &[u8]) -> Option<(u16, Bytes)> {
    let found = value(body)?;
    let message = found.get("message")?.as_str()?;
    let of_collection = matches!(
        shape,
        Shape::Collection
            | Shape::Added
            | Shape::Deleted { .. }
            | Shape::Found
            | Shape::Records
            | Shape::Null
    );
    let (status, error) = match (status, found.get("error")?.as_str()?) {
        (404, "NotFoundError") if of_collection && message.starts_with("Collection") => {
            (400, "InvalidCollection")
        }
        (400, "InvalidArgumentError") if message.contains("embedding with dimension") => {
            (400, "InvalidDimension")
        }
        (409, _) => (409, "UniqueConstraintError"),
        _ => return None,
    };
    Some((status, rendered(&json!({ "error": error, "message": message }))))
}
