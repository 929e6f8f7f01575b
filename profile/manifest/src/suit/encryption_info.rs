//! SUIT_Encryption_Info (draft-ietf-suit-firmware-encryption): a COSE_Encrypt (RFC 9052 §5.1) whose ciphertext is the image, elsewhere.
//!
//! ```text
//! 96([ h'', {1: -65534, 5: IV}, nil, [ [ h'', {1: -3, 4: kid}, wrapped key ], … ] ])
//! ```
//!
//! Ciphers without integrity and AES-KW have no protected headers (RFC 9459 §4, RFC 9053 §6.2.1); all of it is under the signature of the
//! manifest.

use super::cbor::{Fields, array, as_int, decode, encode, map};
use super::error::{Error, Part};
use crate::encryption::{Encryption, MAX_RECIPIENTS, Recipient};
use crate::keys::KeyId;
use ciborium::Value;

/// The CBOR tag of a COSE_Encrypt.
const COSE_ENCRYPT: u64 = 96;
/// AES-128 in counter mode as COSE names it (RFC 9459 §4).
const A128CTR: i64 = -65534;
/// AES Key Wrap with a 128-bit key as COSE names it (RFC 9053 §6.2.1).
const A128KW: i64 = -3;

/// Header parameters of COSE (RFC 9052 §3.1).
mod header {
    pub(super) const ALGORITHM: i64 = 1;
    pub(super) const KEY_ID: i64 = 4;
    pub(super) const IV: i64 = 5;
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
    let headers = map(vec![
        (header::ALGORITHM.into(), A128KW.into()),
        (header::KEY_ID.into(), Value::Bytes(recipient.key_id.0.to_vec())),
    ]);
    Value::Array(vec![Value::Bytes(Vec::new()), headers, Value::Bytes(recipient.wrapped.to_vec())])
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
    let mut headers = headers_of(&protected, headers, A128KW)?;
    let key_id = KeyId(fixed(headers.bytes(header::KEY_ID, "key identifier")?, "key identifier")?);
    headers.end()?;
    let wrapped = wrapped.into_bytes().map_err(|_| Error::Value(PART, "wrapped key"))?;
    Ok(Recipient { key_id, wrapped: fixed(wrapped, "wrapped key")? })
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
