//! The balancer as a backup asks it: strong reads and logged writes, each tried again while nobody can take it,
//! up to a limit. It judges no answer but that one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chroma_ha_core::backup::Described;
use chroma_ha_core::ids::CollectionId;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use crate::cause;
use crate::config::redact;
use crate::failure::Failure;

/// How long one request may take: a listing of a million ids does.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(250);

/// How the balancer is reached.
pub(crate) struct Way {
    pub(crate) url: String,
    pub(crate) client: Client,
    /// Adds who we are.
    pub(crate) with_key: fn(RequestBuilder) -> RequestBuilder,
}

pub(super) struct Balancer {
    way: Way,
    /// For how long it is tried again when the balancer is being restarted or taken over.
    again: Duration,
}

/// An answer that is one.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// For people, shortened.
    pub(super) fn told(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        format!("status {} {text}", self.status)
    }
}

impl Balancer {
    pub(super) fn at(way: Way, again: Duration) -> Balancer {
        Balancer { way, again }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, None, None).await
    }

    pub(super) async fn post(&self, path: &str, body: String) -> Result<Answer, Failure> {
        self.ask(Method::POST, path, Some(body), None).await
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        header: Option<(&str, &str)>,
    ) -> Result<Answer, Failure> {
        let begun = Instant::now();
        loop {
            let why = match self.once(method.clone(), path, body.clone(), header).await {
                Ok(answer) if !is_unserved(answer.status) => return Ok(answer),
                Ok(answer) => Failure::Later(answer.told()),
                Err(error) => Failure::Unreachable(cause::told(error)),
            };
            if begun.elapsed() > self.again {
                let (base, seconds) = (redact(&self.way.url), self.again.as_secs());
                return Err(why
                    .reworded(|why| format!("{base} did not serve {method} {path} for {seconds} s: {why}")));
            }
            sleep(PAUSE).await;
        }
    }

    async fn once(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        header: Option<(&str, &str)>,
    ) -> Result<Answer, reqwest::Error> {
        let request = self.way.client.request(method, format!("{}{path}", self.way.url)).timeout(PATIENCE);
        // Whatever WRITE_ACK is: a refusal must be heard.
        let mut request = (self.way.with_key)(request.header("x-chroma-ha-ack", "applied"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok(Answer { status, body: response.bytes().await?.to_vec() })
    }

    /// All ids of a collection, in one request: pages would miss some while records are deleted. `None`: the
    /// collection is not there.
    pub(super) async fn ids(&self, records: &str) -> Result<Option<Vec<String>>, Failure> {
        #[derive(Deserialize)]
        struct Ids {
            ids: Vec<String>,
        }
        let answer = self.post(&format!("{records}/get"), json!({ "include": [] }).to_string()).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(read::<Ids>("listing ids", &answer)?.ids))
    }

    /// The answer to a `get` of these records with all that is known of them. `None` as above.
    pub(super) async fn records(&self, records: &str, ids: &[String]) -> Result<Option<Vec<u8>>, Failure> {
        let include = ["embeddings", "metadatas", "documents", "uris"];
        let body = json!({ "ids": ids, "include": include }).to_string();
        let answer = self.post(&format!("{records}/get"), body).await?;
        match answer.status {
            404 => Ok(None),
            _ if answer.is_good() => Ok(Some(answer.body)),
            _ => Err(Failure::Problem(format!("reading records was refused: {}", answer.told()))),
        }
    }

    pub(super) async fn described(&self, path: &str) -> Result<Option<(CollectionId, Described)>, Failure> {
        #[derive(Deserialize)]
        struct Collection {
            id: CollectionId,
        }
        let answer = self.get(path).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let Collection { id } = read("describing a collection", &answer)?;
        Ok(Some((id, read("describing a collection", &answer)?)))
    }

    /// Of each node: its name and whether it is down.
    pub(super) async fn nodes(&self) -> Result<BTreeMap<String, bool>, Failure> {
        #[derive(Deserialize)]
        struct Status {
            nodes: Vec<Node>,
        }
        #[derive(Deserialize)]
        struct Node {
            name: String,
            state: String,
        }
        let status: Status = read("asking for the status", &self.get("/status").await?)?;
        Ok(status.nodes.into_iter().map(|node| (node.name, node.state == "down")).collect())
    }

    /// The most records that every node takes in one request.
    pub(super) async fn batch_limit(&self) -> Result<Option<usize>, Failure> {
        #[derive(Deserialize)]
        struct Checks {
            max_batch_size: Option<usize>,
        }
        let answer = self.get("/api/v2/pre-flight-checks").await?;
        Ok(read::<Checks>("asking for limits", &answer)?.max_batch_size)
    }
}

/// Nobody could take it now. 202 is a write that no node has judged yet.
fn is_unserved(status: u16) -> bool {
    matches!(status, 202 | 429 | 502 | 503 | 504)
}

pub(super) fn read<'a, T: Deserialize<'a>>(doing: &str, answer: &'a Answer) -> Result<T, String> {
    if !answer.is_good() {
        return Err(format!("{doing} was refused: {}", answer.told()));
    }
    serde_json::from_slice(&answer.body).map_err(|error| format!("{doing}: the answer is strange: {error}"))
}
