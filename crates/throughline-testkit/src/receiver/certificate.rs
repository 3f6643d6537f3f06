//! A certificate for the loopback, with an authority made for it and known to nobody else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// What a receiver shows to its clients, and the authority's file for them to trust.
pub(super) struct Certificate {
    acceptor: TlsAcceptor,
    ca_pem: PathBuf,
    client: Option<ClientFiles>,
    /// Holds the files.
    _directory: TempDir,
}

/// What a client shows that this receiver asks for a certificate.
pub(super) struct ClientFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Certificate {
    /// Makes an authority, and with it a certificate for `127.0.0.1` and `localhost`. With `asks_clients`, also one for clients,
    /// who are served only when they show it.
    pub(super) fn new(asks_clients: bool) -> io::Result<Self> {
        let authority_key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Throughline test authority");
        let authority = params.self_signed(&authority_key).map_err(io::Error::other)?;

        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let issuer = Issuer::new(params, &authority_key);
        let certificate = CertificateParams::new(names)
            .and_then(|server| server.signed_by(&key, &issuer))
            .map_err(io::Error::other)?;

        let directory = tempfile::tempdir()?;
        let ca_pem = directory.path().join("ca.pem");
        fs::write(&ca_pem, authority.pem())?;

        let client = match asks_clients {
            true => Some(ClientFiles::new(directory.path(), &issuer)?),
            false => None,
        };

        // The provider is named, so that the features of other crates in the build do not decide it.
        let provider = Arc::new(ring::default_provider());
        let clients = match asks_clients {
            false => WebPkiClientVerifier::no_client_auth(),
            true => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der().clone()).map_err(io::Error::other)?;
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .build()
                    .map_err(io::Error::other)?
            }
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .map_err(io::Error::other)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca_pem,
            client,
            _directory: directory,
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    pub(super) fn ca_pem(&self) -> &Path {
        &self.ca_pem
    }

    pub(super) fn client(&self) -> Option<&ClientFiles> {
        self.client.as_ref()
    }
}

impl ClientFiles {
    fn new(directory: &Path, issuer: &Issuer<'_, &KeyPair>) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = CertificateParams::new(["client".to_owned()])
            .and_then(|client| client.signed_by(&key, issuer))
            .map_err(io::Error::other)?;
        let files = Self {
            certificate: directory.join("client.pem"),
            key: directory.join("client-key.pem"),
        };
        fs::write(&files.certificate, certificate.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }
}
