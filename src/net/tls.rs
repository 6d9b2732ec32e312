//! The one TLS client configuration of the daemon: the system's roots, plus a certificate authority of the site's own
//! where configured (an inspecting proxy, the lab).

use crate::journal::messages;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The configured file.
    #[error("cannot read the certificate authority {path}: {source}; give a PEM file with at least one certificate")]
    Authority {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// No certificate in it.
    #[error("{0} holds no certificate; give a PEM file with at least one certificate")]
    Empty(PathBuf),
}

/// System roots plus the certificates in `authority`. Checks certificates always; there is no switch that stops that.
pub fn client(authority: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        log::warn!(MESSAGE_ID = messages::CERTIFICATES_UNREADABLE.id; "a system certificate could not be read: {error}; check the package ca-certificates");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = authority {
        let failed = |source| TlsError::Authority { path: path.into(), source };
        let own = CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        if roots.add_parsable_certificates(own).0 == 0 {
            return Err(TlsError::Empty(path.into()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
