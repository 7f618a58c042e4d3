//! Where is one node, and how is a connection to it made? TCP, and TLS where its URL says so. It keeps no
//! connection and sends no request.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::{CONNECT_TIMEOUT, ClientError, KEEPALIVE};
use crate::config::{NodeAuth, NodeConfig, Secret};

/// What bytes go over to a node.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

pub(super) struct Address {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Before every path.
    pub(super) prefix: String,
    /// What every request says in place of its client: the address, and a credential if there is one.
    pub(super) fields: Vec<(&'static str, Secret)>,
}

impl Address {
    pub(super) fn new(node: &NodeConfig, authorities: Option<&Path>) -> Result<Address, ClientError> {
        let unusable = |cause: &dyn std::fmt::Display| ClientError::Setup(cause.to_string());
        let url = Url::parse(node.url.expose()).map_err(|error| unusable(&error))?;
        let (named, port) = match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) => (host, port),
            _ => return Err(unusable(&"a node's URL names no host")),
        };
        let host = named.trim_start_matches('[').trim_end_matches(']').to_owned();
        let authority = url.port().map_or_else(|| named.to_owned(), |port| format!("{named}:{port}"));
        let credential = node.auth.as_ref().map(NodeAuth::header).or_else(|| credential(&url));
        let tls = if url.scheme() == "https" {
            let name = ServerName::try_from(host.clone()).map_err(|error| unusable(&error))?;
            Some((TlsConnector::from(Arc::new(trusting(authorities)?)), name))
        } else {
            None
        };
        let prefix = url.path().trim_end_matches('/').to_owned();
        let fields = [("host", Secret::new(authority))].into_iter().chain(credential).collect();
        Ok(Address { host, port, tls, prefix, fields })
    }

    pub(super) async fn connect(&self) -> std::io::Result<Box<dyn Wire>> {
        let timed_out = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        tokio::time::timeout(CONNECT_TIMEOUT, self.connected()).await.map_err(timed_out)?
    }

    async fn connected(&self) -> std::io::Result<Box<dyn Wire>> {
        let socket = match self.host.parse::<IpAddr>() {
            Ok(address) => TcpStream::connect((address, self.port)).await?,
            Err(_) => TcpStream::connect((self.host.as_str(), self.port)).await?,
        };
        socket.set_nodelay(true)?;
        let probes = socket2::TcpKeepalive::new().with_time(KEEPALIVE);
        socket2::SockRef::from(&socket).set_tcp_keepalive(&probes)?;
        Ok(match &self.tls {
            Some((tls, name)) => Box::new(tls.connect(name.clone(), socket).await?),
            None => Box::new(socket),
        })
    }
}

/// One that stands in the URL.
fn credential(url: &Url) -> Option<(&'static str, Secret)> {
    let plain = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let pair = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
    Some(("authorization", Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair)))))
}

/// The system's authorities, and those of NODE_CA_FILE.
fn trusting(authorities: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = authorities {
        let unusable = |cause: String| ClientError::Authority { path: path.display().to_string(), cause };
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for certificate in read.map_err(|error| unusable(error.to_string()))? {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| ClientError::Setup(error.to_string()))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
