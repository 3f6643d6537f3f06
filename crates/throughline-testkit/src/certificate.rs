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

/// What a server shows to its clients, and the authority's file for them to trust.
pub(crate) struct Certificate {
    acceptor: TlsAcceptor,
    ca_pem: PathBuf,
    server: Files,
    client: Option<Files>,
    /// Holds the files.
    _directory: TempDir,
}

/// A certificate and its key, as files in PEM.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// Makes an authority, and with it a certificate for `127.0.0.1` and `localhost`. With `asks_clients`, also one for clients,
    /// who are served only when they show it.
    pub(crate) fn new(asks_clients: bool) -> io::Result<Self> {
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

        let server = Files::write(directory.path(), "server", &certificate.pem(), &key)?;
        let client = match asks_clients {
            true => Some(Files::of_client(directory.path(), &issuer)?),
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
            server,
            client,
            _directory: directory,
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    pub(crate) fn ca_pem(&self) -> &Path {
        &self.ca_pem
    }

    pub(crate) fn server(&self) -> &Files {
        &self.server
    }

    pub(crate) fn client(&self) -> Option<&Files> {
        self.client.as_ref()
    }
}

impl Files {
    fn of_client(directory: &Path, issuer: &Issuer<'_, &KeyPair>) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = CertificateParams::new(["client".to_owned()])
            .and_then(|client| client.signed_by(&key, issuer))
            .map_err(io::Error::other)?;
        Self::write(directory, "client", &certificate.pem(), &key)
    }

    fn write(directory: &Path, name: &str, certificate: &str, key: &KeyPair) -> io::Result<Self> {
        let files = Self {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}-key.pem")),
        };
        fs::write(&files.certificate, certificate)?;
        fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }
}
