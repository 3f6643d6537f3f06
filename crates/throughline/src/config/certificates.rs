//! Files with certificates: who a TLS connection trusts, and what it shows of itself.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Paths of PEM files. They are read for each new connection, so that a file that is replaced is used from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificates {
    /// The authorities that are trusted instead of the system's.
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) client: Option<ClientFiles>,
}

/// What is shown to a server that asks for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientFiles {
    /// The certificate, then those of the authorities between it and one that the server trusts.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl<P: Into<PathBuf>> From<(P, P)> for ClientFiles {
    fn from((certificate, key): (P, P)) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
        }
    }
}

impl Certificates {
    /// The authorities, unless the system's are trusted.
    pub(crate) fn authorities(&self) -> Result<Option<RootCertStore>, UnusableFile> {
        let Some(path) = &self.authorities else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        // A bundle of many may hold an odd one, as the system's own may.
        roots.add_parsable_certificates(certificates(path)?);
        match roots.is_empty() {
            true => Err(UnusableFile::new(path, "no certificate in it can be used")),
            false => Ok(Some(roots)),
        }
    }

    /// The chain and its key, if one is to be shown.
    pub(crate) fn client(&self) -> Result<Option<Identity>, UnusableFile> {
        let Some(files) = &self.client else { return Ok(None) };
        let chain = certificates(&files.certificate)?;
        let key = match PrivateKeyDer::from_pem_file(&files.key) {
            Err(pem::Error::NoItemsFound) => Err(UnusableFile::new(&files.key, "there is no private key in PEM in it")),
            read => read.map_err(|error| UnusableFile::pem(&files.key, error)),
        };
        Ok(Some((chain, key?)))
    }
}

/// A certificate, those of the authorities above it, and its private key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UnusableFile> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    let found = read().map_err(|error| UnusableFile::pem(path, error))?;
    match found.is_empty() {
        true => Err(UnusableFile::new(path, "there is no certificate in PEM in it")),
        false => Ok(found),
    }
}

/// A file that does not hold what it should, or cannot be read.
#[derive(Debug)]
pub(crate) struct UnusableFile {
    path: PathBuf,
    problem: String,
}

impl UnusableFile {
    fn new(path: &Path, problem: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }

    fn pem(path: &Path, error: pem::Error) -> Self {
        match error {
            pem::Error::Io(error) => Self::new(path, error),
            error => Self::new(path, error),
        }
    }
}

impl fmt::Display for UnusableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_holds_no_certificate_or_key_is_named_with_its_problem() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let empty = path("empty", "");
        let no_base64 = path(
            "no-base64",
            "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        );
        let no_der = path(
            "no-der",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        let missing = directory.path().join("missing");
        for (file, expected) in [
            (&empty, "empty: there is no certificate in PEM in it"),
            (&no_base64, "no-base64: "),
            (&no_der, "no-der: no certificate in it can be used"),
            (&missing, "missing: No such file or directory"),
        ] {
            let certificates = Certificates {
                authorities: Some(file.clone()),
                client: None,
            };
            let said = certificates
                .authorities()
                .expect_err("it is no certificate")
                .to_string();
            assert!(said.contains(expected), "{said}");
        }
        let certificates = Certificates {
            authorities: None,
            client: Some(ClientFiles {
                certificate: no_der,
                key: empty.clone(),
            }),
        };
        let said = certificates.client().expect_err("it is no key").to_string();
        assert!(said.ends_with("empty: there is no private key in PEM in it"), "{said}");
        assert!(certificates.authorities().unwrap().is_none());
    }
}
