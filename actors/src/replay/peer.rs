//! Plain questions to one node, outside of any log entry: what a look at a node and a copy need.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{Node, NodeFault, NodeRequest};
use chroma_ha_core::route::collection_by_name_path;
pub use chroma_ha_core::route::records_path;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::contents::Records;
use crate::board::Board;

/// How often a read is tried that meets a write, and how long between.
const READS: usize = 20;
const MOMENT: Duration = Duration::from_millis(50);

/// Why a look or a copy did not get on.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("{what}: {fault}")]
    Fault { what: &'static str, fault: NodeFault },
    /// Of a request that changes the node: it may be executed at any later time.
    #[error("{what}: {fault}; it may still be executed")]
    InDoubt { what: &'static str, fault: NodeFault },
    #[error("{what} was answered {status}: {text}")]
    Refused { what: &'static str, status: u16, text: String },
    #[error("{what}: the answer could not be read: {cause}")]
    Unreadable { what: &'static str, cause: String },
    #[error("the log cannot be reached")]
    LogAway,
    #[error("{0}")]
    Conflict(String),
}

/// A collection as a node describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Described {
    pub id: Uuid,
    pub name: String,
    #[serde(default)]
    pub metadata: Value,
    #[serde(default)]
    pub schema: Value,
    #[serde(default)]
    pub configuration_json: Value,
}

/// What a node takes, in its own words.
#[derive(Clone, Debug, Deserialize)]
pub struct Checks {
    pub max_batch_size: usize,
    /// Old releases do not know the word.
    #[serde(default)]
    pub supports_base64_encoding: bool,
}

/// A standing that a node had: what was lost since is found by comparison.
#[derive(Clone, Copy)]
pub struct Trusted<'a> {
    pub board: &'a Board,
    pub node: NodeId,
    /// How often it had lost its standing.
    pub losses: u64,
}

/// One node, asked with one time limit.
#[derive(Clone, Copy)]
pub struct Peer<'a> {
    pub port: &'a dyn Node,
    pub timeout: Duration,
    /// Whose loss of standing ends a question; who asks without it sees to that otherwise.
    pub trusted: Option<Trusted<'a>>,
}

impl Peer<'_> {
    pub async fn call(
        &self,
        what: &'static str,
        method: &'static str,
        path: String,
        body: Option<String>,
    ) -> Result<(u16, Bytes), PeerError> {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let body = body.map(Bytes::from).unwrap_or_default();
        let request = NodeRequest { method, path, headers, body, timeout: self.timeout };
        let answer = tokio::select! {
            biased;
            () = self.distrusted() => return Err(PeerError::Conflict("the source was lost meanwhile".to_owned())),
            answer = self.port.call(request) => answer,
        };
        let response = answer.map_err(|fault| PeerError::Fault { what, fault })?;
        Ok((response.status, response.body))
    }

    async fn distrusted(&self) {
        match self.trusted {
            Some(Trusted { board, node, losses }) => board.lost(node, losses).await,
            None => std::future::pending().await,
        }
    }

    /// As `ask`, for what changes the node. To be awaited to its end: nobody else knows that it was sent.
    pub async fn change(
        &self,
        what: &'static str,
        method: &'static str,
        path: String,
        body: Option<String>,
    ) -> Result<Bytes, PeerError> {
        self.ask(what, method, path, body).await.map_err(|error| match error {
            PeerError::Fault { what, fault } if fault.in_doubt() => PeerError::InDoubt { what, fault },
            other => other,
        })
    }

    /// The answer, if it is a success.
    pub async fn ask(
        &self,
        what: &'static str,
        method: &'static str,
        path: String,
        body: Option<String>,
    ) -> Result<Bytes, PeerError> {
        let (status, body) = self.call(what, method, path, body).await?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body).chars().take(300).collect();
        Err(PeerError::Refused { what, status, text })
    }

    pub async fn databases(&self, tenant: &str) -> Result<Vec<(Uuid, String)>, PeerError> {
        #[derive(Deserialize)]
        struct Database {
            id: Uuid,
            name: String,
        }
        let what = "listing the databases";
        let body = self.ask(what, "GET", format!("/api/v2/tenants/{tenant}/databases"), None).await?;
        let all: Vec<Database> = read(what, &body)?;
        Ok(all.into_iter().map(|d| (d.id, d.name)).collect())
    }

    pub async fn collections(&self, tenant: &str, database: &str) -> Result<Vec<Described>, PeerError> {
        let what = "listing the collections";
        let body = self.ask(what, "GET", collections_path(tenant, database), None).await?;
        read(what, &body)
    }

    pub async fn collection(
        &self,
        tenant: &str,
        database: &str,
        name: &str,
    ) -> Result<Option<Described>, PeerError> {
        let what = "looking up the collection";
        let (status, body) =
            self.call(what, "GET", collection_by_name_path(tenant, database, name), None).await?;
        match status {
            200 => read(what, &body).map(Some),
            404 => Ok(None),
            _ => Err(PeerError::Refused { what, status, text: String::from_utf8_lossy(&body).into_owned() }),
        }
    }

    /// As `ask`, for reads: Chroma answers 500 to one that meets a delete of what it finds.
    async fn look(&self, what: &'static str, path: String, body: Option<Value>) -> Result<Bytes, PeerError> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let body = body.map(|body| body.to_string());
        for _ in 1..READS {
            match self.ask(what, method, path.clone(), body.clone()).await {
                Err(PeerError::Refused { status: 500.., .. }) => tokio::time::sleep(MOMENT).await,
                other => return other,
            }
        }
        self.ask(what, method, path, body).await
    }

    /// One page of the record ids, in the order of the node.
    pub async fn ids(&self, records: &str, limit: usize, offset: u64) -> Result<Vec<String>, PeerError> {
        let what = "listing the record ids";
        let page = json!({ "include": [], "limit": limit, "offset": offset });
        let body = self.look(what, format!("{records}/get"), Some(page)).await?;
        read::<Records>(what, &body).map(|records| records.ids)
    }

    /// Those of the ids that there are.
    pub async fn held(&self, records: &str, ids: &[String]) -> Result<HashSet<String>, PeerError> {
        let what = "looking up record ids";
        let ask = json!({ "ids": ids, "include": [] });
        let body = self.look(what, format!("{records}/get"), Some(ask)).await?;
        read::<Records>(what, &body).map(|records| records.ids.into_iter().collect())
    }

    pub async fn count(&self, records: &str) -> Result<usize, PeerError> {
        let what = "counting the records";
        read(what, &self.look(what, format!("{records}/count"), None).await?)
    }

    pub async fn records(&self, records: &str, ids: &[String]) -> Result<Records, PeerError> {
        let what = "reading records";
        let ask = json!({ "ids": ids, "include": ["embeddings", "metadatas", "documents", "uris"] });
        for _ in 0..READS {
            let body = self.look(what, format!("{records}/get"), Some(ask.clone())).await?;
            let found: Records = read(what, &body)?;
            if found.is_whole() {
                return Ok(found);
            }
            tokio::time::sleep(MOMENT).await;
        }
        Err(PeerError::Unreadable { what, cause: "records are shown without their embeddings".to_owned() })
    }

    /// What the node takes in one request.
    pub async fn checks(&self) -> Result<Checks, PeerError> {
        let what = "asking how much it takes in one request";
        read(what, &self.look(what, "/api/v2/pre-flight-checks".to_owned(), None).await?)
    }
}

pub fn read<T: for<'a> Deserialize<'a>>(what: &'static str, body: &Bytes) -> Result<T, PeerError> {
    serde_json::from_slice(body).map_err(|error| PeerError::Unreadable { what, cause: error.to_string() })
}

/// Names in the catalog were accepted by Chroma and need no escaping beyond what the route does.
pub fn collections_path(tenant: &str, database: &str) -> String {
    let by_name = collection_by_name_path(tenant, database, "");
    by_name.trim_end_matches('/').to_owned()
}
