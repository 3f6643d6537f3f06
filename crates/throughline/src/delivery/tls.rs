//! TLS connections: whom they trust, what they show, and why one fails.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

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
    let failed = |error: Error| Outcome::failed(Failure::Tls, error);
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
    let cause = error.get_ref()?.downcast_ref::<Error>()?;
    Some(Outcome::failed(Failure::Tls, explained(cause)))
}

/// What the person who runs the program can do something about, in words.
fn explained(cause: &Error) -> String {
    match cause {
        Error::InvalidMessage(_) => "the port does not speak TLS: should the endpoint begin with http://?".to_owned(),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a certificate: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY".to_owned()
        }
        Error::AlertReceived(alert) => match refused_certificate(*alert) {
            Some(why) => format!(
                "the server refuses the certificate of this client: {why}; see OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
            ),
            None => cause.to_string(),
        },
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => "the server's certificate is by an authority that is not trusted here: \
                OTEL_EXPORTER_OTLP_CERTIFICATE=/path/of/ca.pem names one"
                .to_owned(),
            CertificateError::ExpiredContext { not_after, .. } => {
                format!("the server's certificate has ended ({})", date(*not_after))
            }
            CertificateError::NotValidYetContext { not_before, .. } => format!(
                "the server's certificate begins later ({}): is the clock of this machine right?",
                date(*not_before)
            ),
            _ => cause.to_string(),
        },
        _ => cause.to_string(),
    }
}

/// What a server has against the certificate that it was shown: RFC 8446, section 6.2.
fn refused_certificate(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::UnknownCA => "it does not know its authority",
        AlertDescription::CertificateExpired => "it has ended",
        AlertDescription::CertificateRevoked => "it was revoked",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => "it is not one that it takes, or there is none",
        AlertDescription::DecryptError => "it cannot be verified",
        AlertDescription::AccessDenied => "it gives it no access",
        _ => return None,
    })
}

/// As in headers of HTTP.
fn date(time: UnixTime) -> String {
    // Later ones cannot be written so.
    let seconds = time.as_secs().min(253_402_300_799);
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_is_in_words_and_dates() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let certificate = |error| Error::InvalidCertificate(error);
        for (cause, expected) in [
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "refuses the certificate of this client: it does not know its authority; see \
                 OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateExpired),
                "it has ended",
            ),
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                "received fatal alert: ProtocolVersion",
            ),
            (
                certificate(CertificateError::UnknownIssuer),
                "OTEL_EXPORTER_OTLP_CERTIFICATE=/path/of/ca.pem",
            ),
            (
                certificate(CertificateError::ExpiredContext {
                    time: time(1_795_314_635),
                    not_after: time(1_738_368_000),
                }),
                "has ended (Sat, 01 Feb 2025 00:00:00 GMT)",
            ),
            (
                certificate(CertificateError::NotValidYetContext {
                    time: time(0),
                    not_before: time(u64::MAX),
                }),
                "begins later (Fri, 31 Dec 9999 23:59:59 GMT)",
            ),
        ] {
            let said = explained(&cause);
            assert!(said.contains(expected), "{said}");
        }
    }
}
