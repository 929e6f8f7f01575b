//! SUIT_Authentication: the digest of the manifest, and one COSE_Sign1 (RFC 9052 §4.2) over that digest.

use super::cbor::{array, as_int, decode, encode, wrap};
use super::error::{Error, Part};
use super::labels::SHA_256;
use crate::keys::{Algorithm, KeyId, SigningKey, VerifyingKey};
use ciborium::Value;
use coset::{
    AsCborValue, CoseSign1, CoseSign1Builder, Header, HeaderBuilder, RegisteredLabelWithPrivate,
    TaggedCborSerializable, iana,
};
use hmac_sha256::Hash;
use sixfold_profile::index::DIGEST;

/// The content of the authentication wrapper for the content of the manifest.
pub(super) fn sign(manifest: &[u8], key: &SigningKey) -> Vec<u8> {
    let digest = encode(&digest_value(manifest_digest(manifest)));
    let block = CoseSign1Builder::new()
        .protected(HeaderBuilder::new().algorithm(cose_algorithm(key.algorithm())).build())
        .unprotected(HeaderBuilder::new().key_id(key.key_id().0.to_vec()).build())
        .create_detached_signature(&digest, &[], |message| key.sign(message).to_vec())
        .build();
    #[expect(clippy::expect_used, reason = "the headers above hold nothing that has no encoding")]
    let block = block.to_cbor_value().expect("two registered headers can be encoded");
    let block = Value::Tag(CoseSign1::TAG, Box::new(block));
    encode(&Value::Array(vec![Value::Bytes(digest), wrap(&block)]))
}

/// Whether the wrapper holds the digest of `manifest`, signed with one of `keys`.
pub(super) fn verify(wrapper: &[u8], manifest: &[u8], keys: &[VerifyingKey]) -> Result<(), Error> {
    let wrapper = Authentication::read(wrapper)?;
    if wrapper.manifest_digest != manifest_digest(manifest) {
        return Err(Error::ManifestDigest);
    }
    let candidates = keys.iter().filter(|key| wrapper.may_be_by(key));
    let mut refused = Error::UntrustedKey(wrapper.key_id);
    for key in candidates {
        if wrapper.is_by(key) {
            return Ok(());
        }
        if wrapper.key_id.is_some() {
            refused = Error::Signature(key.key_id());
        }
    }
    Err(refused)
}

/// What a wrapper says; not yet verified.
pub(super) struct Authentication {
    pub(super) manifest_digest: [u8; DIGEST],
    pub(super) algorithm: Algorithm,
    /// Not protected by the signature: it only finds the key.
    pub(super) key_id: Option<KeyId>,
    digest: Vec<u8>,
    block: CoseSign1,
}

impl Authentication {
    pub(super) fn read(wrapper: &[u8]) -> Result<Self, Error> {
        let part = Part::Authentication;
        let [digest, block] = array(part, decode(part, wrapper)?)?;
        let digest = digest.into_bytes().map_err(|_| Error::Value(part, "SUIT_Digest"))?;
        let block = block.into_bytes().map_err(|_| Error::Value(part, "SUIT_Authentication_Block"))?;
        let manifest_digest = read_digest(&digest)?;
        let block = read_block(&block)?;
        let algorithm = read_algorithm(&block)?;
        let key_id = read_key_id(&block)?;
        Ok(Self { manifest_digest, algorithm, key_id, digest, block })
    }

    fn may_be_by(&self, key: &VerifyingKey) -> bool {
        key.algorithm() == self.algorithm && self.key_id.is_none_or(|id| id == key.key_id())
    }

    fn is_by(&self, key: &VerifyingKey) -> bool {
        let verifier = |signature: &[u8], message: &[u8]| {
            if key.verify(message, signature) { Ok(()) } else { Err(()) }
        };
        self.block.verify_detached_signature(&self.digest, &[], verifier).is_ok()
    }
}

fn read_block(bytes: &[u8]) -> Result<CoseSign1, Error> {
    let part = Part::Signature;
    let Value::Tag(CoseSign1::TAG, block) = decode(part, bytes)? else {
        return Err(Error::Value(part, "type, it lacks the tag 18"));
    };
    let block = CoseSign1::from_cbor_value(*block).map_err(|_| Error::Value(part, "structure"))?;
    if block.payload.is_some() {
        return Err(Error::Value(part, "payload, it must be detached"));
    }
    Ok(block)
}

/// The protected header holds the algorithm and nothing else.
fn read_algorithm(block: &CoseSign1) -> Result<Algorithm, Error> {
    let part = Part::Signature;
    decode(part, block.protected.original_data.as_deref().unwrap_or_default())?;
    let header = &block.protected.header;
    let algorithm = match header.alg {
        Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::EdDSA)) => Algorithm::Ed25519,
        Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::ES256)) => Algorithm::Es256,
        Some(_) => return Err(Error::Algorithm(part)),
        None => return Err(Error::Missing(part, "algorithm")),
    };
    let only = HeaderBuilder::new().algorithm(cose_algorithm(algorithm)).build();
    if *header == only { Ok(algorithm) } else { Err(Error::Unknown(part, "a protected header".to_owned())) }
}

/// The unprotected header holds the key identifier or nothing.
fn read_key_id(block: &CoseSign1) -> Result<Option<KeyId>, Error> {
    let part = Part::Signature;
    let header = &block.unprotected;
    if *header != (Header { key_id: header.key_id.clone(), ..Header::default() }) {
        return Err(Error::Unknown(part, "an unprotected header".to_owned()));
    }
    if header.key_id.is_empty() {
        return Ok(None);
    }
    let id = header.key_id.as_slice().try_into().map_err(|_| Error::Value(part, "key identifier"))?;
    Ok(Some(KeyId(id)))
}

const fn cose_algorithm(algorithm: Algorithm) -> iana::Algorithm {
    match algorithm {
        Algorithm::Ed25519 => iana::Algorithm::EdDSA,
        Algorithm::Es256 => iana::Algorithm::ES256,
    }
}

/// The SHA-256 of the manifest with the head of the byte string that it is in.
pub(super) fn manifest_digest(manifest: &[u8]) -> [u8; DIGEST] {
    Hash::hash(&encode(&Value::Bytes(manifest.to_vec())))
}

/// SUIT_Digest.
pub(super) fn digest_value(digest: [u8; DIGEST]) -> Value {
    Value::Array(vec![SHA_256.into(), Value::Bytes(digest.to_vec())])
}

/// Reads a SUIT_Digest that takes all of `bytes`.
pub(super) fn read_digest(bytes: &[u8]) -> Result<[u8; DIGEST], Error> {
    let part = Part::Digest;
    let [algorithm, digest] = array(part, decode(part, bytes)?)?;
    if as_int(&algorithm) != Some(SHA_256) {
        return Err(Error::Algorithm(part));
    }
    let digest = digest.into_bytes().ok().and_then(|digest| digest.try_into().ok());
    digest.ok_or(Error::Value(part, "length"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    /// Example 0 of draft-ietf-suit-manifest, appendix B, and the public key that it gives for its examples.
    const EXAMPLE_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhJaBGq4LqqvSYVcYnuzaJr6qi/Eb
bz/m4rVlnIXbwK07HypLbAmBMcCjbazR14vTgdzfsJwFLbM5kdtzOLSolg==
-----END PUBLIC KEY-----
";
    const EXAMPLE_MANIFEST: &str = "a50101020003585fa202818141000458568614a40150fa6b4a53d5ad5fdfbe9de663e4d41ffe02501492af1425695e48 \
        bf429b2d51f2ab45035824822f582000112233445566778899aabbccddeeff0123456789abcdeffedcba98765432100e \
        1987d0010f020f074382030f0943821702";
    const EXAMPLE_DIGEST: &str = "6658ea560262696dd1f13b782239a064da7c6c5cbaf52fded428a6fc83c7e5af";
    const EXAMPLE_SIGNATURE: &str = "68113f1e76731330fea16136cead2be4fa8d4bb3e327e3f9232eb4f13b5d118f2ea6e31d9a09a240f6f5770776916e15 \
        a4ebca1b6262cf6e40a44353bd8161d9";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_example_of_the_specification_is_authentic() {
        let manifest = bytes(EXAMPLE_MANIFEST);
        assert_eq!(manifest_digest(&manifest).to_vec(), bytes(EXAMPLE_DIGEST));
        let digest = encode(&digest_value(manifest_digest(&manifest)));
        let block = CoseSign1Builder::new()
            .protected(HeaderBuilder::new().algorithm(iana::Algorithm::ES256).build())
            .signature(bytes(EXAMPLE_SIGNATURE))
            .build();
        let block = Value::Tag(CoseSign1::TAG, Box::new(block.to_cbor_value().unwrap()));
        let wrapper = encode(&Value::Array(vec![Value::Bytes(digest), wrap(&block)]));
        let key = VerifyingKey::from_pem(EXAMPLE_KEY).unwrap();
        assert_eq!(verify(&wrapper, &manifest, &[key]), Ok(()));
        let other = SigningKey::from_seed(Algorithm::Es256, &[1; 32]).unwrap().verifying_key();
        assert_eq!(verify(&wrapper, &manifest, &[other]), Err(Error::UntrustedKey(None)));
    }
}
