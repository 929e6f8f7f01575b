//! Agreements on a session: questions and answers, and from the exporter's secret to the keys of the device.

use crate::hex;
use hmac_sha256::{HKDF, Hash};
use serde_json::{Value, json};
use sixfold_oscore::{Derived, Secret};
use sixfold_profile::agreement::{
    Answer, Ask, Grant, MASTER_SALT, MASTER_SECRET, Refusal, SALT_LABEL, SECRET_LABEL, exporter_context,
};
use std::error::Error;

/// The exporter's secret of a connection whose cipher suite has SHA-256 (exporter_master_secret, RFC 8446 §7.5).
const EXPORTER: [u8; 32] = [0x5e; 32];

pub(crate) fn vectors() -> Result<Value, Box<dyn Error>> {
    let usual = Grant { port: Some(5683), lifetime: 2_592_000, device_id: &[1, 2, 3, 4, 5], relay_id: &[] };
    let longest = Grant { port: None, lifetime: u32::MAX, device_id: &[0xd1; 7], relay_id: &[0xe1; 7] };
    Ok(json!({
        "format": "agreement",
        "version": 1,
        "vectors": [
            granted("as relays grant it", Ask { lifetime: 0 }, usual)?,
            granted("the longest identifiers", Ask { lifetime: u32::MAX }, longest)?,
        ],
        "refusals": [
            refusal("as many sessions as there may be", Refusal::Full)?,
            refusal("another version", Refusal::Version)?,
            refusal("no name in the certificate", Refusal::Nameless)?,
            refusal("the relay stops", Refusal::Unavailable)?,
            refusal("a certificate that is not accepted any more", Refusal::Certificate)?,
        ],
        "refused": refused(Grant { lifetime: 1, ..usual })?,
    }))
}

fn granted(name: &str, ask: Ask, grant: Grant<'_>) -> Result<Value, Box<dyn Error>> {
    let (context, length) =
        exporter_context(grant.device_id, grant.relay_id).ok_or("an identifier is too long")?;
    let context = context.get(..length).unwrap_or_default();
    let secret: [u8; MASTER_SECRET] = export(SECRET_LABEL, context);
    let salt: [u8; MASTER_SALT] = export(SALT_LABEL, context);
    let both = Secret { master_secret: &secret, master_salt: &salt, id_context: None };
    let derived = Derived::new(both, grant.device_id, grant.relay_id)?;
    let keys = derived.parameters();
    Ok(json!({
        "name": name,
        "ask": { "lifetime": ask.lifetime, "bytes": hex(&ask.encode()) },
        "answer": {
            "port": grant.port,
            "lifetime": grant.lifetime,
            "device_id": hex(grant.device_id),
            "relay_id": hex(grant.relay_id),
            "bytes": hex(&Answer::Granted(grant).encode()?),
        },
        "exporter_master_secret": hex(&EXPORTER),
        "context": hex(context),
        "master_secret": hex(&secret),
        "master_salt": hex(&salt),
        "sender_key": hex(keys.sender_key),
        "recipient_key": hex(keys.recipient_key),
        "common_iv": hex(keys.common_iv),
    }))
}

fn refusal(name: &str, refusal: Refusal) -> Result<Value, Box<dyn Error>> {
    Ok(json!({ "name": name, "outcome": refusal as u8, "bytes": hex(&Answer::Refused(refusal).encode()?) }))
}

/// Each is a good answer with one byte changed. Its lifetime has one byte that is not zero.
fn refused(grant: Grant<'_>) -> Result<Value, Box<dyn Error>> {
    let grant = Grant { lifetime: 1 << 16, ..grant };
    let good = Answer::Granted(grant).encode()?;
    let answer = |name: &str, place: usize, value: u8, error: &str| {
        let mut bytes = good;
        if let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
        json!({ "name": name, "answer": hex(&bytes), "error": error })
    };
    Ok(json!([
        { "name": "a question of another version", "ask": "0200000000000000", "error": "Version" },
        { "name": "a question with a bit that must be zero", "ask": "0100800000000000", "error": "Malformed" },
        answer("an answer of another version", 0, 2, "Version"),
        answer("an outcome that is not known", 1, 6, "Malformed"),
        answer("a lifetime of nothing", 5, 0, "Malformed"),
        answer("a device without identifier", 8, 0, "Malformed"),
        answer("an identifier that is too long", 8, 8, "Malformed"),
        answer("no zeros behind an identifier", 15, 1, "Malformed"),
    ]))
}

/// TLS-Exporter (RFC 8446 §7.5).
///
/// ```text
/// HKDF-Expand-Label(Derive-Secret(exporter_master_secret, label, ""), "exporter", Hash(context), length)
/// ```
fn export<const N: usize>(label: &[u8], context: &[u8]) -> [u8; N] {
    let secret: [u8; 32] = expand_label(&EXPORTER, label, &Hash::hash(b""));
    expand_label(&secret, b"exporter", &Hash::hash(context))
}

/// HKDF-Expand-Label (RFC 8446 §7.1).
fn expand_label<const N: usize>(secret: &[u8; 32], label: &[u8], context: &[u8; 32]) -> [u8; N] {
    let label = [b"tls13 ", label].concat();
    let length = (N as u16).to_be_bytes();
    let info = [&length[..], &[label.len() as u8], &label, &[context.len() as u8], context].concat();
    let mut out = [0; N];
    HKDF::expand(&mut out, secret, info);
    out
}
