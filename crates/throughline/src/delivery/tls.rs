//! TLS connections: whom they trust, what they show, and why one fails.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::connect::Version;
use super::outcome::{Failure, Outcome};
use crate::config::{Certificates, Identity, UnusableFile};

/// What connections of one destination are made with.
pub(super) struct Tls {
    certificates: Certificates,
    version: Version,
    /// The system's authorities, once they were needed: reading them takes milliseconds.
    system: Option<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(certificates: Certificates, version: Version) -> Self {
        Self {
            certificates,
            version,
            system: None,
        }
    }

    /// For one connection: files are read anew, so that one that was replaced is used.
    pub(super) fn config(&mut self) -> Result<Arc<ClientConfig>, Outcome> {
        let failed = |file: UnusableFile| Outcome::failed(Failure::Tls, file);
        if self.certificates == Certificates::default() {
            return match &self.system {
                Some(config) => Ok(config.clone()),
                None => Ok(self
                    .system
                    .insert(config(system_authorities()?, None, self.version)?)
                    .clone()),
            };
        }
        let authorities = match self.certificates.authorities().map_err(failed)? {
            Some(authorities) => authorities,
            None => system_authorities()?,
        };
        config(authorities, self.certificates.client().map_err(failed)?, self.version)
    }
}

fn config(
    authorities: RootCertStore,
    client: Option<Identity>,
    version: Version,
) -> Result<Arc<ClientConfig>, Outcome> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let failed = |error: rustls::Error| Outcome::failed(Failure::Tls, error);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(authorities);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
            Outcome::failed(
                Failure::Tls,
                format_args!("the client's certificate and key cannot be used: {error}"),
            )
        })?,
    };
    // A server of both has to know which is spoken (RFC 7301). One of HTTP/1.1 alone need not be asked.
    if version == Version::Http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(Arc::new(config))
}

fn system_authorities() -> Result<RootCertStore, Outcome> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let problem = "no trusted certificates found on this system";
        return Err(Outcome::failed(Failure::Tls, problem));
    }
    Ok(roots)
}

/// Why a handshake has failed.
pub(super) fn handshake_failure(error: &io::Error) -> Outcome {
    tls_failure(error)
        .unwrap_or_else(|| Outcome::failed(Failure::Tls, format_args!("{error}; does this port speak TLS?")))
}

/// What TLS has against a connection, if that is what failed.
pub(super) fn tls_failure(error: &io::Error) -> Option<Outcome> {
    use rustls::{AlertDescription, Error};
    let cause = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match cause {
        Error::InvalidMessage(_) => {
            let hint = "the port does not speak TLS: should the endpoint begin with http://?";
            Outcome::failed(Failure::Tls, hint)
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            let hint = "the server asks for a certificate: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY";
            Outcome::failed(Failure::Tls, hint)
        }
        cause => Outcome::failed(Failure::Tls, cause),
    })
}
