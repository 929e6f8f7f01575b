//! What lakers needs of cryptography (cipher suite 2: AES-CCM-16-64-128, SHA-256, P-256), without panics for what a message can
//! bring.

use aes::Aes128;
use ccm::Ccm;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U13};
use hmac_sha256::{HKDF, HMAC, Hash};
use lakers::{
    AES_CCM_TAG_LEN, BufferCiphertext3, BufferPlaintext3, BytesCcmIvLen, BytesCcmKeyLen, BytesHashLen,
    BytesMaxBuffer, BytesMaxInfoBuffer, BytesP256ElemLen, CryptoTrait, EDHOCError, MAX_BUFFER_LEN,
};
use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use p256::elliptic_curve::subtle::Choice;
use p256::{AffinePoint, FieldBytes, SecretKey};
use std::fmt;

type Cipher = Ccm<Aes128, U8, U13>;

/// Primitives, and the randomness of one exchange.
pub(crate) struct Crypto {
    seed: [u8; crate::SEED],
    drawn: u32,
}

/// Without its seed.
impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crypto").finish_non_exhaustive()
    }
}

impl Crypto {
    pub(crate) const fn new(seed: [u8; crate::SEED]) -> Self {
        Self { seed, drawn: 0 }
    }

    /// 32 bytes that nobody can guess who does not know the seed, other ones each time.
    fn draw(&mut self) -> [u8; 32] {
        self.drawn = self.drawn.wrapping_add(1);
        HMAC::mac(self.drawn.to_be_bytes(), self.seed)
    }
}

impl CryptoTrait for Crypto {
    fn sha256_digest(&mut self, message: &BytesMaxBuffer, message_len: usize) -> BytesHashLen {
        Hash::hash(message.get(..message_len).unwrap_or(message))
    }

    fn hkdf_expand(
        &mut self,
        prk: &BytesHashLen,
        info: &BytesMaxInfoBuffer,
        info_len: usize,
        length: usize,
    ) -> BytesMaxBuffer {
        let mut output = [0; MAX_BUFFER_LEN];
        if let Some(output) = output.get_mut(..length) {
            HKDF::expand(output, prk, info.get(..info_len).unwrap_or(info));
        }
        output
    }

    fn hkdf_extract(&mut self, salt: &BytesHashLen, ikm: &BytesP256ElemLen) -> BytesHashLen {
        HKDF::extract(salt, ikm)
    }

    fn aes_ccm_encrypt_tag_8(
        &mut self,
        key: &BytesCcmKeyLen,
        iv: &BytesCcmIvLen,
        ad: &[u8],
        plaintext: &BufferPlaintext3,
    ) -> BufferCiphertext3 {
        let mut out = BufferCiphertext3::new();
        let (text, length) = (plaintext.as_slice(), plaintext.len);
        if let Some((place, rest)) = out.content.split_at_mut_checked(length)
            && let Some(tag_place) = rest.get_mut(..AES_CCM_TAG_LEN)
        {
            place.copy_from_slice(text);
            let sealed =
                Cipher::new(key.into()).encrypt_inout_detached(iv.into(), ad, InOutBuf::from(&mut *place));
            if let Ok(tag) = sealed {
                tag_place.copy_from_slice(&tag);
                out.len = length + AES_CCM_TAG_LEN;
                return out;
            }
        }
        // A message that does not fit is empty, and nobody can open it.
        BufferCiphertext3::new()
    }

    fn aes_ccm_decrypt_tag_8(
        &mut self,
        key: &BytesCcmKeyLen,
        iv: &BytesCcmIvLen,
        ad: &[u8],
        ciphertext: &BufferCiphertext3,
    ) -> Result<BufferPlaintext3, EDHOCError> {
        let wrong = EDHOCError::MacVerificationFailed;
        let Some((text, tag)) = ciphertext.as_slice().split_last_chunk::<AES_CCM_TAG_LEN>() else {
            return Err(wrong);
        };
        let mut out = BufferPlaintext3::new();
        out.fill_with_slice(text).map_err(|_| EDHOCError::ParsingError)?;
        let place = out.content.get_mut(..text.len()).ok_or(EDHOCError::ParsingError)?;
        let opened =
            Cipher::new(key.into()).decrypt_inout_detached(iv.into(), ad, InOutBuf::from(place), tag.into());
        opened.map(|()| out).map_err(|_| wrong)
    }

    /// For a point that is not on the curve, or a key that is none, the secret is one that nobody knows: whoever sent it cannot
    /// go on, and there is nothing to learn.
    fn p256_ecdh(
        &mut self,
        private_key: &BytesP256ElemLen,
        public_key: &BytesP256ElemLen,
    ) -> BytesP256ElemLen {
        let secret = SecretKey::from_slice(private_key);
        let point = AffinePoint::decompress(&FieldBytes::from(*public_key), Choice::from(1));
        match (secret, Option::<AffinePoint>::from(point)) {
            (Ok(secret), Some(point)) => {
                let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), point);
                (*shared.raw_secret_bytes()).into()
            }
            _ => self.draw(),
        }
    }

    fn get_random_byte(&mut self) -> u8 {
        let [byte, ..] = self.draw();
        byte
    }

    fn p256_generate_key_pair(&mut self) -> (BytesP256ElemLen, BytesP256ElemLen) {
        loop {
            // One draw in 2^32 is no key.
            if let Ok(secret) = SecretKey::from_slice(&self.draw()) {
                let public = secret.public_key().as_affine().x();
                return (secret.to_bytes().into(), public.into());
            }
        }
    }
}
