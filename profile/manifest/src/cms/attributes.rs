//! The signed attributes (RFC 5652 §11, RFC 4108 §2.2) and the [`Manifest`] that they make.
//!
//! | attribute | says |
//! |---|---|
//! | content type | id-data: the digest is that of the image's own octets |
//! | message digest | `image_digest` |
//! | firmware package identifier | 2.25.`vendor` and, as its version number, `sequence_number` |
//! | target hardware identifiers | one: 2.25.`class` |
//! | image chunks, [`IMAGE_CHUNKS`] | `image_size`, `chunk_size` in bytes, `index_digest` |

use super::signed_data::{contents, elements, of_tag};
use super::{Error, identifier};
use crate::Manifest;
use const_oid::db::rfc5911::{
    ID_AA_FIRMWARE_PACKAGE_ID, ID_AA_TARGET_HARDWARE_I_DS, ID_CONTENT_TYPE, ID_DATA, ID_MESSAGE_DIGEST,
    ID_SIGNING_TIME,
};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use sixfold_profile::index::{ChunkSize, DIGEST};
use uuid::Uuid;
use x509_cert::time::Time;

/// The attribute of this project's own is 2.25 and this UUID: version 5 of the name `chunks.sixfold.invalid` in the
/// namespace of domain names. Its value is
///
/// ```text
/// SEQUENCE { imageSize INTEGER (1..4294967295), chunkSize INTEGER, indexDigest OCTET STRING (SIZE (32)) }
/// ```
///
/// with both sizes in bytes and the SHA-256 of the chunk index.
pub const IMAGE_CHUNKS: Uuid = Uuid::from_u128(0x88b5_9101_8c89_52fe_95ca_e80b_4c10_0b9d);

/// The attributes that this module knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ContentType,
    MessageDigest,
    SigningTime,
    FirmwarePackage,
    TargetHardware,
    ImageChunks,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::ContentType,
        Self::MessageDigest,
        Self::SigningTime,
        Self::FirmwarePackage,
        Self::TargetHardware,
        Self::ImageChunks,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ContentType => "content type",
            Self::MessageDigest => "message digest",
            Self::SigningTime => "signing time",
            Self::FirmwarePackage => "firmware package identifier",
            Self::TargetHardware => "target hardware identifiers",
            Self::ImageChunks => "image chunks",
        }
    }

    fn contents(self) -> Vec<u8> {
        let registered = match self {
            Self::ContentType => ID_CONTENT_TYPE,
            Self::MessageDigest => ID_MESSAGE_DIGEST,
            Self::SigningTime => ID_SIGNING_TIME,
            Self::FirmwarePackage => ID_AA_FIRMWARE_PACKAGE_ID,
            Self::TargetHardware => ID_AA_TARGET_HARDWARE_I_DS,
            Self::ImageChunks => return identifier::encode(IMAGE_CHUNKS),
        };
        registered.as_bytes().to_vec()
    }
}

/// Signed attributes: the type's contents octets, and the contents of the SET of values.
pub(super) struct Attributes<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Attributes<'a> {
    /// Reads the contents of a SET OF Attribute.
    pub(super) fn read(set: &'a [u8]) -> Result<Self, Error> {
        elements(set)?.into_iter().map(attribute).collect::<der::Result<_>>().map(Self).map_err(Error::from)
    }

    /// The names of those that this module knows, and how many others there are.
    pub(super) fn names(&self) -> (Vec<&'static str>, usize) {
        let known = |contents: &[u8]| Kind::ALL.into_iter().find(|kind| kind.contents() == contents);
        let names: Vec<_> =
            self.0.iter().filter_map(|(contents, _)| known(contents)).map(Kind::name).collect();
        let others = self.0.len() - names.len();
        (names, others)
    }

    fn optional(&self, kind: Kind) -> Result<Option<AnyRef<'a>>, Error> {
        let contents = kind.contents();
        let mut found = self.0.iter().filter(|attribute| attribute.0 == contents);
        let Some((_, values)) = found.next() else { return Ok(None) };
        match (found.next(), &elements(values)?[..]) {
            (None, [value]) => Ok(Some(*value)),
            _ => Err(Error::DuplicateAttribute(kind.name())),
        }
    }

    fn required(&self, kind: Kind) -> Result<AnyRef<'a>, Error> {
        self.optional(kind)?.ok_or(Error::MissingAttribute(kind.name()))
    }

    /// The type of the signed content.
    pub(super) fn content_type(&self) -> Result<ObjectIdentifier, Error> {
        read(Kind::ContentType, self.required(Kind::ContentType)?.decode_as())
    }

    /// The SHA-256 of the signed content.
    pub(super) fn message_digest(&self) -> Result<[u8; DIGEST], Error> {
        let digest: OctetStringRef<'_> =
            read(Kind::MessageDigest, self.required(Kind::MessageDigest)?.decode_as())?;
        sha256(Kind::MessageDigest, digest)
    }

    /// What the signer says was the time, in Unix seconds.
    pub(super) fn signing_time(&self) -> Result<Option<u64>, Error> {
        let Some(value) = self.optional(Kind::SigningTime)? else { return Ok(None) };
        let der = read(Kind::SigningTime, value.to_der())?;
        let time: Time = read(Kind::SigningTime, Time::from_der(&der))?;
        Ok(Some(time.to_unix_duration().as_secs()))
    }

    /// What the attributes say about the image.
    pub(super) fn manifest(&self) -> Result<Manifest, Error> {
        if self.content_type()? != ID_DATA {
            return Err(Error::ContentType);
        }
        let image_digest = self.message_digest()?;
        let (vendor, sequence_number) = firmware_package(self.required(Kind::FirmwarePackage)?)?;
        let class = target_hardware(self.required(Kind::TargetHardware)?)?;
        let (image_size, chunk_size, index_digest) = image_chunks(self.required(Kind::ImageChunks)?)?;
        Ok(Manifest {
            sequence_number,
            vendor,
            class,
            image_size,
            image_digest,
            chunk_size,
            index_digest,
            index: None,
            uri: None,
            encryption: None,
        })
    }
}

fn attribute(element: AnyRef<'_>) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(of_tag(element, Tag::Sequence)?)?;
    let kind = contents(&mut reader, Tag::ObjectIdentifier)?;
    let values = contents(&mut reader, Tag::Set)?;
    reader.finish((kind, values))
}

fn read<T>(kind: Kind, result: der::Result<T>) -> Result<T, Error> {
    result.map_err(|_| Error::Attribute(kind.name(), "has not the syntax of its definition"))
}

fn sha256(kind: Kind, digest: OctetStringRef<'_>) -> Result<[u8; DIGEST], Error> {
    let wrong = Error::Attribute(kind.name(), "has a digest that is not of 32 bytes");
    digest.as_bytes().try_into().map_err(|_| wrong)
}

fn uuid(kind: Kind, contents: &[u8]) -> Result<Uuid, Error> {
    identifier::decode(contents)
        .ok_or(Error::Attribute(kind.name(), "has an identifier that is not 2.25.UUID"))
}

fn firmware_package(value: AnyRef<'_>) -> Result<(Uuid, u64), Error> {
    let kind = Kind::FirmwarePackage;
    let parts = read(kind, of_tag(value, Tag::Sequence).and_then(elements))?;
    let name = match parts[..] {
        [name] => name,
        [_, _] => {
            return Err(Error::Attribute(
                kind.name(),
                "names a stale version, which the version number implies",
            ));
        }
        _ => return Err(Error::Attribute(kind.name(), "has not the syntax of its definition")),
    };
    if name.tag() == Tag::OctetString {
        return Err(Error::Attribute(kind.name(), "has the legacy form, which cannot be compared"));
    }
    let (package, version) = read(kind, preferred(name))?;
    let version = u64::from_der(version)
        .map_err(|_| Error::Attribute(kind.name(), "has a version number that is not from 0 to 2^64 - 1"))?;
    Ok((uuid(kind, package)?, version))
}

/// The contents of fwPkgID and the DER of verNum (RFC 4108 §2.2.3).
fn preferred(name: AnyRef<'_>) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(of_tag(name, Tag::Sequence)?)?;
    let package = contents(&mut reader, Tag::ObjectIdentifier)?;
    reader.peek_tag()?.assert_eq(Tag::Integer)?;
    let version = reader.tlv_bytes()?;
    reader.finish((package, version))
}

fn target_hardware(value: AnyRef<'_>) -> Result<Uuid, Error> {
    let kind = Kind::TargetHardware;
    let targets = read(kind, of_tag(value, Tag::Sequence).and_then(elements))?;
    match targets[..] {
        [target] => uuid(kind, read(kind, of_tag(target, Tag::ObjectIdentifier))?),
        [] => Err(Error::Attribute(kind.name(), "names no hardware")),
        _ => Err(Error::SeveralTargets(targets.len())),
    }
}

fn image_chunks(value: AnyRef<'_>) -> Result<(u32, ChunkSize, [u8; DIGEST]), Error> {
    let kind = Kind::ImageChunks;
    let (size, chunk, digest) = read(
        kind,
        value.sequence(|reader| {
            Ok((reader.decode::<u32>()?, reader.decode::<u32>()?, reader.decode::<OctetStringRef<'_>>()?))
        }),
    )?;
    let chunk = ChunkSize::from_bytes(chunk)
        .ok_or(Error::Attribute(kind.name(), "has a chunk size that does not exist"))?;
    if size == 0 {
        return Err(Error::Attribute(kind.name(), "is about an empty image"));
    }
    Ok((size, chunk, sha256(kind, digest)?))
}

/// A constructed or primitive element of these contents.
pub(super) fn element(tag: Tag, contents: &[&[u8]]) -> der::Result<Vec<u8>> {
    AnyRef::new(tag, &contents.concat())?.to_der()
}

/// The contents of the SET OF signed attributes that says `manifest`, in DER's order.
pub(super) fn encode(manifest: &Manifest) -> der::Result<Vec<u8>> {
    let identifier = |uuid| element(Tag::ObjectIdentifier, &[&identifier::encode(uuid)]);
    let octets = |digest: &[u8; DIGEST]| element(Tag::OctetString, &[digest]);
    let preferred =
        element(Tag::Sequence, &[&identifier(manifest.vendor)?, &manifest.sequence_number.to_der()?])?;
    let chunks = [
        manifest.image_size.to_der()?,
        manifest.chunk_size.bytes().to_der()?,
        octets(&manifest.index_digest)?,
    ];
    let mut attributes = [
        (Kind::ContentType, ID_DATA.to_der()?),
        (Kind::MessageDigest, octets(&manifest.image_digest)?),
        (Kind::FirmwarePackage, element(Tag::Sequence, &[&preferred])?),
        (Kind::TargetHardware, element(Tag::Sequence, &[&identifier(manifest.class)?])?),
        (Kind::ImageChunks, element(Tag::Sequence, &[&chunks.concat()])?),
    ]
    .map(|(kind, value)| encode_attribute(kind, &value))
    .into_iter()
    .collect::<der::Result<Vec<_>>>()?;
    attributes.sort();
    Ok(attributes.concat())
}

fn encode_attribute(kind: Kind, value: &[u8]) -> der::Result<Vec<u8>> {
    let name = element(Tag::ObjectIdentifier, &[&kind.contents()])?;
    element(Tag::Sequence, &[&name, &element(Tag::Set, &[value])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attribute_of_our_own_is_named_by_its_name() {
        assert_eq!(IMAGE_CHUNKS, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"chunks.sixfold.invalid"));
    }
}
