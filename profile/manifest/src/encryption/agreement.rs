//! ECDH-ES + A128KW (RFC 9053 §6.4, as draft-ietf-suit-firmware-encryption has it): the content-encryption key is wrapped with a key
//! that follows from a key pair of the recipient and one that the publisher makes for this recipient of this image, and forgets.
//!
//! So the publisher needs nothing that is secret of the recipient. The curve is P-256, and the key pairs are those of
//! `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.

use super::{ContentEncryptionKey, KEY, KeyEncryptionKey, Recipient, WRAPPED};
use crate::keys::{Algorithm, KeyError, KeyId, SigningKey, VerifyingKey};
use hmac_sha256::HKDF;
use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::{EncodedPoint, PublicKey, SecretKey};
use std::fmt;

/// Bytes of a coordinate on P-256.
const COORDINATE: usize = 32;

/// COSE_KDF_Context (RFC 9053 §5.2): what the key that comes of the agreement is for.
///
/// ```text
/// [ -3, [ nil, nil, nil ], [ nil, nil, nil ], [ 128, << { 1: -29 } >>, 'SUIT Payload Encryption' ] ]
/// ```
pub const KDF_CONTEXT: &[u8] =
    b"\x84\x22\x83\xf6\xf6\xf6\x83\xf6\xf6\xf6\x83\x18\x80\x44\xa1\x01\x38\x1c\x57SUIT Payload Encryption";

/// A public key of the publisher for one recipient of one image: a point on P-256, which nobody has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    /// Its x-coordinate.
    pub x: [u8; COORDINATE],
    /// Its y-coordinate.
    pub y: [u8; COORDINATE],
}

/// The private key of one who can decrypt: a device. It decrypts, and signs nothing.
#[derive(Clone)]
pub struct RecipientKey(SecretKey);

/// The public half, which a publisher has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecipientPublicKey(PublicKey);

impl PartialEq for RecipientKey {
    fn eq(&self, other: &Self) -> bool {
        self.public_key() == other.public_key()
    }
}

impl Eq for RecipientKey {}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ECDH-ES+A128KW key {}", self.public_key().key_id())
    }
}

impl fmt::Debug for RecipientPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ECDH-ES+A128KW public key {}", self.key_id())
    }
}

impl RecipientKey {
    /// A new key from the operating system's random bytes.
    ///
    /// # Errors
    /// As [`SigningKey::generate`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::of(SigningKey::generate(Algorithm::Es256)?)
    }

    /// The key with this secret scalar.
    ///
    /// # Errors
    /// [`KeyError::Seed`].
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::of(SigningKey::from_seed(Algorithm::Es256, seed)?)
    }

    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    /// As [`SigningKey::from_pem`], and [`KeyError::Curve`] for a key of Ed25519.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::of(SigningKey::from_pem(pem)?)
    }

    /// A key for ES256 is one on P-256: only what is done with it differs.
    fn of(key: SigningKey) -> Result<Self, KeyError> {
        match key {
            SigningKey::Es256(key) => Ok(Self(key.into())),
            SigningKey::Ed25519(_) => Err(KeyError::Curve),
        }
    }

    /// The public half.
    pub fn public_key(&self) -> RecipientPublicKey {
        RecipientPublicKey(self.0.public_key())
    }

    /// The key-encryption key that both sides have.
    fn agree(&self, other: &PublicKey) -> KeyEncryptionKey {
        let shared = p256::ecdh::diffie_hellman(self.0.to_nonzero_scalar(), other.as_affine());
        // Without salt (RFC 9053 §5.1): zeros are as good as none (RFC 5869 §2.2).
        let prk = HKDF::extract([0; 32], shared.raw_secret_bytes());
        let mut key = [0; KEY];
        HKDF::expand(&mut key, prk, KDF_CONTEXT);
        KeyEncryptionKey::new(key)
    }

    /// The content-encryption key; `None` when something was changed, or is no point on the curve.
    pub(super) fn unwrap(
        &self,
        ephemeral: &Ephemeral,
        wrapped: &[u8; WRAPPED],
    ) -> Option<ContentEncryptionKey> {
        let point = EncodedPoint::from_affine_coordinates(&ephemeral.x.into(), &ephemeral.y.into(), false);
        let public: Option<PublicKey> = PublicKey::from_encoded_point(&point).into();
        self.agree(&public?).unwrap(wrapped)
    }
}

impl RecipientPublicKey {
    /// Reads a SubjectPublicKeyInfo PEM.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_pem`], and [`KeyError::Curve`] for a key of Ed25519.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        match VerifyingKey::from_pem(pem)? {
            VerifyingKey::Es256(key) => Ok(Self(key.into())),
            VerifyingKey::Ed25519(_) => Err(KeyError::Curve),
        }
    }

    /// As of a publisher's key ([`VerifyingKey::key_id`]).
    pub fn key_id(&self) -> KeyId {
        VerifyingKey::Es256(self.0.into()).key_id()
    }

    /// `ephemeral` is for this recipient of this image, and nothing else.
    pub(super) fn wrap(&self, key: &ContentEncryptionKey, ephemeral: &RecipientKey) -> Recipient {
        let Recipient { wrapped, .. } = ephemeral.agree(&self.0).wrap(key);
        let point = ephemeral.public_key().0.to_encoded_point(false);
        let coordinate =
            |bytes: Option<&p256::FieldBytes>| bytes.map_or([0; COORDINATE], |bytes| (*bytes).into());
        let ephemeral = Ephemeral { x: coordinate(point.x()), y: coordinate(point.y()) };
        Recipient { key_id: self.key_id(), ephemeral: Some(ephemeral), wrapped }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;
    use coset::{CborSerializable, CoseKdfContextBuilder, HeaderBuilder, ProtectedHeader, SuppPubInfo, iana};

    fn bytes<const N: usize>(digits: &str) -> [u8; N] {
        let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    #[test]
    fn the_context_is_that_of_cose() {
        let protected = HeaderBuilder::new().algorithm(iana::Algorithm::ECDH_ES_A128KW).build();
        let public = SuppPubInfo {
            key_data_length: 128,
            protected: ProtectedHeader { header: protected, ..ProtectedHeader::default() },
            other: Some(b"SUIT Payload Encryption".to_vec()),
        };
        let context = CoseKdfContextBuilder::new().supp_pub_info(public).algorithm(iana::Algorithm::A128KW);
        assert_eq!(context.build().to_vec().unwrap(), KDF_CONTEXT);
    }

    /// The recipient of the ECDH-ES+AES-KW + AES-GCM example of draft-ietf-suit-firmware-encryption: with another cipher of the image it is
    /// the same.
    #[test]
    fn the_example_of_the_specification() {
        let key = bytes("60FE6DD6D85D5740A5349B6F91267EEAC5BA81B8CB53EE249E4B4EB102C476B3");
        let ephemeral = Ephemeral {
            x: bytes("3982C1863015824881D1A6C9059332BE281C9613D7F7462D43EE520D20FE132F"),
            y: bytes("5EB51EF8AD7C1DA697294877BBA291DC5AEE20FEE887D8A173BAD7FAFF091E5C"),
        };
        let wrapped = bytes("DF698D95D3BF3EA7CCC655A7A5609BEF206E208A46D66D91");
        let unwrapped = RecipientKey::from_seed(&key).unwrap().unwrap(&ephemeral, &wrapped);
        assert_eq!(unwrapped.unwrap().as_bytes(), &bytes::<16>("973F59A9B9422C78057F06D382FF7A63"));
    }

    #[test]
    fn only_the_recipient_has_the_key_and_only_as_it_was_wrapped() {
        let [ours, others, ephemeral] = [1, 2, 3].map(|byte| RecipientKey::from_seed(&[byte; 32]).unwrap());
        let key = ContentEncryptionKey::new([7; KEY]);
        let Recipient { ephemeral, wrapped, key_id } = ours.public_key().wrap(&key, &ephemeral);
        let ephemeral = ephemeral.unwrap();
        assert_eq!(key_id, ours.public_key().key_id());
        assert_eq!(ours.unwrap(&ephemeral, &wrapped), Some(key));
        assert_eq!(others.unwrap(&ephemeral, &wrapped), None);
        for bit in 0..8 * WRAPPED {
            let mut changed = wrapped;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ours.unwrap(&ephemeral, &changed), None, "bit {bit} of the wrapped key");
        }
        for bit in 0..8 * COORDINATE {
            let mut changed = [ephemeral; 2];
            changed[0].x[bit / 8] ^= 1 << (bit % 8);
            changed[1].y[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                changed.map(|point| ours.unwrap(&point, &wrapped)),
                [None, None],
                "bit {bit} of the point"
            );
        }
    }
}
