//! Certificates and revocation lists as they lie in files: PEM, one or several, or DER.

use super::Error;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

/// The DER of each certificate.
///
/// # Errors
/// [`Error::Unreadable`], also when there is none.
pub fn certificates(file: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    read::<CertificateDer<'_>>(file, "certificate")
}

/// The DER of each revocation list.
///
/// # Errors
/// [`Error::Unreadable`], also when there is none.
pub fn revocation_lists(file: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    read::<CertificateRevocationListDer<'_>>(file, "revocation list")
}

fn read<T: PemObject + AsRef<[u8]>>(file: &[u8], what: &'static str) -> Result<Vec<Vec<u8>>, Error> {
    let is_pem = file.windows(11).any(|window| window == b"-----BEGIN ");
    if !is_pem {
        let is_der = file.first() == Some(&0x30);
        return if is_der { Ok(vec![file.to_vec()]) } else { Err(unreadable(what, "neither PEM nor DER")) };
    }
    let found = T::pem_slice_iter(file)
        .map(|item| item.map(|der| der.as_ref().to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(what, &error.to_string()))?;
    if found.is_empty() { Err(unreadable(what, "this PEM file has none")) } else { Ok(found) }
}

fn unreadable(what: &'static str, why: &str) -> Error {
    Error::Unreadable(what, why.to_owned())
}
