//! One Chroma server over HTTP: the second port. It sends what it is given and sorts what can go wrong
//! on the wire; what an answer means is decided in `core`.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chroma_ha_core::port::{BoxFuture, Node, NodeFault, NodeRequest, NodeResponse};
use reqwest::{Client, Method};

use crate::cause;
use crate::config::{NodeAuth, NodeConfig, Upstream};

mod address;
mod answer;
mod connection;
mod connections;

pub use address::Address;
pub use answer::Answer;
pub use connections::{Connections, Question, Unanswered};

/// How long a connection may take: a node that does not even accept is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// After so long without a request a connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Before a silent connection is asked whether it still stands.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Response headers that a client may need from a write's answer.
const PASSED_ON: [&str; 2] = ["content-type", "chroma-trace-id"];

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("NODE_CA_FILE {path} cannot be used: {cause}; give a PEM file of certificates")]
    Authority { path: String, cause: String },
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

/// An HTTP client for nodes. Its connections belong to the runtime that first uses it.
pub fn client(upstream: &Upstream) -> Result<Client, ClientError> {
    let mut builder = Client::builder()
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(upstream.pool_size)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_keepalive(KEEPALIVE);
    if let Some(path) = &upstream.ca_file {
        let unusable = |cause: String| ClientError::Authority { path: path.display().to_string(), cause };
        let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let authorities =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
        builder = authorities.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    builder.build().map_err(|error| ClientError::Setup(error.to_string()))
}

pub struct ChromaNode {
    url: String,
    auth: Option<NodeAuth>,
    upstream: Upstream,
    client: ArcSwap<Client>,
}

impl ChromaNode {
    pub fn new(config: &NodeConfig, upstream: &Upstream) -> Result<ChromaNode, ClientError> {
        Ok(ChromaNode {
            url: config.url.expose().trim_end_matches('/').to_owned(),
            auth: config.auth.clone(),
            upstream: upstream.clone(),
            client: ArcSwap::from_pointee(client(upstream)?),
        })
    }

    async fn exchange(&self, request: NodeRequest) -> Result<NodeResponse, NodeFault> {
        let method = Method::from_bytes(request.method.as_bytes()).unwrap_or(Method::POST);
        let client = Client::clone(&self.client.load());
        let mut call =
            client.request(method, format!("{}{}", self.url, request.path)).timeout(request.timeout);
        for (name, value) in request.headers {
            call = call.header(name, value);
        }
        if let Some(auth) = &self.auth {
            let (name, value) = auth.header();
            call = call.header(name, value.expose());
        }
        if !request.body.is_empty() {
            call = call.body(request.body);
        }
        let fault = |error: reqwest::Error| fault(&error, request.timeout);
        let response = call.send().await.map_err(fault)?;
        let status = response.status().as_u16();
        let headers = PASSED_ON.iter().filter_map(|name| {
            let value = response.headers().get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), value.to_owned()))
        });
        let headers = headers.collect();
        let body = response.bytes().await.map_err(fault)?;
        Ok(NodeResponse { status, headers, body })
    }
}

/// A failed connect means that nothing was delivered; anything later leaves the request in doubt.
pub fn fault(error: &reqwest::Error, timeout: Duration) -> NodeFault {
    if let Some(reason) = cause::untrusted(error) {
        NodeFault::Untrusted(reason)
    } else if error.is_connect() {
        NodeFault::Refused
    } else if error.is_timeout() {
        NodeFault::Timeout(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
    } else {
        NodeFault::Lost(cause::root(error))
    }
}

impl Node for ChromaNode {
    fn call(&self, request: NodeRequest) -> BoxFuture<'_, Result<NodeResponse, NodeFault>> {
        Box::pin(self.exchange(request))
    }

    fn reconnect(&self) {
        if let Ok(fresh) = client(&self.upstream) {
            self.client.store(Arc::new(fresh));
        }
    }
}

#[cfg(test)]
mod tests {
    use chroma_ha_core::ids::NodeId;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::RedactedUrl;

    /// A server that answers one request with headers of every kind.
    async fn talkative() -> RedactedUrl {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _request = socket.read(&mut [0; 1 << 12]).await.unwrap();
            let answer = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nserver: one-of-many\r\n\
                set-cookie: a=b\r\nchroma-trace-id: 7\r\nkeep-alive: timeout=77\r\ncontent-length: 2\r\n\r\n{}";
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        RedactedUrl::new(format!("http://127.0.0.1:{port}"))
    }

    /// What is kept of a write's answer may be told again, by another balancer.
    #[tokio::test]
    async fn of_an_answer_only_these_headers_are_kept() {
        let _there_already = rustls::crypto::ring::default_provider().install_default();
        let config = NodeConfig { id: NodeId::PRIMARY, url: talkative().await, auth: None };
        let upstream = Upstream { request_timeout: Duration::from_secs(10), pool_size: 1, ca_file: None };
        let node = ChromaNode::new(&config, &upstream).unwrap();
        let (path, headers, body) = ("/".to_owned(), Vec::new(), bytes::Bytes::from_static(b"{}"));
        let request = NodeRequest { method: "POST", path, headers, body, timeout: Duration::from_secs(10) };
        let answer = node.call(request).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (201, b"{}".as_slice()));
        let kept: Vec<_> =
            answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(kept, [("content-type", "application/json"), ("chroma-trace-id", "7")]);
    }
}
