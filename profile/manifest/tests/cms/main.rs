//! Detached CMS signatures over images.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "these are tests")]

mod forged;
mod openssl;
mod pki;
mod trust;

use pki::{NOW, image, leaf, manifest, root, trust};
use proptest::prelude::*;
use sixfold_manifest::Manifest;
use sixfold_manifest::cms::{Error, SigningKey, describe, sign, verify, verify_detached, verify_image};
use std::sync::LazyLock;

#[test]
fn what_was_signed_returns() {
    let root = root("root");
    let leaf = leaf(&root);
    let p7s = leaf.sign(&[]);
    assert_eq!(verify(&p7s, &trust(&root), NOW), Ok(manifest()));
    assert_eq!(verify_image(&p7s, &image(), &trust(&root), NOW), Ok(manifest()));
    let signer = verify_detached(&p7s, &image(), &trust(&root), NOW).unwrap();
    assert_eq!((signer.subject.as_str(), signer.signing_time), ("CN=firmware", None));
    assert_eq!(leaf.sign(&[]), p7s, "signing is deterministic");
}

#[test]
fn another_image_is_refused() {
    let root = root("root");
    let leaf = leaf(&root);
    let p7s = leaf.sign(&[]);
    let judge = |image: &[u8]| verify_image(&p7s, image, &trust(&root), NOW);
    assert_eq!(judge(&[]), Err(Error::ImageSize { signed: 1000, found: 0 }));
    let mut other = image();
    other[999] ^= 1;
    assert_eq!(judge(&other), Err(Error::ImageDigest));
    assert_eq!(verify_detached(&p7s, &other, &trust(&root), NOW), Err(Error::ImageDigest));
    let wrong = Manifest { index_digest: [0; 32], ..manifest() };
    let p7s = sign(&wrong, &leaf.signing_key(), std::slice::from_ref(&leaf.der)).unwrap();
    assert_eq!(verify_image(&p7s, &image(), &trust(&root), NOW), Err(Error::IndexDigest));
}

/// The signature covers the attributes, the authority's the certificate, and what is around them has one form only.
/// Not covered would be certificates that the path does not need, CRLs and unsigned attributes: here are none.
#[test]
fn every_flipped_bit_is_refused() {
    let root = root("root");
    let p7s = leaf(&root).sign(&[]);
    let anchors = trust(&root);
    for bit in 0..p7s.len() * 8 {
        let mut flipped = p7s.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let judged = verify(&flipped, &anchors, NOW);
        assert!(judged.is_err(), "bit {} of octet {} of {}", bit % 8, bit / 8, p7s.len());
    }
}

#[test]
fn truncated_and_prolonged_objects_are_refused() {
    let root = root("root");
    let mut p7s = leaf(&root).sign(&[]);
    for length in 0..p7s.len() {
        let judged = verify(&p7s[..length], &trust(&root), NOW);
        assert!(matches!(judged, Err(Error::Malformed(_))), "{length}: {judged:?}");
    }
    p7s.push(0);
    assert!(matches!(verify(&p7s, &trust(&root), NOW), Err(Error::Malformed(_))));
}

#[test]
fn only_what_cms_can_say_is_signed() {
    let root = root("root");
    let (own, other) = (leaf(&root), leaf(&root));
    let chain = [own.der.clone()];
    let indexed = Manifest { index: Some(Vec::new()), ..manifest() };
    let located = Manifest { uri: Some("image".to_owned()), ..manifest() };
    assert!(matches!(sign(&indexed, &own.signing_key(), &chain), Err(Error::NotExpressible(_))));
    assert!(matches!(sign(&located, &own.signing_key(), &chain), Err(Error::NotExpressible(_))));
    assert_eq!(sign(&manifest(), &other.signing_key(), &chain), Err(Error::KeyMismatch));
    assert_eq!(sign(&manifest(), &own.signing_key(), &[]), Err(Error::NoSignerCertificate));
    let broken = [own.der.clone(), vec![0; 9]];
    assert!(matches!(
        sign(&manifest(), &own.signing_key(), &broken),
        Err(Error::Unreadable("certificate", _))
    ));
    assert!(SigningKey::read(own.key.serialize_pem().as_bytes()).is_ok());
    for wrong in [&b""[..], b"\xff\xfe", b"-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n"] {
        assert!(matches!(SigningKey::read(wrong), Err(Error::Key(_))));
    }
}

#[test]
fn people_can_read_it() {
    let root = root("root");
    let text = describe(&leaf(&root).sign(&[]));
    let lines = [
        "CMS SignedData, detached, NOT VERIFIED",
        "signer: CN=firmware",
        "signature algorithm: ecdsa-with-SHA256",
        "sequence number: 18446744073709551615",
        "vendor: cfbff0d1-9375-5685-968c-48ce8b15ae17",
    ];
    for line in lines {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(describe(b"").contains("damaged"));
}

#[test]
fn a_name_cannot_fake_a_line() {
    let root = root("root");
    let change = |params: &mut rcgen::CertificateParams| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "x\nverified\u{1b}[2J\u{9b}2J");
    };
    let leaf = pki::leaf_with(&root, rcgen::KeyPair::generate().unwrap(), change);
    let text = describe(&leaf.sign(&[]));
    assert!(text.contains("verified") && !text.lines().any(|line| line.starts_with("verified")), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{9b}']));
    let signer = verify_detached(&leaf.sign(&[]), &image(), &trust(&root), NOW).unwrap();
    assert!(!signer.subject.contains(char::is_control));
}

static SIGNED: LazyLock<(Vec<u8>, sixfold_manifest::cms::TrustAnchors)> = LazyLock::new(|| {
    let root = root("root");
    (leaf(&root).sign(&[]), trust(&root))
});

proptest! {
    #[test]
    fn random_octets_are_refused(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(verify(&octets, &SIGNED.1, NOW).is_err());
        prop_assert!(!describe(&octets).is_empty());
        prop_assert!(SigningKey::read(&octets).is_err());
    }

    #[test]
    fn overwritten_objects_are_refused(
        at in any::<prop::sample::Index>(),
        octets in prop::collection::vec(any::<u8>(), 1..9),
    ) {
        let mut p7s = SIGNED.0.clone();
        let at = at.index(p7s.len() - octets.len());
        p7s[at..at + octets.len()].copy_from_slice(&octets);
        prop_assume!(p7s != SIGNED.0);
        prop_assert!(verify(&p7s, &SIGNED.1, NOW).is_err());
        prop_assert!(!describe(&p7s).is_empty());
    }
}
