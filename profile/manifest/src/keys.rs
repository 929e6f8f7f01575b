//! The keys of publishers: Ed25519 (RFC 8032) and ES256, which is ECDSA with P-256 and SHA-256 (RFC 9053 §2.1).
//!
//! Private keys are PKCS#8 (RFC 5958) and public keys SubjectPublicKeyInfo (RFC 5280 §4.1), both as PEM, as
//! `openssl genpkey` and `openssl pkey -pubout` write them. There are deliberately no passwords: whoever can read the
//! file can sign.

use ed25519_dalek::pkcs8::spki::{Document, SubjectPublicKeyInfoRef};
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes, ObjectIdentifier,
    PrivateKeyInfo, SecretDocument,
};
use ed25519_dalek::{Signature as Ed25519Signature, Signer, Verifier};
use hmac_sha256::Hash;
use p256::ecdsa::Signature as Es256Signature;
use p256::pkcs8::LineEnding;
use sixfold_profile::Hex;
use std::fmt;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// What a signature is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// EdDSA with Curve25519 (RFC 8032).
    Ed25519,
    /// ECDSA with P-256 and SHA-256; nonces are those of RFC 6979, so that the same bytes have the same signature.
    Es256,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::Es256 => "ES256",
        })
    }
}

/// Tells public keys apart: the first 8 bytes of the SHA-256 of the DER of a SubjectPublicKeyInfo.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It is not PEM of the kind that was asked for.
    NotPem {
        /// The label that belongs there.
        wanted: &'static str,
    },
    /// It is the private half, where the public one belongs.
    Private,
    /// It is the public half, where the private one belongs.
    Public,
    /// The PEM holds something that is not a key, or a damaged one.
    Damaged,
    /// A password protects it.
    Encrypted,
    /// It is a key for another algorithm or curve.
    Algorithm,
    /// The seed is no private key of this algorithm: zero, or not below the order of P-256.
    Seed,
    /// It is a key for Ed25519, and not one on P-256.
    Curve,
    /// It is not 32 hexadecimal digits.
    NotHex,
    /// The operating system gave no random bytes.
    Random,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem { wanted } => {
                write!(f, "this is not a key: it has no line -----BEGIN {wanted}-----")
            }
            Self::Private => f.write_str(
                "this is the private half of a key, which its owner keeps: give the public half, which keygen wrote to FILE.pub beside it",
            ),
            Self::Public => f.write_str(
                "this is the public half of a key: give the private one, the file of the same name without .pub",
            ),
            Self::Damaged => f.write_str("the key is damaged: take it from a backup"),
            Self::Encrypted => f.write_str(
                "the key is protected by a password: write it without one (openssl pkey -in FILE -out NEW)",
            ),
            Self::Algorithm => {
                f.write_str("the key is neither for Ed25519 nor for ECDSA with P-256: make one with keygen")
            }
            Self::Seed => f.write_str("these 32 bytes are no private key of P-256: take others"),
            Self::Curve => f.write_str("the key is for Ed25519, which only signs: make one with keygen --algorithm ecdh"),
            Self::NotHex => f.write_str(
                "this is no key-encryption key, which is a line of 32 hexadecimal digits: make one with keygen --algorithm a128kw",
            ),
            Self::Random => f.write_str("the operating system gives no random bytes"),
        }
    }
}

impl std::error::Error for KeyError {}

/// A private key. Its memory is overwritten when it is dropped.
#[derive(Clone)]
pub enum SigningKey {
    /// For Ed25519.
    Ed25519(ed25519_dalek::SigningKey),
    /// For ES256.
    Es256(p256::ecdsa::SigningKey),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {}", self.algorithm(), self.verifying_key().key_id())
    }
}

impl SigningKey {
    /// A new key from the operating system's random bytes.
    ///
    /// # Errors
    /// [`KeyError::Random`]. That random bytes are no key of P-256 happens once in 2^32 tries: [`KeyError::Seed`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| KeyError::Random)?;
        Self::from_seed(algorithm, &seed)
    }

    /// The key that belongs to a seed (Ed25519) or secret scalar (ES256). Whoever knows it has the key.
    ///
    /// # Errors
    /// [`KeyError::Seed`].
    pub fn from_seed(algorithm: Algorithm, seed: &[u8; 32]) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::Ed25519 => Ok(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(seed))),
            Algorithm::Es256 => {
                p256::ecdsa::SigningKey::from_slice(seed).map(Self::Es256).map_err(|_| KeyError::Seed)
            }
        }
    }

    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    /// [`KeyError`], but [`KeyError::Private`], [`KeyError::Seed`], [`KeyError::NotHex`] and [`KeyError::Random`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let wanted = "PRIVATE KEY";
        let (label, document) =
            SecretDocument::from_pem(pem.trim()).map_err(|_| KeyError::NotPem { wanted })?;
        match label {
            "PRIVATE KEY" => {}
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            "PUBLIC KEY" => return Err(KeyError::Public),
            _ => return Err(KeyError::NotPem { wanted }),
        }
        let der = document.as_bytes();
        let info = PrivateKeyInfo::try_from(der).map_err(|_| KeyError::Damaged)?;
        let parameters = info.algorithm.parameters_oid().ok();
        match kind(info.algorithm.oid, parameters)? {
            Algorithm::Ed25519 => ed25519_dalek::SigningKey::from_pkcs8_der(der).map(Self::Ed25519),
            Algorithm::Es256 => p256::ecdsa::SigningKey::from_pkcs8_der(der).map(Self::Es256),
        }
        .map_err(|_| KeyError::Damaged)
    }

    /// A PKCS#8 PEM: a secret.
    ///
    /// # Errors
    /// None that is known; the encoder has an error type.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = match self {
            // OpenSSL 3.0 does not read version 2 of the format, which carries the public key as well.
            Self::Ed25519(key) => {
                KeypairBytes { secret_key: key.to_bytes(), public_key: None }.to_pkcs8_pem(LineEnding::LF)
            }
            Self::Es256(key) => key.to_pkcs8_pem(LineEnding::LF),
        };
        pem.map(|pem| pem.to_string()).map_err(|_| KeyError::Damaged)
    }

    /// What it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::Es256(_) => Algorithm::Es256,
        }
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::Ed25519(key) => VerifyingKey::Ed25519(key.verifying_key()),
            Self::Es256(key) => VerifyingKey::Es256(*key.verifying_key()),
        }
    }

    /// See [`VerifyingKey::key_id`].
    pub fn key_id(&self) -> KeyId {
        self.verifying_key().key_id()
    }

    /// The signature over `message`, 64 bytes: R and S (RFC 8032 §5.1.6), or r and s (RFC 9053 §2.1).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        match self {
            Self::Ed25519(key) => key.sign(message).to_bytes(),
            Self::Es256(key) => {
                let signature: Es256Signature = key.sign(message);
                signature.to_bytes().into()
            }
        }
    }
}

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum VerifyingKey {
    /// For Ed25519.
    Ed25519(ed25519_dalek::VerifyingKey),
    /// For ES256.
    Es256(p256::ecdsa::VerifyingKey),
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} public key {}", self.algorithm(), self.key_id())
    }
}

impl VerifyingKey {
    /// Reads a SubjectPublicKeyInfo PEM.
    ///
    /// # Errors
    /// [`KeyError::NotPem`], [`KeyError::Private`], [`KeyError::Damaged`] and [`KeyError::Algorithm`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let wanted = "PUBLIC KEY";
        let (label, document) = Document::from_pem(pem.trim()).map_err(|_| KeyError::NotPem { wanted })?;
        match label {
            "PUBLIC KEY" => {}
            "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" | "EC PRIVATE KEY" => return Err(KeyError::Private),
            _ => return Err(KeyError::NotPem { wanted }),
        }
        let der = document.as_bytes();
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::Damaged)?;
        let parameters = info.algorithm.parameters_oid().ok();
        match kind(info.algorithm.oid, parameters)? {
            Algorithm::Ed25519 => ed25519_dalek::VerifyingKey::from_public_key_der(der).map(Self::Ed25519),
            Algorithm::Es256 => p256::ecdsa::VerifyingKey::from_public_key_der(der).map(Self::Es256),
        }
        .map_err(|_| KeyError::Damaged)
    }

    /// A SubjectPublicKeyInfo PEM.
    ///
    /// # Errors
    /// None that is known; the encoder has an error type.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        match self {
            Self::Ed25519(key) => key.to_public_key_pem(LineEnding::LF),
            Self::Es256(key) => key.to_public_key_pem(LineEnding::LF),
        }
        .map_err(|_| KeyError::Damaged)
    }

    /// What its signatures are made with.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::Es256(_) => Algorithm::Es256,
        }
    }

    /// Names the key in signatures. It is short: it finds a key among trusted ones and proves nothing.
    pub fn key_id(&self) -> KeyId {
        let der = match self {
            Self::Ed25519(key) => key.to_public_key_der(),
            Self::Es256(key) => key.to_public_key_der(),
        };
        let digest = Hash::hash(der.as_ref().map_or(&[], Document::as_bytes));
        let [a, b, c, d, e, f, g, h, ..] = digest;
        KeyId([a, b, c, d, e, f, g, h])
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => Ed25519Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::Es256(key) => Es256Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

/// Which of our algorithms the identifiers in a key stand for.
fn kind(algorithm: ObjectIdentifier, parameters: Option<ObjectIdentifier>) -> Result<Algorithm, KeyError> {
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    match (algorithm, parameters) {
        (ED25519, None) => Ok(Algorithm::Ed25519),
        (EC_PUBLIC_KEY, Some(P256)) => Ok(Algorithm::Es256),
        _ => Err(KeyError::Algorithm),
    }
}
