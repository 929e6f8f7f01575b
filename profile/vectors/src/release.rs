//! The image that all vectors are about, and what its publisher says of it.

use crate::keys;
use hmac_sha256::Hash;
use sixfold_manifest::encryption::{ContentEncryptionKey, Encryption, KEY, KeyEncryptionKey, RecipientKey};
use sixfold_manifest::keys::KeyError;
use sixfold_manifest::{Manifest, chunk_index, class_identifier, vendor_identifier};
use sixfold_profile::index::ChunkSize;

/// The size of the image in bytes: three chunks and a part of one.
pub(crate) const SIZE: usize = 1000;

/// SHA-256 of 0, 1, 2, … as 4 bytes, big-endian, one after the other, cut to [`SIZE`].
pub(crate) fn image() -> Vec<u8> {
    let digests = (0_u32..).flat_map(|number| Hash::hash(&number.to_be_bytes()));
    digests.take(SIZE).collect()
}

/// Its chunk index, in the smallest chunks.
pub(crate) fn index() -> Vec<u8> {
    chunk_index(&image(), ChunkSize::MIN)
}

/// With 16 bytes of b1 as content-encryption key, for two recipients, whose keys are 16 bytes of b2 and of b3.
pub(crate) fn encryption() -> Encryption {
    let recipients = [0xb2, 0xb3].map(|byte| KeyEncryptionKey::new([byte; KEY]));
    Encryption::new(&ContentEncryptionKey::new([0xb1; KEY]), &recipients)
}

/// The same for a recipient with a key pair too, and the secret scalar of the publisher's ephemeral key, 32 bytes of b4.
pub(crate) fn encryption_with_a_pair() -> Result<(Encryption, [u8; 32]), KeyError> {
    let (mut encryption, seed) = (encryption(), [0xb4; 32]);
    let key = ContentEncryptionKey::new([0xb1; KEY]);
    encryption.add(&key, &keys::recipient()?.public_key(), &RecipientKey::from_seed(&seed)?);
    Ok((encryption, seed))
}

/// Sequence number 8, for the class `lamp` of the vendor `example.com`, with its chunk index and the URI `lamp.bin`.
pub(crate) fn manifest() -> Manifest {
    let vendor = vendor_identifier("example.com");
    Manifest {
        sequence_number: 8,
        vendor,
        class: class_identifier(vendor, "lamp"),
        image_size: SIZE as u32,
        image_digest: Hash::hash(&image()),
        chunk_size: ChunkSize::MIN,
        index_digest: Hash::hash(&index()),
        index: Some(index()),
        uri: Some("lamp.bin".to_owned()),
        encryption: None,
    }
}
