//! What publishers sign. Seeds are signed with keys that sign nothing else here: nothing else may be believed.

use sixfold_manifest::cms::{self, TrustAnchors};
use sixfold_manifest::keys::{Algorithm, SigningKey, VerifyingKey};
use sixfold_manifest::{Manifest, chunk_index as index_of, class_identifier, suit, vendor_identifier};
use sixfold_profile::index::ChunkSize;

/// The authority of the corpus of `cms_signed_data`.
const ROOT: &[u8] = include_bytes!("root.der");
/// When its certificates are valid.
const NOW_UNIX_S: u64 = 1_700_000_000;

/// What all seeds of `suit_envelope` and `cms_signed_data` say of an image of 1000 bytes.
pub fn seed_manifest() -> Manifest {
    let image: Vec<u8> = (0..1000_u32).map(|at| (at * at) as u8).collect();
    let chunk_size = ChunkSize::MIN;
    let index = index_of(&image, chunk_size);
    let vendor = vendor_identifier("example.com");
    Manifest {
        sequence_number: 42,
        vendor,
        class: class_identifier(vendor, "lamp"),
        image_size: 1000,
        image_digest: hmac_sha256::Hash::hash(&image),
        chunk_size,
        index_digest: hmac_sha256::Hash::hash(&index),
        index: None,
        uri: None,
        encryption: None,
    }
}

/// Whatever claims to be a manifest can be shown; if it makes sense, it is the same after it was signed again; and it is
/// believed only if its key's owner signed just that.
pub fn suit_envelope(data: &[u8]) {
    let [trusted, other] =
        [1, 2].map(|seed| SigningKey::from_seed(Algorithm::Ed25519, &[seed; 32]).expect("a seed"));
    assert!(!suit::describe(data).is_empty());
    if let Ok(manifest) = suit::verify(data, &[trusted.verifying_key()]) {
        assert_eq!(Manifest { index: None, uri: None, ..manifest }, seed_manifest());
    }
    let Ok(claimed) = suit::claims(data) else { return };
    claimed
        .index
        .as_deref()
        .map(|index| claimed.check_index(index))
        .expect("it is there")
        .expect("it is right");
    let again = suit::sign(&claimed, &other).expect("what was read can be signed");
    assert_eq!(suit::verify(&again, &[other.verifying_key()]), Ok(claimed));
}

/// The same for CMS, and files of certificates.
pub fn cms_signed_data(data: &[u8]) {
    let anchors = TrustAnchors { certificates: vec![ROOT.to_vec()], crls: Vec::new() };
    let _ = cms::describe(data);
    let _ = (cms::certificates(data), cms::revocation_lists(data));
    if let Ok(manifest) = cms::verify(data, &anchors, NOW_UNIX_S) {
        assert_eq!(manifest, seed_manifest());
    }
    let _ = cms::verify_detached(data, b"another image", &anchors, NOW_UNIX_S).map(|signer| {
        panic!("{} did not sign this image", signer.subject);
    });
    let revoking = TrustAnchors { crls: vec![data.to_vec()], ..anchors };
    let _ = cms::verify(data, &revoking, NOW_UNIX_S);
}

/// An exponent, and an image of the rest: its index is accepted, and no other one. Then four bytes as an image's size:
/// arithmetic without overflow.
pub fn chunk_index(data: &[u8]) {
    let Some((exponent, image)) = data.split_first() else { return };
    let Some(chunk_size) = ChunkSize::new(exponent % 20) else { return };
    arithmetic(chunk_size, image);
    let index = index_of(image, chunk_size);
    let manifest = Manifest {
        image_size: image.len() as u32,
        chunk_size,
        index_digest: hmac_sha256::Hash::hash(&index),
        ..seed_manifest()
    };
    assert_eq!(manifest.check_index(&index), Ok(()));
    assert_eq!(chunk_size.index_length(manifest.image_size) as usize, index.len());
    assert!(image == index || manifest.check_index(image).is_err());
}

fn arithmetic(chunk_size: ChunkSize, bytes: &[u8]) {
    let Some((size, number)) = bytes.first_chunk().zip(bytes.last_chunk()) else { return };
    let (size, number) = (u32::from_be_bytes(*size), u32::from_be_bytes(*number));
    let range = chunk_size.range(size, number);
    assert_eq!(range.is_some(), number < chunk_size.count(size));
    if let Some(range) = range {
        assert!(
            range.start < range.end && range.end <= size && range.end - range.start <= chunk_size.bytes()
        );
    }
    assert_eq!(chunk_size.index_length(size) / 32, chunk_size.count(size));
}

/// A file that should hold a key. What is read is written and read again as the same key, and a signature by it is its owner's.
pub fn keys(data: &[u8]) {
    let pem = String::from_utf8_lossy(data);
    if let Ok(key) = VerifyingKey::from_pem(&pem) {
        let again = VerifyingKey::from_pem(&key.to_pem().expect("a key can be written"));
        assert_eq!(again.map(|again| again.key_id()), Ok(key.key_id()));
    }
    if let Ok(key) = SigningKey::from_pem(&pem) {
        let manifest = Manifest { index: Some(vec![0; 32 * 4]), ..seed_manifest() };
        let manifest = Manifest {
            index_digest: hmac_sha256::Hash::hash(manifest.index.as_deref().unwrap_or_default()),
            ..manifest
        };
        let signed = suit::sign(&manifest, &key).expect("a key can sign");
        assert_eq!(suit::verify(&signed, &[key.verifying_key()]), Ok(manifest));
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
