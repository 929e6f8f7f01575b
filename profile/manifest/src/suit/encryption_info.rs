//! SUIT_Encryption_Info (draft-ietf-suit-firmware-encryption): a COSE_Encrypt (RFC 9052 §5.1) whose ciphertext is the image, elsewhere.
//!
//! ```text
//! 96([ h'', {1: -65534, 5: IV}, nil, [ recipient, … ] ])
//! recipient: [ h'', {1: -3, 4: kid}, wrapped key ]
//!         or [ << {1: -29} >>, {4: kid, -1: {1: 2, -1: 1, -2: x, -3: y}}, wrapped key ]
//! ```
//!
//! Ciphers without integrity and AES-KW have no protected headers (RFC 9459 §4, RFC 9053 §6.2.1); those of a recipient with a key pair are
//! part of the key derivation. All of it is under the signature of the manifest.

use super::cbor::{Fields, array, as_int, decode, encode, map, wrap};
use super::error::{Error, Part};
use crate::encryption::{Encryption, Ephemeral, MAX_RECIPIENTS, Recipient};
use crate::keys::KeyId;
use ciborium::Value;

/// The CBOR tag of a COSE_Encrypt.
const COSE_ENCRYPT: u64 = 96;
/// AES-128 in counter mode as COSE names it (RFC 9459 §4).
const A128CTR: i64 = -65534;
/// AES Key Wrap with a 128-bit key as COSE names it (RFC 9053 §6.2.1).
const A128KW: i64 = -3;
/// ECDH-ES with P-256 and HKDF, then AES Key Wrap, as COSE names it (RFC 9053 §6.4.1).
const ECDH_ES_A128KW: i64 = -29;

/// Header parameters of COSE (RFC 9052 §3.1).
mod header {
    pub(super) const ALGORITHM: i64 = 1;
    pub(super) const KEY_ID: i64 = 4;
    pub(super) const IV: i64 = 5;
    /// RFC 9053 §6.3.1.
    pub(super) const EPHEMERAL_KEY: i64 = -1;
}

/// Parameters of a COSE_Key (RFC 9052 §7.1, RFC 9053 §7.1.1), and the values that there are here.
mod cose_key {
    pub(super) const KTY: (i64, i64) = (1, 2);
    pub(super) const CRV: (i64, i64) = (-1, 1);
    pub(super) const X: i64 = -2;
    pub(super) const Y: i64 = -3;
}

const PART: Part = Part::EncryptionInfo;

/// The value of the parameter.
pub(super) fn write(encryption: &Encryption) -> Value {
    let headers = map(vec![
        (header::ALGORITHM.into(), A128CTR.into()),
        (header::IV.into(), Value::Bytes(encryption.iv.to_vec())),
    ]);
    let recipients = encryption.recipients.iter().map(write_recipient).collect();
    let structure = vec![Value::Bytes(Vec::new()), headers, Value::Null, Value::Array(recipients)];
    Value::Bytes(encode(&Value::Tag(COSE_ENCRYPT, Box::new(Value::Array(structure)))))
}

fn write_recipient(recipient: &Recipient) -> Value {
    let key_id = (header::KEY_ID.into(), Value::Bytes(recipient.key_id.0.to_vec()));
    let (protected, other) = match &recipient.ephemeral {
        None => (Value::Bytes(Vec::new()), (header::ALGORITHM.into(), A128KW.into())),
        Some(ephemeral) => (protected(), (header::EPHEMERAL_KEY.into(), write_key(ephemeral))),
    };
    Value::Array(vec![protected, map(vec![key_id, other]), Value::Bytes(recipient.wrapped.to_vec())])
}

/// Of a recipient with a key pair.
fn protected() -> Value {
    wrap(&map(vec![(header::ALGORITHM.into(), ECDH_ES_A128KW.into())]))
}

fn write_key(Ephemeral { x, y }: &Ephemeral) -> Value {
    map(vec![
        (cose_key::KTY.0.into(), cose_key::KTY.1.into()),
        (cose_key::CRV.0.into(), cose_key::CRV.1.into()),
        (cose_key::X.into(), Value::Bytes(x.to_vec())),
        (cose_key::Y.into(), Value::Bytes(y.to_vec())),
    ])
}

/// Reads the value of the parameter.
pub(super) fn read(value: &Value) -> Result<Encryption, Error> {
    let bytes = value.as_bytes().ok_or(Error::Value(PART, "type, it is no byte string"))?;
    let Value::Tag(COSE_ENCRYPT, structure) = decode(PART, bytes)? else {
        return Err(Error::Value(PART, "type, it lacks the tag 96"));
    };
    let [protected, headers, ciphertext, recipients] = array(PART, *structure)?;
    if ciphertext != Value::Null {
        return Err(Error::Value(PART, "ciphertext, it must be detached"));
    }
    let mut headers = headers_of(&protected, headers, A128CTR)?;
    let iv = fixed(headers.bytes(header::IV, "IV")?, "IV")?;
    headers.end()?;
    let recipients = recipients.into_array().map_err(|_| Error::Value(PART, "list of recipients"))?;
    if recipients.is_empty() || recipients.len() > MAX_RECIPIENTS {
        return Err(Error::Value(PART, "number of recipients"));
    }
    let recipients = recipients.into_iter().map(read_recipient).collect::<Result<_, _>>()?;
    Ok(Encryption { iv, recipients })
}

fn read_recipient(recipient: Value) -> Result<Recipient, Error> {
    let [protected, headers, wrapped] = array(PART, recipient)?;
    let has_pair = protected == self::protected();
    let mut headers =
        if has_pair { Fields::new(PART, headers)? } else { headers_of(&protected, headers, A128KW)? };
    let ephemeral =
        has_pair.then(|| read_key(headers.require(header::EPHEMERAL_KEY, "ephemeral key")?)).transpose()?;
    let key_id = KeyId(fixed(headers.bytes(header::KEY_ID, "key identifier")?, "key identifier")?);
    headers.end()?;
    let wrapped = wrapped.into_bytes().map_err(|_| Error::Value(PART, "wrapped key"))?;
    Ok(Recipient { key_id, ephemeral, wrapped: fixed(wrapped, "wrapped key")? })
}

/// Whether it is on the curve is not seen.
fn read_key(key: Value) -> Result<Ephemeral, Error> {
    let mut fields = Fields::new(PART, key)?;
    for (label, value) in [cose_key::KTY, cose_key::CRV] {
        if as_int(&fields.require(label, "type of the ephemeral key")?) != Some(value) {
            return Err(Error::Value(PART, "type of the ephemeral key"));
        }
    }
    let (x, y) = (fields.bytes(cose_key::X, "ephemeral key")?, fields.bytes(cose_key::Y, "ephemeral key")?);
    fields.end()?;
    Ok(Ephemeral { x: fixed(x, "ephemeral key")?, y: fixed(y, "ephemeral key")? })
}

/// The unprotected headers without the algorithm, which must be the one that this profile has.
fn headers_of(protected: &Value, headers: Value, algorithm: i64) -> Result<Fields, Error> {
    if protected.as_bytes().is_none_or(|protected| !protected.is_empty()) {
        return Err(Error::Value(PART, "protected header, it must be empty"));
    }
    let mut headers = Fields::new(PART, headers)?;
    let named = headers.require(header::ALGORITHM, "algorithm")?;
    if as_int(&named) == Some(algorithm) { Ok(headers) } else { Err(Error::Algorithm(PART)) }
}

fn fixed<const N: usize>(bytes: Vec<u8>, name: &'static str) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Value(PART, name))
}
