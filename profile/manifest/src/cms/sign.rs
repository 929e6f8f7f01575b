//! Making the signed object: ECDSA with P-256 and SHA-256 (RFC 5753 §2.1), deterministic (RFC 6979).

use super::attributes::{self, element};
use super::signed_data::context;
use super::{Error, MAX_LENGTH};
use crate::Manifest;
use crate::keys::KeyError;
use const_oid::db::rfc5911::{ID_DATA, ID_SIGNED_DATA};
use const_oid::db::rfc5912::{ECDSA_WITH_SHA_256, ID_SHA_256};
use der::{Decode, Encode, Tag, TagNumber};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePrivateKey;
use x509_cert::Certificate;

/// A publisher's P-256 key.
pub struct SigningKey(p256::ecdsa::SigningKey);

impl SigningKey {
    /// Reads PKCS #8, PEM or DER, unencrypted.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn read(pkcs8: &[u8]) -> Result<Self, Error> {
        let key = match std::str::from_utf8(pkcs8) {
            Ok(pem) if pem.contains("-----BEGIN PUBLIC KEY-----") => {
                return Err(Error::Key(KeyError::Public.to_string()));
            }
            Ok(pem) if pem.contains("-----BEGIN") => {
                p256::ecdsa::SigningKey::from_pkcs8_pem(pem.trim_start())
            }
            _ => p256::ecdsa::SigningKey::from_pkcs8_der(pkcs8),
        };
        key.map(Self).map_err(|error| Error::Key(error.to_string()))
    }
}

/// Signs what `manifest` says. `chain` has the DER of the signer's certificate first, then of those between it and a
/// trust anchor. There is no signing time: the sequence number orders manifests.
///
/// # Errors
/// [`Error::KeyMismatch`], [`Error::NoSignerCertificate`] without a chain, [`Error::Unreadable`] for a certificate,
/// [`Error::NotExpressible`] for a manifest with an index, a URI or encryption, [`Error::TooLong`].
pub fn sign(manifest: &Manifest, key: &SigningKey, chain: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    if manifest.index.is_some() {
        return Err(Error::NotExpressible("the chunk index itself"));
    }
    if manifest.uri.is_some() {
        return Err(Error::NotExpressible("a URI"));
    }
    if manifest.encryption.is_some() {
        return Err(Error::NotExpressible("encryption"));
    }
    let identifier = signer_identifier(key, chain)?;
    let attributes = attributes::encode(manifest)?;
    let signature: DerSignature = key.0.sign(&element(Tag::Set, &[&attributes])?);
    let signer = element(
        Tag::Sequence,
        &[
            &1_u8.to_der()?,
            &identifier,
            &algorithm(ID_SHA_256)?,
            &element(context(TagNumber::N0), &[&attributes])?,
            &algorithm(ECDSA_WITH_SHA_256)?,
            &element(Tag::OctetString, &[signature.as_bytes()])?,
        ],
    )?;
    let p7s = content_info(chain, &signer)?;
    if p7s.len() > MAX_LENGTH { Err(Error::TooLong(p7s.len())) } else { Ok(p7s) }
}

fn content_info(chain: &[Vec<u8>], signer: &[u8]) -> der::Result<Vec<u8>> {
    let mut certificates = chain.to_vec();
    certificates.sort();
    let signed_data = element(
        Tag::Sequence,
        &[
            &1_u8.to_der()?,
            &element(Tag::Set, &[&algorithm(ID_SHA_256)?])?,
            &element(Tag::Sequence, &[&ID_DATA.to_der()?])?,
            &element(context(TagNumber::N0), &[&certificates.concat()])?,
            &element(Tag::Set, &[signer])?,
        ],
    )?;
    element(Tag::Sequence, &[&ID_SIGNED_DATA.to_der()?, &element(context(TagNumber::N0), &[&signed_data])?])
}

/// Without parameters (RFC 5754 §2 and §3.3).
fn algorithm(identifier: const_oid::ObjectIdentifier) -> der::Result<Vec<u8>> {
    element(Tag::Sequence, &[&identifier.to_der()?])
}

/// IssuerAndSerialNumber of the first certificate, which has the public half of `key`.
fn signer_identifier(key: &SigningKey, chain: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let read = |der: &Vec<u8>| {
        Certificate::from_der(der).map_err(|error| Error::Unreadable("certificate", error.to_string()))
    };
    let certificates = chain.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let signer = &certificates.first().ok_or(Error::NoSignerCertificate)?.tbs_certificate;
    let public = VerifyingKey::from_sec1_bytes(signer.subject_public_key_info.subject_public_key.raw_bytes());
    if public.ok().as_ref() != Some(key.0.verifying_key()) {
        return Err(Error::KeyMismatch);
    }
    Ok(element(Tag::Sequence, &[&signer.issuer.to_der()?, &signer.serial_number.to_der()?])?)
}
