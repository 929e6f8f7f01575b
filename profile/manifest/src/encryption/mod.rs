//! Encrypted images: how a device gets at the key (draft-ietf-suit-firmware-encryption), and encryption itself (RFC 9459 §4).
//!
//! An image is encrypted once, with a content-encryption key that is made for it, and so it can be cached and sent to many. That
//! key is in the manifest for each recipient, wrapped with a key-encryption key: one that recipient and publisher share (A128KW,
//! RFC 3394, RFC 9053 §6.2.1), or one that they agree on with the recipient's key pair ([`RecipientKey`], ECDH-ES + A128KW).

mod agreement;

pub use agreement::{Ephemeral, KDF_CONTEXT, RecipientKey, RecipientPublicKey};

use crate::keys::{KeyError, KeyId};
use aes_kw::KwAes128;
use aes_kw::cipher::KeyInit;
use hmac_sha256::Hash;
use sixfold_oscore::Keystream;
use std::fmt;

/// Bytes of each key here.
pub const KEY: usize = 16;
/// Bytes of a content-encryption key that was wrapped (RFC 3394 §2.2.1).
pub const WRAPPED: usize = KEY + 8;
/// The most recipients of one image.
pub const MAX_RECIPIENTS: usize = 1024;

/// What a manifest says about the encryption of its image: SUIT_Encryption_Info for A128CTR, and A128KW with and without ECDH-ES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// The first counter block.
    pub iv: [u8; KEY],
    /// Who can decrypt: from 1 to [`MAX_RECIPIENTS`].
    pub recipients: Vec<Recipient>,
}

/// One who can decrypt an image, or many with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Of the key-encryption key that is shared, or of the recipient's public key.
    pub key_id: KeyId,
    /// The publisher's public key, where the key-encryption key is agreed on with the recipient's.
    pub ephemeral: Option<Ephemeral>,
    /// The content-encryption key, wrapped.
    pub wrapped: [u8; WRAPPED],
}

/// Why a device has no content-encryption key. The image cannot be decrypted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoContentKey {
    /// The image is encrypted, and none of the device's keys is among the recipients': the publisher has to encrypt for it.
    NotForUs,
    /// The wrapped key cannot be unwrapped with this key: two keys have one identifier, or the publisher's tool is wrong.
    Damaged(KeyId),
}

impl fmt::Display for NoContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotForUs => f.write_str(
                "the image is encrypted, and not for any key of this device: give it its key, or encrypt for that key too",
            ),
            Self::Damaged(id) => write!(f, "the image's key cannot be unwrapped with key {id}: the publisher must sign again"),
        }
    }
}

impl std::error::Error for NoContentKey {}

/// A key that publisher and recipients share, which encrypts keys and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyEncryptionKey([u8; KEY]);

/// What a recipient has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecryptionKey {
    /// A key that the publisher has too.
    Shared(KeyEncryptionKey),
    /// A private key, whose public half the publisher has.
    Own(RecipientKey),
}

impl From<KeyEncryptionKey> for DecryptionKey {
    fn from(key: KeyEncryptionKey) -> Self {
        Self::Shared(key)
    }
}

impl From<RecipientKey> for DecryptionKey {
    fn from(key: RecipientKey) -> Self {
        Self::Own(key)
    }
}

impl DecryptionKey {
    /// Reads a PKCS#8 PEM with a key on P-256, or the text of [`KeyEncryptionKey::to_text`].
    ///
    /// # Errors
    /// Those of [`RecipientKey::from_pem`] and [`KeyEncryptionKey::from_text`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        if text.trim_start().starts_with("-----") {
            RecipientKey::from_pem(text).map(Self::Own)
        } else {
            KeyEncryptionKey::from_text(text).map(Self::Shared)
        }
    }

    fn key_id(&self) -> KeyId {
        match self {
            Self::Shared(key) => key.key_id(),
            Self::Own(key) => key.public_key().key_id(),
        }
    }

    fn unwrap(&self, recipient: &Recipient) -> Option<ContentEncryptionKey> {
        match (self, &recipient.ephemeral) {
            (Self::Shared(key), None) => key.unwrap(&recipient.wrapped),
            (Self::Own(key), Some(ephemeral)) => key.unwrap(ephemeral, &recipient.wrapped),
            _ => None,
        }
    }
}

/// The key of one image.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentEncryptionKey([u8; KEY]);

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A128KW key {}", self.key_id())
    }
}

impl fmt::Debug for ContentEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl KeyEncryptionKey {
    /// A new key from the operating system's random bytes.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        random().map(Self)
    }

    /// The key with these bytes.
    pub const fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// Reads the text of [`KeyEncryptionKey::to_text`].
    ///
    /// # Errors
    /// [`KeyError::NotHex`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim();
        let is_key = digits.len() == 2 * KEY && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(digits, 16).ok().filter(|_| is_key).ok_or(KeyError::NotHex)?;
        Ok(Self(number.to_be_bytes()))
    }

    /// 32 hexadecimal digits and a line end.
    pub fn to_text(&self) -> String {
        format!("{:032x}\n", u128::from_be_bytes(self.0))
    }

    /// Tells keys apart, and tells nothing of a key that was made at random: the first 8 bytes of the SHA-256 of
    /// `sixfold A128KW` and the key.
    pub fn key_id(&self) -> KeyId {
        let [a, b, c, d, e, f, g, h, ..] = Hash::hash(&[b"sixfold A128KW".as_slice(), &self.0].concat());
        KeyId([a, b, c, d, e, f, g, h])
    }

    fn wrap(&self, key: &ContentEncryptionKey) -> Recipient {
        let mut wrapped = [0; WRAPPED];
        #[expect(clippy::expect_used, reason = "both lengths are those of a key of 16 bytes")]
        KwAes128::new(&self.0.into()).wrap_key(&key.0, &mut wrapped).expect("the lengths fit");
        Recipient { key_id: self.key_id(), ephemeral: None, wrapped }
    }

    fn unwrap(&self, wrapped: &[u8; WRAPPED]) -> Option<ContentEncryptionKey> {
        let mut key = [0; KEY];
        KwAes128::new(&self.0.into()).unwrap_key(wrapped, &mut key).ok()?;
        Some(ContentEncryptionKey(key))
    }
}

impl ContentEncryptionKey {
    /// A new key from the operating system's random bytes. It must encrypt one image only.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        random().map(Self)
    }

    /// The key with these bytes.
    pub const fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for a ticket.
    pub const fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

impl Encryption {
    /// With a key that is used for nothing else, for recipients that share these. Counting begins with zero, as the specification wants it.
    pub fn new(key: &ContentEncryptionKey, recipients: &[KeyEncryptionKey]) -> Self {
        Self { iv: [0; KEY], recipients: recipients.iter().map(|recipient| recipient.wrap(key)).collect() }
    }

    /// One recipient more, who has a key pair. `ephemeral` is a new key, for this recipient of this image.
    pub fn add(
        &mut self,
        key: &ContentEncryptionKey,
        recipient: &RecipientPublicKey,
        ephemeral: &RecipientKey,
    ) {
        self.recipients.push(recipient.wrap(key, ephemeral));
    }

    /// The key of the image, for who has one of these.
    ///
    /// # Errors
    /// [`NoContentKey`].
    pub fn content_key(&self, keys: &[DecryptionKey]) -> Result<ContentEncryptionKey, NoContentKey> {
        let mut refused = NoContentKey::NotForUs;
        for key in keys {
            let id = key.key_id();
            for recipient in self.recipients.iter().filter(|recipient| recipient.key_id == id) {
                match key.unwrap(recipient) {
                    Some(content_key) => return Ok(content_key),
                    None => refused = NoContentKey::Damaged(id),
                }
            }
        }
        Err(refused)
    }

    /// Encrypts or decrypts a whole image in place.
    pub fn apply(&self, key: &ContentEncryptionKey, image: &mut [u8]) {
        Keystream::new(&key.0, &self.iv).apply(0, image);
    }
}

fn random() -> Result<[u8; KEY], KeyError> {
    let mut bytes = [0; KEY];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;
    use crate::keys::{Algorithm, SigningKey};
    use std::slice;

    /// RFC 3394 §4.1: wrap 128 bits of key data with a 128-bit KEK.
    #[test]
    fn the_example_of_rfc_3394() {
        let kek = KeyEncryptionKey::from_text("000102030405060708090A0B0C0D0E0F").unwrap();
        let key = ContentEncryptionKey(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes());
        let recipient = kek.wrap(&key);
        let expected = [0x1fa6_8b0a_8112_b447_u64, 0xaef3_4bd8_fb5a_7b82, 0x9d3e_8623_71d2_cfe5];
        assert_eq!(recipient.wrapped[..], expected.map(u64::to_be_bytes).concat());
        assert_eq!(kek.unwrap(&recipient.wrapped), Some(key));
    }

    #[test]
    fn each_recipient_has_the_key_and_nobody_else() {
        let keks = [1, 2, 3].map(|byte| KeyEncryptionKey::new([byte; KEY]));
        let pairs = [4, 5, 6].map(|byte| RecipientKey::from_seed(&[byte; 32]).unwrap());
        let key = ContentEncryptionKey::generate().unwrap();
        let mut encryption = Encryption::new(&key, &keks[..2]);
        for pair in &pairs[..2] {
            encryption.add(&key, &pair.public_key(), &RecipientKey::generate().unwrap());
        }
        let keks = keks.map(DecryptionKey::from);
        let pairs = pairs.map(DecryptionKey::from);
        let stranger = [keks[2].clone(), pairs[2].clone()];
        for ours in keks[..2].iter().chain(&pairs[..2]) {
            let keys = [&stranger[..], slice::from_ref(ours)].concat();
            assert_eq!(encryption.content_key(&keys), Ok(key.clone()));
        }
        assert_eq!(encryption.content_key(&stranger), Err(NoContentKey::NotForUs));
        assert_eq!(encryption.content_key(&[]), Err(NoContentKey::NotForUs));
        for (place, ours) in [(0, &keks[0]), (2, &pairs[0])] {
            let mut damaged = encryption.clone();
            damaged.recipients[place].wrapped[5] ^= 1;
            let refused = Err(NoContentKey::Damaged(ours.key_id()));
            assert_eq!(damaged.content_key(slice::from_ref(ours)), refused);
            // One kind in place of the other.
            damaged.recipients[place].ephemeral = encryption.recipients[2 - place].ephemeral;
            assert_eq!(damaged.content_key(slice::from_ref(ours)), refused);
            assert_eq!(damaged.content_key(&[ours.clone(), keks[1].clone()]), Ok(key.clone()));
        }
    }

    #[test]
    fn both_kinds_of_keys_are_read() {
        let pair = RecipientKey::from_seed(&[4; 32]).unwrap();
        let pem = SigningKey::from_seed(Algorithm::Es256, &[4; 32]).unwrap().to_pem().unwrap();
        assert_eq!(DecryptionKey::from_text(&pem), Ok(pair.into()));
        let shared = KeyEncryptionKey::new([4; KEY]);
        assert_eq!(DecryptionKey::from_text(&shared.to_text()), Ok(shared.into()));
        let other = SigningKey::from_seed(Algorithm::Ed25519, &[4; 32]).unwrap().to_pem().unwrap();
        assert_eq!(DecryptionKey::from_text(&other), Err(KeyError::Curve));
        assert!(!format!("{:?}", DecryptionKey::from_text(&pem)).contains("0404"));
    }

    #[test]
    fn a_key_is_a_line_of_text_and_is_not_shown() {
        let key = KeyEncryptionKey::generate().unwrap();
        assert_eq!(KeyEncryptionKey::from_text(&key.to_text()), Ok(key.clone()));
        let long = key.to_text().trim().to_owned() + "0";
        for text in ["", "00", &long, "+0000000000000000000000000000000", "zz", "-----BEGIN PRIVATE KEY-----"]
        {
            assert_eq!(KeyEncryptionKey::from_text(text), Err(KeyError::NotHex), "{text}");
        }
        assert!(!format!("{key:?}").contains(key.to_text().trim()));
    }

    #[test]
    fn an_image_comes_back() {
        let key = ContentEncryptionKey::generate().unwrap();
        let encryption = Encryption::new(&key, &[KeyEncryptionKey::new([1; KEY])]);
        let image: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
        let mut text = image.clone();
        encryption.apply(&key, &mut text);
        assert!(text != image && text.len() == image.len());
        encryption.apply(&key, &mut text);
        assert_eq!(text, image);
    }
}
