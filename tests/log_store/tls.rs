//! Does `sslmode` mean what it means to libpq? Asked of a real server with an authority of our own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chroma_ha::postgres::{self, Settings};
use chroma_ha_core::port::StoreError;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::server::Server;

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server whose certificate is for `localhost`, with `ca.pem` its authority and `other.pem` not.
fn encrypted() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let ca = authority("ours");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("ca.pem", ca.pem());
    write("other.pem", authority("other").pem());
    write("server.pem", certificate.pem());
    write("server.key", key.serialize_pem());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let certificate = format!("ssl_cert_file={}", file("server.pem"));
    let key = format!("ssl_key_file={}", file("server.key"));
    Server::start_in(dir, &["fsync=off", "ssl=on", &certificate, &key])
}

/// Whether the connection is encrypted, or why there is none.
async fn attempt(host: &str, port: u16, options: &str) -> Result<bool, StoreError> {
    let url = format!("postgres://postgres@{host}:{port}/postgres?{options}");
    let settings = Settings::parse(&url).unwrap();
    let facts = postgres::check(&settings).await;
    println!("{settings} {options}: {facts:?}");
    facts.map(|facts| facts.ssl)
}

fn root(dir: &Path, mode: &str, name: &str) -> String {
    format!("sslmode={mode}&sslrootcert={}", dir.join(name).display())
}

#[tokio::test]
async fn every_sslmode_checks_as_much_as_in_libpq() {
    let server = encrypted();
    let dir = server.dir.path().to_owned();
    let go = async |host: &str, options: String| attempt(host, server.port, &options).await;
    for (mode, ssl) in [("disable", false), ("allow", true), ("prefer", true), ("require", true)] {
        assert_eq!(go("127.0.0.1", format!("sslmode={mode}")).await.unwrap(), ssl, "{mode}");
    }
    assert!(go("127.0.0.1", String::new()).await.unwrap(), "prefer is the default");
    // The name on the certificate is localhost, not 127.0.0.1.
    assert!(go("localhost", root(&dir, "verify-full", "ca.pem")).await.unwrap());
    assert!(go("127.0.0.1", root(&dir, "verify-ca", "ca.pem")).await.unwrap());
    assert!(go("127.0.0.1", root(&dir, "require", "ca.pem")).await.unwrap());
    for (host, options) in [
        ("127.0.0.1", root(&dir, "verify-full", "ca.pem")),
        ("localhost", root(&dir, "verify-full", "other.pem")),
        ("localhost", root(&dir, "verify-ca", "other.pem")),
        // A root certificate makes `require` check the chain.
        ("localhost", root(&dir, "require", "other.pem")),
    ] {
        let error = go(host, options.clone()).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("certificate")), "{error}");
    }
    // The server's own certificate as the root, as with a self-signed one.
    assert!(go("localhost", root(&dir, "verify-full", "server.pem")).await.unwrap());
    assert!(go("127.0.0.1", root(&dir, "verify-ca", "server.pem")).await.unwrap());
    assert!(go("127.0.0.1", root(&dir, "verify-full", "server.pem")).await.is_err());
}

#[tokio::test]
async fn a_server_without_tls_is_used_only_by_those_who_allow_it() {
    let server = crate::server::shared();
    assert!(!attempt("127.0.0.1", server.port, "sslmode=prefer").await.unwrap());
    let error = attempt("127.0.0.1", server.port, "sslmode=require").await.unwrap_err();
    assert!(error.to_string().contains("does not support TLS"), "{error}");
}
