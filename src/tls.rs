//! TLS of the balancer itself: the certificate that it shows, replaced while it runs, and whom it trusts to be
//! a balancer. Nodes and PostgreSQL have TLS of their own, where they are reached.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::reload::{Reloaded, Source};

pub(crate) mod roots;
mod trust;

pub use trust::{Own, trusting};

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM: the certificate, then those that lead to an authority.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// Which of the two cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("TLS_CERT_FILE {0}")]
    Certificate(String),
    #[error("TLS_KEY_FILE {0}")]
    Key(String),
}

impl Unusable {
    /// Where the file is named.
    pub fn variable(&self) -> &'static str {
        match self {
            Unusable::Certificate(_) => "TLS_CERT_FILE",
            Unusable::Key(_) => "TLS_KEY_FILE",
        }
    }
}

/// Both files as they are.
type Pair = (Vec<u8>, Vec<u8>);

/// The certificate that clients are shown at this moment.
pub struct Certificate(Reloaded<Files>);

impl Certificate {
    /// The reason names the file.
    pub fn try_new(files: Files) -> Result<Certificate, String> {
        Reloaded::try_new(files).map(Certificate)
    }

    /// The certificate itself, without those that lead to an authority.
    fn leaf(&self) -> Option<CertificateDer<'static>> {
        self.0.now().cert.first().cloned()
    }

    /// Why the files are not used as they are.
    pub fn fault(&self) -> Option<String> {
        self.0.fault()
    }

    /// For as long as the balancer runs. Who tells people hears of what cannot be used, and of its end.
    pub async fn watch(self: Arc<Self>, tell: impl Fn(Option<String>)) {
        self.0.watch(tell).await;
    }

    /// For whoever accepts connections.
    pub fn server(self: &Arc<Self>) -> Result<ServerConfig, String> {
        let versions = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let versions = versions.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::new(Shown(Arc::clone(self))));
        config.max_early_data_size = 0;
        Ok(config)
    }
}

impl Files {
    /// Whether they can be used as they are. It blocks.
    pub fn check(&self) -> Result<(), Unusable> {
        self.pair().and_then(|pair| self.certified(&pair)).map(drop)
    }

    fn pair(&self) -> Result<Pair, Unusable> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
        };
        let certificate = read(&self.certificate).map_err(Unusable::Certificate)?;
        Ok((certificate, read(&self.key).map_err(Unusable::Key)?))
    }

    fn certified(&self, (certificate, key): &Pair) -> Result<CertifiedKey, Unusable> {
        let refused = |path: &Path, cause: &str| format!("{} cannot be used: {cause}", path.display());
        let no_certificate = |cause: &str| Unusable::Certificate(refused(&self.certificate, cause));
        let no_key = |cause: &str| Unusable::Key(refused(&self.key, cause));
        let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| no_certificate(&error.to_string()))?;
        if chain.is_empty() {
            return Err(no_certificate("it holds no PEM certificate"));
        }
        let secret = PrivateKeyDer::from_pem_slice(key);
        let secret = secret.map_err(|_| no_key("it holds no PEM private key"))?;
        CertifiedKey::from_der(chain, secret, &default_provider())
            .map_err(|error| no_key(&format!("it does not fit the certificate: {error}")))
    }
}

impl Source for Files {
    type Text = Pair;
    type Value = CertifiedKey;

    fn read(&self) -> Result<Pair, String> {
        self.pair().map_err(|unusable| unusable.to_string())
    }

    fn judge(&self, pair: &Pair) -> Result<CertifiedKey, String> {
        self.certified(pair).map_err(|unusable| unusable.to_string())
    }

    fn tell_new(&self, _: &CertifiedKey) {
        tracing::info!(file = %self.certificate.display(), "the certificate was replaced");
    }

    fn tell_fault(&self, fault: &str) {
        tracing::error!(
            fault,
            "the new certificate cannot be used, so the last good one is shown; mend TLS_CERT_FILE and TLS_KEY_FILE"
        );
    }
}

/// Whatever name a client asks for.
struct Shown(Arc<Certificate>);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.0.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_which_file_is_to_be_mended() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key, none] = ["tls.crt", "tls.key", "none"].map(|name| folder.path().join(name));
        let pair = || rcgen::generate_simple_self_signed(["balancer.test".to_owned()]).unwrap();
        let (ours, other) = (pair(), pair());
        fs::write(&certificate, ours.cert.pem()).unwrap();
        fs::write(&key, ours.signing_key.serialize_pem()).unwrap();
        let check = |certificate: &Path, key: &Path| {
            let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
            files.check().map_err(|unusable| (unusable.variable(), unusable.to_string()))
        };
        assert_eq!(check(&certificate, &key), Ok(()));
        let refused = |variable, told: Result<(), (&'static str, String)>| {
            let (named, told) = told.unwrap_err();
            assert!(named == variable && told.starts_with(variable), "{named}: {told}");
        };
        refused("TLS_CERT_FILE", check(&none, &key));
        refused("TLS_KEY_FILE", check(&certificate, &none));
        refused("TLS_CERT_FILE", check(&key, &key));
        refused("TLS_KEY_FILE", check(&certificate, &certificate));
        fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        refused("TLS_KEY_FILE", check(&certificate, &key));
    }
}
