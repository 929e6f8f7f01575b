//! What is in a file of ours, in words: told by its first bytes, by its last ones for a flash file, or by the suffix of an
//! index, which has none of its own.

mod flash;
mod record;
mod ticket;

pub use record::Unit;

use sixfold_manifest::keys::{SigningKey, VerifyingKey};
use sixfold_manifest::{cms, suit};
use sixfold_profile::Hex;
use sixfold_profile::index::DIGEST;
use sixfold_profile::record::TOMBSTONE;
use sixfold_profile::ticket::{Fields, MAGIC, MAX_TICKET};
use std::fmt::Write;

/// The text, or why what looks like something is not; `None` when it looks like nothing.
pub fn describe(bytes: &[u8], is_index: bool, unit: Unit) -> Option<Result<String, String>> {
    if suit::is_envelope(bytes) {
        Some(Ok(suit::describe(bytes)))
    } else if cms::is_signed_data(bytes) {
        Some(Ok(cms::describe(bytes)))
    } else if let Some(places) = flash::Places::read(bytes) {
        Some(Ok(places.describe(bytes)))
    } else if bytes.starts_with(&TOMBSTONE) || bytes.starts_with(&MAGIC) && bytes.len() > MAX_TICKET {
        Some(record::describe(bytes, unit))
    } else if bytes.starts_with(&MAGIC) {
        let fields = Fields::read(bytes);
        Some(fields.map(|fields| ticket::describe(&fields)).map_err(|error| error.to_string()))
    } else if bytes.starts_with(b"-----BEGIN ") {
        Some(describe_key(&String::from_utf8_lossy(bytes)))
    } else {
        is_index.then(|| describe_index(bytes))
    }
}

fn describe_key(pem: &str) -> Result<String, String> {
    if pem.contains("PRIVATE KEY-----") {
        let key = SigningKey::from_pem(pem).map_err(|error| error.to_string())?;
        return Ok(format!("{} private key, {}\n", key.algorithm(), key.key_id()));
    }
    let key = VerifyingKey::from_pem(pem).map_err(|error| error.to_string())?;
    Ok(format!("{} public key, {}\n", key.algorithm(), key.key_id()))
}

fn describe_index(bytes: &[u8]) -> Result<String, String> {
    let (digests, rest) = bytes.as_chunks::<DIGEST>();
    if digests.is_empty() || !rest.is_empty() {
        return Err(format!("{} bytes are no chunk index: it is made of digests of {DIGEST}", bytes.len()));
    }
    let digest = Hex(&hmac_sha256::Hash::hash(bytes)).to_string();
    let mut text = format!("chunk index of {} chunks\nindex digest       {digest}\n", digests.len());
    for (number, digest) in digests.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{number:>8}  {}", Hex(digest));
    }
    Ok(text)
}

fn field(name: &str, value: impl ToString) -> String {
    format!("{name:<18} {}", value.to_string())
}
