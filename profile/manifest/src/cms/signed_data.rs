//! The syntax of a detached SignedData with one signer (RFC 5652 §5), read in place.
//!
//! Attribute types are kept as octets, because the `cms` crate refuses the long arcs of 2.25.UUID. CRLs and unsigned
//! attributes inside the object are not read: revocation lists come from whoever trusts.

use super::{Error, MAX_LENGTH};
use const_oid::db::rfc5911::{ID_DATA, ID_SIGNED_DATA};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

/// What the object consists of.
pub(super) struct SignedData<'a> {
    /// The eContentType.
    pub(super) content_type: ObjectIdentifier,
    /// The DER of each certificate.
    pub(super) certificates: Vec<&'a [u8]>,
    /// The only signer.
    pub(super) signer: SignerInfo<'a>,
}

/// What the signer says.
pub(super) struct SignerInfo<'a> {
    /// Whose certificate verifies the signature.
    pub(super) identifier: SignerIdentifier<'a>,
    /// The contents of the digest's AlgorithmIdentifier.
    pub(super) digest_algorithm: &'a [u8],
    /// The contents of the SET OF signed attributes.
    pub(super) signed_attributes: &'a [u8],
    /// The contents of the signature's AlgorithmIdentifier.
    pub(super) signature_algorithm: &'a [u8],
    /// The signature.
    pub(super) signature: &'a [u8],
}

/// RFC 5652 §5.3.
pub(super) enum SignerIdentifier<'a> {
    /// The DER of the issuer's name and of the serial number, one after the other.
    IssuerAndSerialNumber(&'a [u8]),
    /// The value of the extension of this name.
    SubjectKeyIdentifier(&'a [u8]),
}

/// The elements of a constructed value.
pub(super) fn elements<'a>(contents: &'a [u8]) -> der::Result<Vec<AnyRef<'a>>> {
    let mut reader = SliceReader::new(contents)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(reader.decode()?);
    }
    Ok(found)
}

/// The contents of the next element, which has this tag.
pub(super) fn contents<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<&'a [u8]> {
    of_tag(reader.decode()?, tag)
}

/// The contents of an element, which has this tag.
pub(super) fn of_tag<'a>(element: AnyRef<'a>, tag: Tag) -> der::Result<&'a [u8]> {
    element.tag().assert_eq(tag)?;
    Ok(element.value())
}

/// The contents of the SEQUENCE that `der` is.
fn sequence(der: &[u8]) -> der::Result<&[u8]> {
    of_tag(AnyRef::from_der(der)?, Tag::Sequence)
}

/// \[`number`\], constructed.
pub(super) const fn context(number: TagNumber) -> Tag {
    Tag::ContextSpecific { constructed: true, number }
}

fn optional<'a>(reader: &mut SliceReader<'a>, number: TagNumber) -> der::Result<Option<&'a [u8]>> {
    let is_next = !reader.is_finished() && reader.peek_tag()? == context(number);
    if is_next { contents(reader, context(number)).map(Some) } else { Ok(None) }
}

fn malformed(why: &str) -> Error {
    Error::Malformed(why.to_owned())
}

impl<'a> SignedData<'a> {
    /// Reads the DER of a ContentInfo (RFC 5652 §3).
    pub(super) fn read(p7s: &'a [u8]) -> Result<Self, Error> {
        if p7s.len() > MAX_LENGTH {
            return Err(Error::TooLong(p7s.len()));
        }
        if p7s.starts_with(b"-----BEGIN") {
            return Err(Error::NotDer("PEM"));
        }
        if p7s.starts_with(&[0x30, 0x80]) {
            return Err(Error::NotDer("BER of indefinite length"));
        }
        let mut content_info = SliceReader::new(sequence(p7s)?)?;
        if content_info.decode::<ObjectIdentifier>()? != ID_SIGNED_DATA {
            return Err(malformed("another content type than id-signedData"));
        }
        let content = contents(&mut content_info, context(TagNumber::N0))?;
        content_info.finish(())?;
        Self::read_content(sequence(content)?)
    }

    fn read_content(signed_data: &'a [u8]) -> Result<Self, Error> {
        let mut reader = SliceReader::new(signed_data)?;
        let version: u8 = reader.decode()?;
        let digest_algorithms = elements(contents(&mut reader, Tag::Set)?)?;
        let content_type = encapsulated(contents(&mut reader, Tag::Sequence)?)?;
        let certificates = certificates(optional(&mut reader, TagNumber::N0)?.unwrap_or_default())?;
        optional(&mut reader, TagNumber::N1)?;
        let signers = elements(contents(&mut reader, Tag::Set)?)?;
        reader.finish(())?;
        let signer = match signers[..] {
            [signer] => SignerInfo::read(of_tag(signer, Tag::Sequence)?)?,
            [] => return Err(Error::NoSigner),
            _ => return Err(Error::SeveralSigners(signers.len())),
        };
        if version != signer.version().max(if content_type == ID_DATA { 1 } else { 3 }) {
            return Err(malformed("the version of SignedData is not that of RFC 5652 §5.1"));
        }
        if !digest_algorithms
            .iter()
            .any(|algorithm| of_tag(*algorithm, Tag::Sequence) == Ok(signer.digest_algorithm))
        {
            return Err(malformed("the signer's digest algorithm is not among digestAlgorithms"));
        }
        Ok(Self { content_type, certificates, signer })
    }
}

fn encapsulated(content_info: &[u8]) -> Result<ObjectIdentifier, Error> {
    let mut reader = SliceReader::new(content_info)?;
    let content_type = reader.decode()?;
    if optional(&mut reader, TagNumber::N0)?.is_some() {
        return Err(Error::NotDetached);
    }
    Ok(reader.finish(content_type)?)
}

fn certificates(set: &[u8]) -> der::Result<Vec<&[u8]>> {
    let mut reader = SliceReader::new(set)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        reader.peek_tag()?.assert_eq(Tag::Sequence)?;
        found.push(reader.tlv_bytes()?);
    }
    Ok(found)
}

impl<'a> SignerInfo<'a> {
    fn read(signer_info: &'a [u8]) -> Result<Self, Error> {
        let mut reader = SliceReader::new(signer_info)?;
        let version: u8 = reader.decode()?;
        let identifier = SignerIdentifier::read(reader.decode()?)?;
        let digest_algorithm = contents(&mut reader, Tag::Sequence)?;
        let signed_attributes = optional(&mut reader, TagNumber::N0)?;
        let signature_algorithm = contents(&mut reader, Tag::Sequence)?;
        let signature = reader.decode::<OctetStringRef<'a>>()?.as_bytes();
        optional(&mut reader, TagNumber::N1)?;
        reader.finish(())?;
        let signed_attributes = signed_attributes.ok_or(Error::NoSignedAttributes)?;
        let signer = Self { identifier, digest_algorithm, signed_attributes, signature_algorithm, signature };
        if version == signer.version() { Ok(signer) } else { Err(malformed("the version of SignerInfo")) }
    }

    const fn version(&self) -> u8 {
        match self.identifier {
            SignerIdentifier::IssuerAndSerialNumber(_) => 1,
            SignerIdentifier::SubjectKeyIdentifier(_) => 3,
        }
    }
}

impl<'a> SignerIdentifier<'a> {
    fn read(choice: AnyRef<'a>) -> der::Result<Self> {
        match choice.tag() {
            Tag::Sequence => Ok(Self::IssuerAndSerialNumber(choice.value())),
            Tag::ContextSpecific { constructed: false, number: TagNumber::N0 } => {
                Ok(Self::SubjectKeyIdentifier(choice.value()))
            }
            other => Err(other.unexpected_error(Some(Tag::Sequence))),
        }
    }
}
