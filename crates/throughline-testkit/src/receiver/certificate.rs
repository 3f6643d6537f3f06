//! A certificate for the loopback, with an authority made for it and known to nobody else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// What a receiver shows to its clients, and the authority's file for them to trust.
pub(super) struct Certificate {
    acceptor: TlsAcceptor,
    ca_pem: PathBuf,
    /// Holds `ca_pem`.
    _directory: TempDir,
}

impl Certificate {
    /// Makes an authority, and with it a certificate for `127.0.0.1` and `localhost`.
    pub(super) fn new() -> io::Result<Self> {
        let authority_key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Throughline test authority");
        let authority = params.self_signed(&authority_key).map_err(io::Error::other)?;

        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names)
            .and_then(|server| server.signed_by(&key, &Issuer::new(params, &authority_key)))
            .map_err(io::Error::other)?;

        let directory = tempfile::tempdir()?;
        let ca_pem = directory.path().join("ca.pem");
        fs::write(&ca_pem, authority.pem())?;

        // The provider is named, so that the features of other crates in the build do not decide it.
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .map_err(io::Error::other)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca_pem,
            _directory: directory,
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    pub(super) fn ca_pem(&self) -> &Path {
        &self.ca_pem
    }
}
