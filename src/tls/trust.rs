//! Is this certificate a balancer's? One that an authority known here gave for the address, or for a name that
//! our own certificate has too: balancers are known by the service's name, and reached by addresses of their
//! own. Or our very own. It refuses to weaken signatures: whoever shows it must hold its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use webpki::EndEntityCert;

use super::{Certificate, roots};

/// The certificate that is our own.
pub enum Own {
    None,
    /// The one that is shown at this moment.
    Shown(Arc<Certificate>),
    /// As a verb finds it in the file.
    Read(CertificateDer<'static>),
    /// Whatever is shown: for a question without a secret, put to this machine. A certificate that is being
    /// replaced must not make it ill.
    Any,
}

impl Own {
    /// What a verb on the balancer's machine knows of it; without a readable file, nothing.
    pub fn read(certificate: Option<PathBuf>) -> Own {
        let read = certificate.and_then(|path| CertificateDer::from_pem_file(path).ok());
        read.map_or(Own::None, Own::Read)
    }

    fn leaf(&self) -> Option<CertificateDer<'static>> {
        match self {
            Own::None | Own::Any => None,
            Own::Shown(certificate) => certificate.leaf(),
            Own::Read(leaf) => Some(leaf.clone()),
        }
    }
}

/// Trusts the system's authorities, those of the file, and who shows `own`.
pub fn trusting(authorities: Option<&Path>, own: Own) -> Result<ClientConfig, String> {
    let mut roots = roots::system();
    if let Some(path) = authorities {
        roots::add(&mut roots, path).map_err(|cause| {
            format!("{} cannot be used: {cause}; give a PEM file of certificates", path.display())
        })?;
    }
    let provider = Arc::new(default_provider());
    // Without any authority only our own certificate is known.
    let chain =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().ok();
    let versions =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let verifier = Arc::new(Verifier { chain, own, provider });
    let versions = versions.map_err(|error| error.to_string())?.dangerous();
    Ok(versions.with_custom_certificate_verifier(verifier).with_no_client_auth())
}

struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    own: Own,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

/// The names that a certificate is for.
fn names(certificate: &CertificateDer<'_>) -> Vec<ServerName<'static>> {
    let Ok(parsed) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    parsed.valid_dns_names().filter_map(|name| ServerName::try_from(name.to_owned()).ok()).collect()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let own = self.own.leaf();
        if matches!(self.own, Own::Any) || own.as_ref().is_some_and(|own| own == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let chain = self.chain.as_ref().ok_or(unknown)?;
        let verified =
            |name: &ServerName<'_>| chain.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        let verdict = verified(server_name);
        let other_name = matches!(
            verdict,
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ))
        );
        let ours = own.as_ref().filter(|_| other_name).map(names).unwrap_or_default();
        ours.iter().find_map(|name| verified(name).ok()).map_or(verdict, Ok)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
