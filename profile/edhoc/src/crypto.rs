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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;
    use lakers::{
        BufferMessage1, BufferMessage3, ConnId, Credential, CredentialTransfer, EDHOCMethod, EdhocResponder,
    };

    fn bytes(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn array<const N: usize>(digits: &str) -> [u8; N] {
        bytes(digits).try_into().unwrap()
    }

    /// These primitives, but with an ephemeral key that is given.
    #[derive(Debug)]
    struct Given(Crypto, BytesP256ElemLen);

    impl CryptoTrait for Given {
        fn sha256_digest(&mut self, message: &BytesMaxBuffer, length: usize) -> BytesHashLen {
            self.0.sha256_digest(message, length)
        }
        fn hkdf_expand(
            &mut self,
            prk: &BytesHashLen,
            info: &BytesMaxInfoBuffer,
            info_len: usize,
            length: usize,
        ) -> BytesMaxBuffer {
            self.0.hkdf_expand(prk, info, info_len, length)
        }
        fn hkdf_extract(&mut self, salt: &BytesHashLen, ikm: &BytesP256ElemLen) -> BytesHashLen {
            self.0.hkdf_extract(salt, ikm)
        }
        fn aes_ccm_encrypt_tag_8(
            &mut self,
            key: &BytesCcmKeyLen,
            iv: &BytesCcmIvLen,
            ad: &[u8],
            plaintext: &BufferPlaintext3,
        ) -> BufferCiphertext3 {
            self.0.aes_ccm_encrypt_tag_8(key, iv, ad, plaintext)
        }
        fn aes_ccm_decrypt_tag_8(
            &mut self,
            key: &BytesCcmKeyLen,
            iv: &BytesCcmIvLen,
            ad: &[u8],
            ciphertext: &BufferCiphertext3,
        ) -> Result<BufferPlaintext3, EDHOCError> {
            self.0.aes_ccm_decrypt_tag_8(key, iv, ad, ciphertext)
        }
        fn p256_ecdh(&mut self, private: &BytesP256ElemLen, public: &BytesP256ElemLen) -> BytesP256ElemLen {
            self.0.p256_ecdh(private, public)
        }
        fn get_random_byte(&mut self) -> u8 {
            self.0.get_random_byte()
        }
        fn p256_generate_key_pair(&mut self) -> (BytesP256ElemLen, BytesP256ElemLen) {
            (self.1, SecretKey::from_slice(&self.1).unwrap().public_key().as_affine().x().into())
        }
    }

    /// The trace of RFC 9529 §3, as the Responder: method 3, cipher suite 2, credentials named by their key identifiers.
    #[test]
    fn the_trace_of_rfc_9529() {
        let cred_i = "a2027734322d35302d33312d46462d45462d33372d33322d333908a101a5010202412b2001215820
            ac75e9ece3e50bfc8ed60399889522405c47bf16df96660a41298cb4307f7eb6225820
            6e5de611388a4b8a8211334ac7d37ecb52a387d257e6db3c2a93df21ff3affc8";
        let cred_r = "a2026b6578616d706c652e65647508a101a501020241322001215820
            bbc34960526ea4d32e940cad2a234148ddc21791a12afbcbac93622046dd44f0225820
            4519e257236b2a0ce2023f0931f1f386ca7afda64fcde0108c224c51eabf6072";
        let [y, key_r] = [
            "e2f4126777205e853b437d6eaca1e1f753cdcc3e2c69fa884b0a1a640977e418",
            "72cc4761dbd4c78f758931aa589d348d1ef874a7e303ede2f140dcf3e6aa4aac",
        ];
        let [cred_i, cred_r] = [cred_i, cred_r].map(|digits| Credential::parse_ccs(&bytes(digits)).unwrap());
        let crypto = Given(Crypto::new([0; crate::SEED]), array(y));
        let responder = EdhocResponder::new(crypto, EDHOCMethod::StatStat, array(key_r), cred_r);

        let mut message_1 = BufferMessage1::new();
        let content = "0382060258208af6f430ebe18d34184017a9a11bf511c8dff8f834730b96c1b7c8dbca2fc3b637";
        message_1.fill_with_slice(&bytes(content)).unwrap();
        let (responder, c_i, _) = responder.process_message_1(&message_1).unwrap();
        assert_eq!(c_i.as_cbor(), [0x37]);
        let c_r = ConnId::from_slice(&[0x27]).unwrap();
        let (responder, message_2) =
            responder.prepare_message_2(CredentialTransfer::ByReference, Some(c_r), &None).unwrap();
        let expected = "582b419701d7f00a26c2dc587a36dd752549f33763c893422c8ea0f955a13a4ff5d5
            9862a1eef9e0e7e1886fcd";
        assert_eq!(message_2.as_slice(), bytes(expected));

        let mut message_3 = BufferMessage3::new();
        message_3.fill_with_slice(&bytes("52e562097bc417dd5919485ac7891ffd90a9fc")).unwrap();
        let (responder, id, _) = responder.parse_message_3(&message_3).unwrap();
        assert_eq!(id.as_encoded_value(), [0x2b]);
        let (responder, _) = responder.verify_message_3(cred_i).unwrap();
        let (mut done, message_4) = responder.prepare_message_4(&None).unwrap();
        assert_eq!(message_4.as_slice(), bytes("4828c966b7ca304f83"));
        assert_eq!(done.edhoc_exporter(0, &[], 16)[..16], bytes("f9868f6a3aca78a05d1485b35030b162"));
        assert_eq!(done.edhoc_exporter(1, &[], 8)[..8], bytes("ada24c7dbfc85eeb"));
    }
}
