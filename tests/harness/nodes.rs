//! What do the nodes really hold? Read from each node itself, past the balancer, and compared by
//! content: id, embedding, metadata, document and uri.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chroma_ha::dev::Chroma;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Stack;
use super::client::try_request;

const COLLECTIONS: &str = "/api/v2/tenants/default_tenant/databases/default_database/collections";

const PAGE: usize = 2_000;

const POLL: Duration = Duration::from_millis(50);

/// Differences shown of two nodes; the rest is counted.
const SHOWN: usize = 8;

/// Embedding, metadata, document, uri; metadata without value is null.
pub(crate) type Record = (Vec<f32>, Value, Value, Value);

pub(crate) type Records = BTreeMap<String, Record>;

/// `url` is a base address: of a node, or of the balancer.
pub(crate) fn collections_url(url: &str) -> String {
    format!("{url}{COLLECTIONS}")
}

/// All records of a collection of the default database; panics when it is not there.
pub(crate) async fn node_records(node_url: &str, collection: &str) -> Records {
    match read(node_url, collection).await {
        Ok(records) => records,
        Err(reason) => panic!("reading {collection} from {node_url}: {reason}"),
    }
}

/// Name to id and all pages at that id; what went wrong, otherwise.
pub(crate) async fn read(node_url: &str, collection: &str) -> Result<Records, String> {
    let base = collections_url(node_url);
    let found = ask(Method::GET, &format!("{base}/{collection}"), None).await?;
    let id = found["id"].as_str().ok_or("the collection has no id")?.to_owned();
    let mut records = Records::new();
    for offset in (0..).step_by(PAGE) {
        let include = ["embeddings", "metadatas", "documents", "uris"];
        let body = json!({"include": include, "limit": PAGE, "offset": offset});
        let page = ask(Method::POST, &format!("{base}/{id}/get"), Some(&body)).await?;
        let ids = page["ids"].as_array().ok_or("the page has no ids")?;
        for (at, id) in ids.iter().enumerate() {
            let record = record(&page, at)?;
            if records.insert(id.as_str().unwrap_or_default().to_owned(), record).is_some() {
                return Err(format!("id {id} came twice: the collection changes while it is read"));
            }
        }
        if ids.len() < PAGE {
            break;
        }
    }
    Ok(records)
}

async fn ask(method: Method, url: &str, body: Option<&Value>) -> Result<Value, String> {
    let (status, answer) = try_request(method, url, body).await.map_err(|reason| format!("{reason:?}"))?;
    if status == 200 { Ok(answer) } else { Err(format!("{status} {answer}")) }
}

/// One record of a page that includes everything.
pub(crate) fn record(page: &Value, at: usize) -> Result<Record, String> {
    let embedding = serde_json::from_value(page["embeddings"][at].clone());
    let embedding = embedding.map_err(|reason| format!("embedding {at}: {reason}"))?;
    let field = |name: &str| page[name][at].clone();
    Ok((embedding, field("metadatas"), field("documents"), field("uris")))
}

/// What differs between two sets of records, a line each; `None` when nothing does.
pub(crate) fn difference(one: &Records, other: &Records) -> Option<String> {
    let mut lines = Vec::new();
    let ids: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for id in ids {
        match (one.get(id), other.get(id)) {
            (Some(left), Some(right)) if left == right => {}
            (Some(left), Some(right)) => lines.push(format!("  {id}: {left:?}\n  {id}: {right:?} (second)")),
            (Some(_), None) => lines.push(format!("  {id}: only on the first")),
            (None, _) => lines.push(format!("  {id}: only on the second")),
        }
    }
    let count = lines.len();
    lines.truncate(SHOWN);
    (count > 0).then(|| format!("{count} records differ:\n{}", lines.join("\n")))
}

/// All running and stopped nodes must come to hold the same records; says what differs if not.
pub(crate) async fn assert_nodes_equal(stack: &Stack, collection: &str, deadline: Duration) {
    let begun = Instant::now();
    while let Some(reason) = unequal(&stack.nodes, collection).await {
        assert!(begun.elapsed() < deadline, "{collection} differs after {deadline:?}: {reason}");
        sleep(POLL).await;
    }
}

async fn unequal(nodes: &[Chroma], collection: &str) -> Option<String> {
    let mut first: Option<(&str, Records)> = None;
    for node in nodes {
        let records = match read(&node.url(), collection).await {
            Ok(records) => records,
            Err(reason) => return Some(format!("{}: {reason}", node.name())),
        };
        if let Some((name, known)) = &first {
            if let Some(reason) = difference(known, &records) {
                return Some(format!("{name} and {}: {reason}", node.name()));
            }
        } else {
            first = Some((node.name(), records));
        }
    }
    None
}

/// Asks again and again until the answer is yes; panics with `what` when it never is.
pub(crate) async fn until(deadline: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < deadline, "not within {deadline:?}: {what}");
        sleep(POLL).await;
    }
}
