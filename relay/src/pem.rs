//! Certificates, keys and revocation lists in PEM files. Every message names the configuration key, the file, and what to do.

use crate::secret;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::path::Path;

/// The certificates that a file of trusted authorities holds; at least one.
pub(crate) fn roots(key: &str, file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, file)? {
        roots.add(certificate).map_err(|error| {
            format!("{key} {} holds a certificate that cannot be used ({error}): replace it", file.display())
        })?;
    }
    Ok(roots)
}

/// A chain of certificates; at least one.
pub(crate) fn certificates(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    all(key, file, "certificate")
}

/// Revocation lists; at least one.
pub(crate) fn revocation_lists(
    key: &str,
    file: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    all(key, file, "revocation list")
}

/// The first private key, of a file that others may not read.
pub(crate) fn private_key(key: &str, file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    secret::guarded(file).map_err(|message| format!("{key} {message}"))?;
    PrivateKeyDer::from_pem_file(file).map_err(|error| unreadable(key, file, "private key", &error))
}

fn all<T: PemObject>(key: &str, file: &Path, what: &str) -> Result<Vec<T>, String> {
    match T::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(found) if found.is_empty() => Err(unreadable(key, file, what, &pem::Error::NoItemsFound)),
        Ok(found) => Ok(found),
        Err(error) => Err(unreadable(key, file, what, &error)),
    }
}

fn unreadable(key: &str, file: &Path, what: &str, error: &pem::Error) -> String {
    let file = file.display();
    match error {
        pem::Error::Io(error) => {
            format!(
                "{key} {file} cannot be read ({error}): check the path, and that the relay's user may read it"
            )
        }
        pem::Error::NoItemsFound => format!("{key} {file} holds no {what}: it must be a PEM file with one"),
        error => format!("{key} {file} is not a valid PEM file ({error:?}): export the {what} again as PEM"),
    }
}
