//! Where is one node, and how is a connection to it made? TCP, and TLS where its URL says so. It keeps no
//! connection and sends no request.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, HOST, InvalidHeaderValue};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower_service::Service;
use url::Url;

use super::{CONNECT_TIMEOUT, ClientError, KEEPALIVE};
use crate::config::{NodeConfig, Secret};
use crate::tls::roots;

/// What bytes go over to a node.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

pub struct Address {
    /// `http`, whatever is spoken there.
    place: Uri,
    /// Tries all addresses of a name, those of both families side by side.
    connector: HttpConnector,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Before every path.
    pub(super) prefix: String,
    /// What every request says in place of its client: the host, and a credential if there is one.
    pub(super) own: HeaderMap,
}

impl Address {
    pub fn new(node: &NodeConfig, authorities: Option<&Path>) -> Result<Address, ClientError> {
        let url = Url::parse(node.url.expose()).map_err(unusable)?;
        let (Some(named), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(unusable("a node's URL names no host"));
        };
        let place = Uri::try_from(format!("http://{named}:{port}/")).map_err(unusable)?;
        let tls = if url.scheme() == "https" {
            let host = named.trim_start_matches('[').trim_end_matches(']').to_owned();
            let unnamed = |_| unusable(format!("{named} in a node's URL is no name that TLS knows"));
            let name = ServerName::try_from(host).map_err(unnamed)?;
            Some((TlsConnector::from(Arc::new(trusting(authorities)?)), name))
        } else {
            None
        };
        let prefix = url.path().trim_end_matches('/').to_owned();
        let own = own(node, &url, named).map_err(unusable)?;
        Ok(Address { place, connector: connector(), tls, prefix, own })
    }

    pub(super) async fn connect(&self) -> std::io::Result<Box<dyn Wire>> {
        let timed_out = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        tokio::time::timeout(CONNECT_TIMEOUT, self.connected()).await.map_err(timed_out)?
    }

    async fn connected(&self) -> std::io::Result<Box<dyn Wire>> {
        let connected = self.connector.clone().call(self.place.clone()).await;
        let socket = connected.map_err(std::io::Error::other)?.into_inner();
        Ok(match &self.tls {
            Some((tls, name)) => Box::new(tls.connect(name.clone(), socket).await?),
            None => Box::new(socket),
        })
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector
}

fn unusable(cause: impl ToString) -> ClientError {
    ClientError::Setup(cause.to_string())
}

fn own(node: &NodeConfig, url: &Url, host: &str) -> Result<HeaderMap, InvalidHeaderValue> {
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut own = HeaderMap::from_iter([(HOST, authority.try_into()?)]);
    let configured = node.auth.as_ref().map(|auth| auth.header());
    let configured = configured.map(|(name, value)| (HeaderName::from_static(name), value));
    for (name, value) in in_url(url).into_iter().chain(configured) {
        let mut value = HeaderValue::try_from(value.expose())?;
        value.set_sensitive(true);
        own.insert(name, value);
    }
    Ok(own)
}

/// A credential that stands in the URL.
fn in_url(url: &Url) -> Option<(HeaderName, Secret)> {
    let plain = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let pair = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
    Some((AUTHORIZATION, Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair)))))
}

/// The system's authorities, and those of NODE_CA_FILE.
fn trusting(authorities: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let mut roots = roots::system();
    if let Some(path) = authorities {
        let refused = |cause| ClientError::Authority { path: path.display().to_string(), cause };
        roots::add(&mut roots, path).map_err(refused)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.map_err(unusable)?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
