//! Objects whose signature is good, but which say something that this module does not accept.

use super::pki::{Leaf, NOW, image, intermediate, leaf, manifest, root, trust};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Tag, TagNumber};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use sixfold_manifest::Manifest;
use sixfold_manifest::cms::{Error, TrustAnchors, describe, verify, verify_detached};

const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const SIGNING_TIME: &str = "1.2.840.113549.1.9.5";
const FIRMWARE_PACKAGE: &str = "1.2.840.113549.1.9.16.2.35";
const TARGET_HARDWARE: &str = "1.2.840.113549.1.9.16.2.36";
const DATA: &str = "1.2.840.113549.1.7.1";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";

fn element(tag: Tag, parts: &[&[u8]]) -> Vec<u8> {
    AnyRef::new(tag, &parts.concat()).unwrap().to_der().unwrap()
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(Tag::Sequence, parts)
}

fn set(parts: &[&[u8]]) -> Vec<u8> {
    element(Tag::Set, parts)
}

fn context(number: TagNumber, parts: &[&[u8]]) -> Vec<u8> {
    element(Tag::ContextSpecific { constructed: true, number }, parts)
}

fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new_unwrap(text).to_der().unwrap()
}

/// The elements in the contents of `der`, each as DER.
fn parts(der: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = AnyRef::from_der(der).unwrap().value();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let header = der::Header::decode(&mut der::SliceReader::new(rest).unwrap()).unwrap();
        let length = usize::try_from((header.encoded_len().unwrap() + header.length).unwrap()).unwrap();
        let (first, others) = rest.split_at(length);
        found.push(first.to_vec());
        rest = others;
    }
    found
}

/// An object to be, with the parts that tests change.
struct Forge {
    content_info: Vec<u8>,
    certificates: Vec<u8>,
    digest: Vec<u8>,
    algorithm: Vec<u8>,
    attributes: Option<Vec<Vec<u8>>>,
    signers: usize,
    leaf: Leaf,
    anchors: TrustAnchors,
}

impl Forge {
    fn new() -> Self {
        let root = root("root");
        let leaf = leaf(&root);
        let content = parts(&leaf.sign(&[])).remove(1);
        let signed_data = parts(&parts(&content)[0]);
        let signer = parts(&parts(&signed_data[4])[0]);
        Self {
            content_info: sequence(&[&oid(DATA)]),
            certificates: leaf.der.clone(),
            digest: sequence(&[&oid(SHA256)]),
            algorithm: sequence(&[&oid(ECDSA_SHA256)]),
            attributes: Some(parts(&signer[3])),
            signers: 1,
            leaf,
            anchors: trust(&root),
        }
    }

    /// Replaces the attribute of this type, or removes it.
    fn replace(mut self, kind: &str, values: Option<&[Vec<u8>]>) -> Self {
        let attributes = self.attributes.as_mut().unwrap();
        attributes.retain(|attribute| parts(attribute)[0] != oid(kind));
        if let Some(values) = values {
            attributes.push(sequence(&[&oid(kind), &set(&[&values.concat()])]));
        }
        self
    }

    fn sign(&self) -> Vec<u8> {
        let key = SigningKey::from_pkcs8_der(self.leaf.key.serialized_der()).unwrap();
        let attributes = self.attributes.as_ref().map(|attributes| attributes.concat());
        let signature: DerSignature = match &attributes {
            Some(attributes) => key.sign(&set(&[attributes])),
            None => key.sign(&image()),
        };
        let to_be_signed = parts(&parts(&self.leaf.der)[0]);
        let identifier = sequence(&[&to_be_signed[3], &to_be_signed[1]]);
        let attributes =
            attributes.map_or_else(Vec::new, |attributes| context(TagNumber::N0, &[&attributes]));
        let signature = element(Tag::OctetString, &[signature.as_bytes()]);
        let signer =
            sequence(&[&[2, 1, 1], &identifier, &self.digest, &attributes, &self.algorithm, &signature]);
        let signed_data = sequence(&[
            &[2, 1, 1],
            &set(&[&self.digest]),
            &self.content_info,
            &context(TagNumber::N0, &[&self.certificates]),
            &set(&[&signer.repeat(self.signers)]),
        ]);
        sequence(&[&oid("1.2.840.113549.1.7.2"), &context(TagNumber::N0, &[&signed_data])])
    }

    fn judge(&self) -> Result<Manifest, Error> {
        assert!(!describe(&self.sign()).is_empty());
        verify(&self.sign(), &self.anchors, NOW)
    }
}

#[test]
fn the_forge_forges_nothing_unless_told() {
    assert_eq!(Forge::new().judge(), Ok(manifest()));
    let mut forge = Forge::new();
    forge.digest = sequence(&[&oid(SHA256), &[5, 0]]);
    assert_eq!(forge.judge(), Ok(manifest()), "NULL parameters");
    let time = element(Tag::UtcTime, &[b"231114221320Z"]);
    let forge = Forge::new().replace(SIGNING_TIME, Some(&[time]));
    let signer = verify_detached(&forge.sign(), &image(), &forge.anchors, NOW).unwrap();
    assert_eq!((forge.judge(), signer.signing_time), (Ok(manifest()), Some(NOW)));
}

#[test]
fn each_attribute_is_needed_once() {
    for number in 0..5 {
        let mut forge = Forge::new();
        let removed = forge.attributes.as_mut().unwrap().remove(number);
        let judged = forge.judge();
        assert!(matches!(judged, Err(Error::MissingAttribute(_))), "{number}: {judged:?}");
        forge.attributes.as_mut().unwrap().extend([removed.clone(), removed]);
        let judged = forge.judge();
        assert!(matches!(judged, Err(Error::DuplicateAttribute(_))), "{number}: {judged:?}");
    }
    for values in [vec![], vec![sequence(&[]), sequence(&[])]] {
        let forge = Forge::new().replace(FIRMWARE_PACKAGE, Some(&values));
        assert_eq!(forge.judge(), Err(Error::DuplicateAttribute("firmware package identifier")));
    }
    let mut forge = Forge::new();
    forge.attributes = Some(Vec::new());
    assert_eq!(forge.judge(), Err(Error::MissingAttribute("content type")));
}

#[test]
fn the_package_is_a_vendor_and_a_number() {
    let (vendor, one) = (vec![6, 2, 0x69, 1], vec![2, 1, 1]);
    let judge = |value: Vec<u8>| Forge::new().replace(FIRMWARE_PACKAGE, Some(&[value])).judge();
    let judged = judge(sequence(&[&sequence(&[&vendor, &one])])).unwrap();
    assert_eq!((judged.vendor.as_u128(), judged.sequence_number), (1, 1));
    let wrong = [
        element(Tag::OctetString, &[b"lamp 1.0"]),
        sequence(&[]),
        sequence(&[&element(Tag::OctetString, &[b"lamp 1.0"])]),
        sequence(&[&sequence(&[&vendor, &one]), &one]),
        sequence(&[&sequence(&[&vendor, &[2, 1, 0x80]])]),
        sequence(&[&sequence(&[&vendor, &[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0]])]),
        sequence(&[&sequence(&[&vendor])]),
        sequence(&[&sequence(&[&oid(DATA), &one])]),
    ];
    for value in wrong {
        let judged = judge(value.clone());
        assert!(
            matches!(judged, Err(Error::Attribute("firmware package identifier", _))),
            "{value:02x?}: {judged:?}"
        );
    }
}

#[test]
fn there_is_one_target() {
    let target = vec![6, 2, 0x69, 1];
    let judge = |targets: &[&[u8]]| Forge::new().replace(TARGET_HARDWARE, Some(&[sequence(targets)])).judge();
    assert_eq!(judge(&[&target]).map(|manifest| manifest.class.as_u128()), Ok(1));
    assert_eq!(judge(&[&target, &target]), Err(Error::SeveralTargets(2)));
    for wrong in [vec![], vec![2, 1, 1], oid(DATA), vec![6, 3, 0x69, 0x80, 1]] {
        assert!(matches!(judge(&[&wrong]), Err(Error::Attribute("target hardware identifiers", _))));
    }
}

#[test]
fn the_chunks_are_possible() {
    let digest = element(Tag::OctetString, &[&[7; 32]]);
    let judge = |parts: &[&[u8]]| {
        let mut forge = Forge::new();
        let attributes = forge.attributes.as_mut().unwrap();
        let own = attributes.iter().position(|attribute| self::parts(attribute)[0][2] == 0x69).unwrap();
        let kind = self::parts(&attributes[own])[0].clone();
        attributes[own] = sequence(&[&kind, &set(&[&sequence(parts)])]);
        forge.judge()
    };
    assert_eq!(
        judge(&[&[2, 1, 1], &[2, 2, 1, 0], &digest]).map(|manifest| manifest.index_digest),
        Ok([7; 32])
    );
    let short = element(Tag::OctetString, &[&[7; 31]]);
    let wrong: [&[&[u8]]; 7] = [
        &[],
        &[&[2, 1, 0], &[2, 2, 1, 0], &digest],
        &[&[2, 1, 0xff], &[2, 2, 1, 0], &digest],
        &[&[2, 5, 1, 0, 0, 0, 0], &[2, 2, 1, 0], &digest],
        &[&[2, 1, 1], &[2, 2, 1, 1], &digest],
        &[&[2, 1, 1], &[2, 2, 1, 0], &short],
        &[&[2, 1, 1], &[2, 2, 1, 0], &digest, &[5, 0]],
    ];
    for parts in wrong {
        let judged = judge(parts);
        assert!(matches!(judged, Err(Error::Attribute("image chunks", _))), "{parts:02x?}: {judged:?}");
    }
}

#[test]
fn the_content_is_plain_data() {
    let forge = Forge::new().replace(CONTENT_TYPE, Some(&[oid("1.2.840.113549.1.9.16.1.16")]));
    assert_eq!(forge.judge(), Err(Error::ContentType));
    let detached = verify_detached(&forge.sign(), &image(), &forge.anchors, NOW);
    assert_eq!(detached, Err(Error::ContentType), "RFC 5652 §11.1");
    let mut forge = Forge::new();
    forge.content_info =
        sequence(&[&oid(DATA), &context(TagNumber::N0, &[&element(Tag::OctetString, &[b"image"])])]);
    assert_eq!(forge.judge(), Err(Error::NotDetached));
}

#[test]
fn one_signer_signs_attributes() {
    let mut forge = Forge::new();
    for (signers, error) in
        [(0, Error::NoSigner), (2, Error::SeveralSigners(2)), (9, Error::SeveralSigners(9))]
    {
        forge.signers = signers;
        assert_eq!(forge.judge(), Err(error));
    }
    forge.signers = 1;
    forge.attributes = None;
    assert_eq!(forge.judge(), Err(Error::NoSignedAttributes));
    let detached = verify_detached(&forge.sign(), &image(), &forge.anchors, NOW);
    assert_eq!(detached, Err(Error::NoSignedAttributes));
}

#[test]
fn the_certificate_is_inside() {
    let mut forge = Forge::new();
    forge.certificates = forge.anchors.certificates[0].clone();
    assert_eq!(forge.judge(), Err(Error::NoSignerCertificate));
    forge.certificates = Vec::new();
    assert_eq!(forge.judge(), Err(Error::NoSignerCertificate));
    forge.certificates = context(TagNumber::N1, &[&forge.leaf.der]);
    assert!(matches!(forge.judge(), Err(Error::Malformed(_))));
    forge.certificates = [forge.leaf.der.clone(), context(TagNumber::N1, &[&forge.leaf.der])].concat();
    assert!(matches!(forge.judge(), Err(Error::Malformed(_))), "an attribute certificate");
}

/// Sets have DER's order (ITU-T X.690 clause 11.6), so that the order of the chain does not matter.
#[test]
fn sets_are_sorted() {
    let root = root("root");
    let (a, b) = (intermediate("a", &root), intermediate("b", &root));
    let leaf = leaf(&root);
    let p7s = leaf.sign(&[&a, &b]);
    assert_eq!(leaf.sign(&[&b, &a]), p7s);
    let signed_data = parts(&parts(&parts(&p7s)[1])[0]);
    let signer = parts(&parts(&signed_data[4])[0]);
    assert!(parts(&signed_data[3]).is_sorted() && parts(&signer[3]).is_sorted());
}

#[test]
fn algorithms_are_few() {
    let unsupported = |digest: &str, algorithm: Vec<u8>| {
        let mut forge = Forge::new();
        (forge.digest, forge.algorithm) = (sequence(&[&oid(digest)]), algorithm);
        forge.judge().unwrap_err()
    };
    let named = |name: &str| Error::UnsupportedAlgorithm(name.to_owned());
    let ecdsa = sequence(&[&oid(ECDSA_SHA256)]);
    let sha1 = unsupported("1.3.14.3.2.26", ecdsa);
    assert_eq!(sha1, named("the digest algorithm id-sha1"));
    let ed25519 = unsupported(SHA256, sequence(&[&oid("1.3.101.112")]));
    assert_eq!(ed25519, named("the signature algorithm id-Ed25519"));
    assert_eq!(unsupported(SHA256, sequence(&[])), named("the signature algorithm that is none"));
    let pss = unsupported(SHA256, sequence(&[&oid("1.2.840.113549.1.1.10"), &sequence(&[])]));
    assert_eq!(pss, Error::PssParameters);
    let rsa = unsupported(SHA256, sequence(&[&oid("1.2.840.113549.1.1.1"), &[5, 0]]));
    assert_eq!(rsa, named("the signer's key under this signature algorithm"));
}

#[test]
fn only_der_of_bounded_length_is_read() {
    let judge = |p7s: &[u8]| verify(p7s, &TrustAnchors::default(), NOW);
    assert_eq!(judge(b"-----BEGIN CMS-----\n"), Err(Error::NotDer("PEM")));
    assert!(matches!(judge(&[0x30, 0x80, 6, 9]), Err(Error::NotDer(_))));
    assert_eq!(judge(&vec![0x30; (1 << 20) + 1]), Err(Error::TooLong((1 << 20) + 1)));
    assert!(matches!(judge(&vec![0x30; 1 << 20]), Err(Error::Malformed(_))));
    assert!(matches!(
        judge(&sequence(&[&oid(DATA), &context(TagNumber::N0, &[])])),
        Err(Error::Malformed(_))
    ));
}
