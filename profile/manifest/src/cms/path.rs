//! Who signed: the signature, the certification path and its revocation (RFC 5280 §6).

use super::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use super::{Error, TrustAnchors};
use const_oid::db::rfc5912::{ID_RSASSA_PSS, ID_SHA_256, RSA_ENCRYPTION};
use der::asn1::AnyRef;
use der::{Decode, Encode, Tag};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime, alg_id};
use std::time::Duration;
use webpki::ring::{ECDSA_P256_SHA256, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExpirationPolicy, RevocationOptionsBuilder,
};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{KeyUsage, SubjectKeyIdentifier};

/// The contents octets of id-kp-codeSigning, 1.3.6.1.5.5.7.3.3 (RFC 5280 §4.2.1.12).
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

/// The signer's certificate, after its signature, path and revocation were verified.
pub(super) fn verify(
    signed: &SignedData<'_>,
    anchors: &TrustAnchors,
    now_unix_s: u64,
) -> Result<Certificate, Error> {
    let (der, certificate) = signer_certificate(signed)?;
    let leaf_der = CertificateDer::from(der);
    let leaf = EndEntityCert::try_from(&leaf_der).map_err(cause)?;
    check_key_size(&certificate)?;
    check_signature(&leaf, &signed.signer)?;
    check_key_usage(&certificate)?;
    let others: Vec<_> = signed.certificates.iter().map(|der| CertificateDer::from(*der)).collect();
    check_path(&leaf, &others, anchors, UnixTime::since_unix_epoch(Duration::from_secs(now_unix_s)))?;
    Ok(certificate)
}

/// The certificate that the signer identifies, as it came and read.
pub(super) fn signer_certificate<'a>(signed: &SignedData<'a>) -> Result<(&'a [u8], Certificate), Error> {
    for der in &signed.certificates {
        let certificate = Certificate::from_der(der)?;
        if is_identified(&certificate, &signed.signer.identifier)? {
            return Ok((der, certificate));
        }
    }
    Err(Error::NoSignerCertificate)
}

fn is_identified(certificate: &Certificate, identifier: &SignerIdentifier<'_>) -> Result<bool, Error> {
    let certificate = &certificate.tbs_certificate;
    match identifier {
        SignerIdentifier::IssuerAndSerialNumber(both) => {
            let issuer = certificate.issuer.to_der()?;
            Ok([issuer, certificate.serial_number.to_der()?].concat() == *both)
        }
        SignerIdentifier::SubjectKeyIdentifier(key) => {
            let own = certificate.get::<SubjectKeyIdentifier>()?;
            Ok(own.is_some_and(|(_, own)| own.0.as_bytes() == *key))
        }
    }
}

fn check_signature(leaf: &EndEntityCert<'_>, signer: &SignerInfo<'_>) -> Result<(), Error> {
    check_digest_algorithm(signer.digest_algorithm)?;
    let algorithm = signature_algorithm(signer.signature_algorithm)?;
    let signed = AnyRef::new(Tag::Set, signer.signed_attributes)?.to_der()?;
    leaf.verify_signature(algorithm, &signed, signer.signature).map_err(|error| match error {
        webpki::Error::InvalidSignatureForPublicKey => Error::BadSignature,
        other => cause(other),
    })
}

/// SHA-256, whose parameters are absent or NULL (RFC 5754 §2).
fn check_digest_algorithm(contents: &[u8]) -> Result<(), Error> {
    let sha256 = ID_SHA_256.to_der()?;
    match contents.strip_prefix(&sha256[..]) {
        Some([] | [5, 0]) => Ok(()),
        _ => Err(Error::UnsupportedAlgorithm(format!("the digest algorithm {}", name(contents)))),
    }
}

fn signature_algorithm(contents: &[u8]) -> Result<&'static dyn SignatureVerificationAlgorithm, Error> {
    let known = [
        (alg_id::ECDSA_SHA256, ECDSA_P256_SHA256),
        (alg_id::RSA_ENCRYPTION, RSA_PKCS1_2048_8192_SHA256),
        (alg_id::RSA_PKCS1_SHA256, RSA_PKCS1_2048_8192_SHA256),
        (alg_id::RSA_PSS_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY),
    ];
    if let Some((_, algorithm)) = known.iter().find(|(identifier, _)| identifier.as_ref() == contents) {
        return Ok(*algorithm);
    }
    if contents.starts_with(&ID_RSASSA_PSS.to_der()?) {
        return Err(Error::PssParameters);
    }
    Err(Error::UnsupportedAlgorithm(format!("the signature algorithm {}", name(contents))))
}

/// The name of an AlgorithmIdentifier.
pub(super) fn name(contents: &[u8]) -> String {
    let identifier = super::signed_data::elements(contents)
        .ok()
        .and_then(|elements| elements.first()?.decode_as::<der::asn1::ObjectIdentifier>().ok());
    match identifier {
        Some(identifier) => {
            const_oid::db::DB.by_oid(&identifier).map_or_else(|| identifier.to_string(), str::to_owned)
        }
        None => "that is none".to_owned(),
    }
}

/// *ring* calls the signature of a short RSA key a wrong one.
fn check_key_size(certificate: &Certificate) -> Result<(), Error> {
    let key = &certificate.tbs_certificate.subject_public_key_info;
    let is_short = key.algorithm.oid == RSA_ENCRYPTION && key.subject_public_key.raw_bytes().len() < 2048 / 8;
    let short = || Error::UnsupportedAlgorithm("an RSA key of less than 2048 bits".to_owned());
    if is_short { Err(short()) } else { Ok(()) }
}

fn check_key_usage(certificate: &Certificate) -> Result<(), Error> {
    match certificate.tbs_certificate.get::<KeyUsage>()? {
        Some((_, usage)) if !usage.digital_signature() && !usage.non_repudiation() => Err(Error::KeyUsage),
        _ => Ok(()),
    }
}

fn check_path(
    leaf: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<(), Error> {
    let certificates: Vec<_> =
        anchors.certificates.iter().map(|der| CertificateDer::from(&der[..])).collect();
    let roots = certificates
        .iter()
        .map(webpki::anchor_from_trusted_cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Unreadable("trust anchor", error.to_string()))?;
    if roots.is_empty() {
        return Err(Error::NoTrustAnchors);
    }
    let crls = revocation_lists(anchors)?;
    let crls: Vec<_> = crls.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&crls)
        .ok()
        .map(|options| options.with_expiration_policy(ExpirationPolicy::Enforce).build());
    let usage = webpki::KeyUsage::required_if_present(CODE_SIGNING);
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &roots, others, now, usage, revocation, None)
        .map(|_| ())
        .map_err(cause)
}

fn revocation_lists(anchors: &TrustAnchors) -> Result<Vec<CertRevocationList<'_>>, Error> {
    anchors
        .crls
        .iter()
        .map(|der| BorrowedCertRevocationList::from_der(der).map(CertRevocationList::from))
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Unreadable("revocation list", error.to_string()))
}

/// What webpki's error means here.
fn cause(error: webpki::Error) -> Error {
    use webpki::Error as Webpki;
    match error {
        Webpki::CertExpired { not_after, .. } => Error::Expired(not_after.as_secs()),
        Webpki::CertNotValidYet { not_before, .. } => Error::NotYetValid(not_before.as_secs()),
        Webpki::CrlExpired { next_update, .. } => Error::CrlExpired(next_update.as_secs()),
        Webpki::UnknownIssuer => Error::UnknownIssuer,
        Webpki::InvalidSignatureForPublicKey | Webpki::InvalidCrlSignatureForPublicKey => {
            Error::BadChainSignature
        }
        Webpki::CertRevoked => Error::Revoked,
        Webpki::UnknownRevocationStatus => Error::UnknownRevocationStatus,
        Webpki::RequiredEkuNotFoundContext(_) | Webpki::EmptyEkuExtension => Error::ExtendedKeyUsage,
        Webpki::CaUsedAsEndEntity => Error::CaAsSigner,
        Webpki::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            Error::UnsupportedAlgorithm("the signer's key under this signature algorithm".to_owned())
        }
        Webpki::UnsupportedSignatureAlgorithmContext(_) => {
            Error::UnsupportedAlgorithm("the signature algorithm of a certificate".to_owned())
        }
        other => Error::Path(other.to_string()),
    }
}
