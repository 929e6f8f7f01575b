//! A signed object in words, for people: nothing is verified.

use super::attributes::Attributes;
use super::signed_data::{SignedData, SignerIdentifier};
use super::{Error, path, printable};
use crate::Manifest;
use der::Decode;
use sixfold_profile::Hex;
use std::fmt::{self, Write};
use x509_cert::Certificate;

/// What `p7s` says, line by line; if it cannot be read, why.
pub fn describe(p7s: &[u8]) -> String {
    match SignedData::read(p7s) {
        Ok(signed) => text(&signed).unwrap_or_else(|error| error.to_string()),
        Err(error) => format!("{error}\n"),
    }
}

fn text(signed: &SignedData<'_>) -> Result<String, fmt::Error> {
    let mut out = "CMS SignedData, detached, NOT VERIFIED\n".to_owned();
    for der in &signed.certificates {
        certificate(&mut out, der)?;
    }
    signer(&mut out, signed)?;
    match Attributes::read(signed.signer.signed_attributes) {
        Ok(attributes) => describe_attributes(&mut out, &attributes)?,
        Err(error) => writeln!(out, "attributes: {error}")?,
    }
    Ok(out)
}

fn certificate(out: &mut String, der: &[u8]) -> fmt::Result {
    let certificate = match Certificate::from_der(der) {
        Ok(certificate) => certificate.tbs_certificate,
        Err(error) => return writeln!(out, "certificate: {error}"),
    };
    let validity = certificate.validity;
    writeln!(
        out,
        "certificate: {}, serial number {}, issued by {}, from {} to {}",
        printable(&certificate.subject),
        Hex(certificate.serial_number.as_bytes()),
        printable(&certificate.issuer),
        validity.not_before,
        validity.not_after
    )
}

fn signer(out: &mut String, signed: &SignedData<'_>) -> fmt::Result {
    match path::signer_certificate(signed) {
        Ok((_, certificate)) => writeln!(out, "signer: {}", printable(&certificate.tbs_certificate.subject))?,
        Err(error) => writeln!(out, "signer: {error}")?,
    }
    if let SignerIdentifier::SubjectKeyIdentifier(key) = signed.signer.identifier {
        writeln!(out, "signer's key identifier: {}", Hex(key))?;
    }
    writeln!(out, "signature algorithm: {}", path::name(signed.signer.signature_algorithm))
}

fn describe_attributes(out: &mut String, attributes: &Attributes<'_>) -> fmt::Result {
    let (names, others) = attributes.names();
    writeln!(out, "attributes: {}; {others} others", names.join(", "))?;
    if let Ok(Some(time)) = attributes.signing_time() {
        writeln!(out, "signing time: Unix time {time}")?;
    }
    match attributes.manifest() {
        Ok(manifest) => describe_manifest(out, &manifest),
        Err(error @ Error::MissingAttribute(_)) => {
            if let Ok(digest) = attributes.message_digest() {
                writeln!(out, "image: SHA-256 {}", Hex(&digest))?;
            }
            writeln!(out, "no manifest: {error}")
        }
        Err(error) => writeln!(out, "no manifest: {error}"),
    }
}

fn describe_manifest(out: &mut String, manifest: &Manifest) -> fmt::Result {
    writeln!(out, "sequence number: {}", manifest.sequence_number)?;
    writeln!(out, "vendor: {}", manifest.vendor)?;
    writeln!(out, "class: {}", manifest.class)?;
    writeln!(out, "image: {} bytes, SHA-256 {}", manifest.image_size, Hex(&manifest.image_digest))?;
    writeln!(
        out,
        "chunks: {} bytes each, SHA-256 of the index {}",
        manifest.chunk_size.bytes(),
        Hex(&manifest.index_digest)
    )
}
