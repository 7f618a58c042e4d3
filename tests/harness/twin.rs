//! The same history to the balancer and to one bare Chroma: every answer must be the same, ids apart.
//! It knows each side's ids by the collection's name and judges nothing else.

use std::collections::BTreeMap;

use chroma_ha::dev::Chroma;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::request;
use super::nodes::{collections_url, difference, node_records};
use super::stack::start_nodes;
use super::{Options, Place, Stack};

/// Two addresses and what a name's id is on each.
pub(crate) struct Twin {
    pub(crate) stack: Stack,
    pub(crate) bare: Chroma,
    _place: Place,
    ids: BTreeMap<String, [String; 2]>,
}

impl Twin {
    pub(crate) async fn start(options: Options) -> Self {
        let place = Place::new("bare");
        let reset = options.allow_reset;
        let (stack, mut bare) = tokio::join!(Stack::start(options), start_nodes(&place, 1, reset));
        Self { stack, bare: bare.remove(0), _place: place, ids: BTreeMap::new() }
    }

    /// Sends `POST /api/v2/...`; `{name}` in the path is that collection's id, `{}` the default database.
    pub(crate) async fn post(&mut self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, Some(body)).await
    }

    /// A record write of a collection of the default database.
    pub(crate) async fn write(&mut self, collection: &str, verb: &str, body: Value) -> (u16, Value) {
        self.post(&format!("{{}}/collections/{{{collection}}}/{verb}"), body).await
    }

    /// The balancer's answer, after it was found to be the bare server's, too.
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut answers = Vec::new();
        for (side, base) in [self.stack.url(), self.bare.url()].into_iter().enumerate() {
            let url = format!("{base}/api/v2/{}", self.filled(path, side));
            answers.push(request(method.clone(), &url, body.as_ref()).await);
        }
        let (bare, ours) = (answers.pop().expect("two"), answers.pop().expect("two"));
        let seen = |answer: &(u16, Value)| (answer.0, without_ids(&answer.1));
        assert_eq!(seen(&ours), seen(&bare), "balancer and bare Chroma differ: {method} {path} {body:?}");
        self.learn(&ours.1, &bare.1);
        ours
    }

    fn filled(&self, path: &str, side: usize) -> String {
        let mut path = path.replace("{}", "tenants/default_tenant/databases/default_database");
        for (name, ids) in &self.ids {
            path = path.replace(&format!("{{{name}}}"), &ids[side]);
        }
        path
    }

    fn learn(&mut self, ours: &Value, bare: &Value) {
        if let (Some(name), Some(id), Some(other)) =
            (ours["name"].as_str(), ours["id"].as_str(), bare["id"].as_str())
        {
            self.ids.insert(name.to_owned(), [id.to_owned(), other.to_owned()]);
        }
    }

    /// The bare server holds the records that the primary holds.
    pub(crate) async fn assert_as_bare(&mut self, collection: &str, after: &str) {
        let bare = node_records(&self.bare.url(), collection).await;
        let ours = node_records(&self.stack.primary().url(), collection).await;
        assert_eq!(difference(&bare, &ours), None, "after {after}: bare Chroma (first), primary (second)");
    }

    /// Everything that a node tells of its catalog: tenants, databases, collections, without ids.
    pub(crate) async fn catalog(url: &str, places: &[(&str, &str)]) -> Value {
        let mut all = BTreeMap::new();
        for (tenant, database) in places {
            let tenant_url = format!("{url}/api/v2/tenants/{tenant}");
            for page in [
                tenant_url.clone(),
                format!("{tenant_url}/databases"),
                format!("{tenant_url}/databases/{database}"),
                format!("{tenant_url}/databases/{database}/collections"),
            ] {
                let (status, mut answer) = request(Method::GET, &page, None).await;
                if let Some(list) = answer.as_array_mut() {
                    list.sort_by_key(|one| one["name"].to_string());
                }
                let at = page.strip_prefix(url).expect("an address of this node").to_owned();
                all.insert(at, (status, without_ids(&answer)));
            }
        }
        json!(all)
    }
}

/// Each server mints its own ids: all look alike, but for the default database's.
pub(crate) fn without_ids(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked(text)),
        Value::Array(list) => list.iter().map(without_ids).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), without_ids(value))).collect())
        }
        other => other.clone(),
    }
}

const ID: usize = 36;

fn masked(text: &str) -> String {
    let mut text = text.to_owned();
    let mut at = 0;
    while let Some(piece) = text.get(at..at + ID) {
        if Uuid::try_parse(piece).is_ok_and(|id| !id.is_nil()) {
            text.replace_range(at..at + ID, "<id>");
        }
        at += 1;
        while at < text.len() && !text.is_char_boundary(at) {
            at += 1;
        }
    }
    text
}

/// The collection's id by its name, asked of this address.
pub(crate) async fn id_of(url: &str, name: &str) -> String {
    let (status, found) = request(Method::GET, &format!("{}/{name}", collections_url(url)), None).await;
    assert_eq!(status, 200, "{found}");
    found["id"].as_str().expect("an id").to_owned()
}
