//! Certificates of an authority of the test's own, a server that speaks TLS before one that does not, and a
//! client that trusts whom it is told. It judges nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reqwest::{Certificate, Client};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in files.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its own certificate, for those who shall trust it.
    pub(crate) fn file(&self, path: PathBuf) -> PathBuf {
        std::fs::write(&path, self.pem()).expect("a file");
        path
    }

    /// A certificate for these names, put in place of what the files held.
    pub(crate) fn issue(&self, names: &[&str], files: &Files) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        std::fs::write(&files.key, key.serialize_pem()).expect("a file");
        std::fs::write(&files.certificate, certificate.pem()).expect("a file");
    }
}

impl Files {
    pub(crate) fn at(folder: &Path, name: &str) -> Self {
        let file = |end: &str| folder.join(format!("{name}.{end}"));
        Self { certificate: file("pem"), key: file("key") }
    }
}

/// Trusts these authorities and nobody else; every request has a connection of its own.
pub(crate) fn client_of(authorities: &[&Authority]) -> Client {
    let _there_already = default_provider().install_default();
    let mut builder = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(60));
    builder = builder.tls_built_in_root_certs(false);
    for authority in authorities {
        let certificate = Certificate::from_pem(authority.pem().as_bytes()).expect("a certificate");
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().expect("a client")
}

/// Speaks TLS before a server; its port.
pub(crate) async fn encrypted(server_port: u16, files: &Files) -> u16 {
    let chain = CertificateDer::pem_file_iter(&files.certificate).expect("a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
    let versions = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = versions.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).expect("a pair")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(acceptor.clone(), client, server_port));
        }
    });
    port
}

async fn pass(acceptor: TlsAcceptor, client: TcpStream, server_port: u16) -> std::io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}
