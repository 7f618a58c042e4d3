//! Which authorities are known? The system's, and those of a PEM file. It judges no certificate that is shown.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Those of the system; what cannot be read there is left out.
pub(crate) fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Adds all that the file holds.
pub(crate) fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| error.to_string())?;
    if read.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    for certificate in read {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "a key was meant to be here\n").unwrap();
        let mut roots = RootCertStore::empty();
        let refused = add(&mut roots, file.path());
        assert_eq!((refused, roots.len()), (Err("it holds no certificate".to_owned()), 0));
    }
}
