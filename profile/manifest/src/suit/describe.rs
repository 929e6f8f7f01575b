//! An envelope for human eyes: its statements first, then its CBOR with the names of the specification.
//!
//! Nothing is verified but the digests inside, and nothing is believed: texts are escaped, and what is long is cut.

use super::MAX_ENVELOPE;
use super::authentication::{Authentication, manifest_digest};
use super::cbor::{as_int, decode};
use super::envelope::Envelope;
use super::error::Part;
use super::labels::{command, common, envelope, manifest, parameter};
use super::statements;
use crate::{Encryption, Manifest};
use ciborium::Value;
use sixfold_profile::Hex;

/// Bytes of a byte string, characters of a text, and elements of an array or map that are shown.
const SHOWN: usize = 64;
const MAX_DEPTH: usize = 8;
/// How deep byte strings in the authentication wrapper are opened: to the protected header.
const OPENED: usize = 2;

/// A readable dump of an envelope. Its signature is not verified.
pub fn describe(envelope: &[u8]) -> String {
    let mut lines = vec![format!("SUIT envelope, {} bytes; its signature was not verified", envelope.len())];
    match Envelope::read(envelope) {
        Ok(envelope) => lines.extend(summary(&envelope)),
        Err(error) => lines.push(field("refused", error)),
    }
    if let Some(value) = parse(envelope) {
        lines.push(String::new());
        show(&mut lines, &value, Place::Envelope, 0);
    }
    lines.join("\n") + "\n"
}

fn field(name: &str, value: impl ToString) -> String {
    format!("{name:<18} {}", value.to_string())
}

fn summary(envelope: &Envelope) -> Vec<String> {
    let mut lines = match Authentication::read(&envelope.authentication) {
        Ok(authentication) => authentication_lines(&authentication, &envelope.manifest),
        Err(error) => vec![field("refused", error)],
    };
    match statements::read_without_index(&envelope.manifest) {
        Ok((manifest, _)) => lines.extend(manifest_lines(&manifest, &envelope.index)),
        Err(error) => lines.push(field("refused", error)),
    }
    lines
}

fn authentication_lines(authentication: &Authentication, manifest: &[u8]) -> Vec<String> {
    let by = authentication.key_id.map_or("a key that is not named".to_owned(), |id| format!("key {id}"));
    let is_it = authentication.manifest_digest == manifest_digest(manifest);
    let judgement =
        if is_it { "that of the manifest" } else { "not that of the manifest: damaged or changed" };
    vec![
        field("signature", format!("{}, by {by}", authentication.algorithm)),
        field("signed digest", format!("{}, {judgement}", Hex(&authentication.manifest_digest))),
    ]
}

fn manifest_lines(manifest: &Manifest, index: &[u8]) -> Vec<String> {
    let is_it = manifest.check_index(index).is_ok();
    let judgement = if is_it { "that of the index inside" } else { "not that of the index inside" };
    let uri = manifest.uri.as_deref().map_or("none".to_owned(), |uri| format!("{uri:?}"));
    vec![
        field("sequence number", manifest.sequence_number),
        field("vendor identifier", manifest.vendor),
        field("class identifier", manifest.class),
        field("image size", format!("{} bytes", manifest.image_size)),
        field("image digest", Hex(&manifest.image_digest)),
        field("chunk size", format!("{} bytes", manifest.chunk_size.bytes())),
        field("index digest", format!("{}, {judgement}", Hex(&manifest.index_digest))),
        field("URI", uri),
        field("encryption", manifest.encryption.as_ref().map_or("none".to_owned(), encryption)),
    ]
}

fn encryption(encryption: &Encryption) -> String {
    let recipients: Vec<_> =
        encryption.recipients.iter().take(SHOWN).map(|recipient| recipient.key_id.to_string()).collect();
    format!("A128CTR, for {}{}", recipients.join(", "), cut(encryption.recipients.len()))
}

/// Where a value stands, which decides the names of the keys in it.
#[derive(Clone, Copy)]
enum Place {
    Envelope,
    Manifest,
    Common,
    Sequence,
    Parameters,
    /// CBOR in a byte string, without names.
    Wrapped,
    Other,
}

/// The name of a key, and what its value is.
fn name(place: Place, key: &Value) -> (&'static str, Place) {
    let Some(key) = as_int(key) else { return ("", Place::Other) };
    match (place, key) {
        (Place::Envelope, envelope::AUTHENTICATION_WRAPPER) => ("authentication-wrapper", Place::Wrapped),
        (Place::Envelope, envelope::MANIFEST) => ("manifest", Place::Manifest),
        (Place::Manifest, manifest::VERSION) => ("manifest-version", Place::Other),
        (Place::Manifest, manifest::SEQUENCE_NUMBER) => ("manifest-sequence-number", Place::Other),
        (Place::Manifest, manifest::COMMON) => ("common", Place::Common),
        (Place::Manifest, manifest::INSTALL) => ("install", Place::Sequence),
        (Place::Manifest, manifest::VALIDATE) => ("validate", Place::Sequence),
        (Place::Manifest, manifest::INVOKE) => ("invoke", Place::Sequence),
        (Place::Manifest, manifest::PAYLOAD_FETCH) => ("payload-fetch", Place::Sequence),
        (Place::Common, common::COMPONENTS) => ("components", Place::Other),
        (Place::Common, common::SHARED_SEQUENCE) => ("shared-sequence", Place::Sequence),
        (Place::Sequence, command::VENDOR_IDENTIFIER) => ("condition-vendor-identifier", Place::Other),
        (Place::Sequence, command::CLASS_IDENTIFIER) => ("condition-class-identifier", Place::Other),
        (Place::Sequence, command::IMAGE_MATCH) => ("condition-image-match", Place::Other),
        (Place::Sequence, command::SET_COMPONENT_INDEX) => ("directive-set-component-index", Place::Other),
        (Place::Sequence, command::OVERRIDE_PARAMETERS) => {
            ("directive-override-parameters", Place::Parameters)
        }
        (Place::Sequence, command::FETCH) => ("directive-fetch", Place::Other),
        (Place::Sequence, command::COPY) => ("directive-copy", Place::Other),
        (Place::Sequence, command::INVOKE) => ("directive-invoke", Place::Other),
        (Place::Parameters, parameter::VENDOR_IDENTIFIER) => ("vendor-identifier", Place::Other),
        (Place::Parameters, parameter::CLASS_IDENTIFIER) => ("class-identifier", Place::Other),
        (Place::Parameters, parameter::ENCRYPTION_INFO) => ("encryption-info", Place::Wrapped),
        (Place::Parameters, parameter::SOURCE_COMPONENT) => ("source-component", Place::Other),
        (Place::Parameters, parameter::IMAGE_DIGEST) => ("image-digest", Place::Wrapped),
        (Place::Parameters, parameter::IMAGE_SIZE) => ("image-size", Place::Other),
        (Place::Parameters, parameter::URI) => ("uri", Place::Other),
        (Place::Parameters, parameter::CHUNK_SIZE) => ("chunk-size", Place::Other),
        _ => ("", Place::Other),
    }
}

fn show(lines: &mut Vec<String>, value: &Value, place: Place, depth: usize) {
    match (place, value) {
        (_, Value::Tag(_, inner)) => show(lines, inner, place, depth),
        (_, Value::Map(entries)) => {
            for (key, value) in entries.iter().take(SHOWN) {
                show_entry(lines, key, value, place, depth);
            }
        }
        (Place::Sequence, Value::Array(items)) => {
            for pair in items.chunks(2).take(SHOWN) {
                let [key, argument] = pair else { continue };
                show_entry(lines, key, argument, place, depth);
            }
        }
        _ => lines.push(format!("{:indent$}{}", "", inline(value, 0), indent = depth * 2)),
    }
}

fn show_entry(lines: &mut Vec<String>, key: &Value, value: &Value, place: Place, depth: usize) {
    let (name, inside) = name(place, key);
    let head = format!("{:indent$}{} {name}", "", inline(key, 0), indent = depth * 2);
    let head = head.trim_end();
    let inner = value.as_bytes().filter(|_| !matches!(inside, Place::Other)).and_then(|bytes| parse(bytes));
    match (inside, inner.as_ref().or(value.is_map().then_some(value))) {
        (Place::Other, _) | (_, None) => lines.push(format!("{head}: {}", inline(value, 0))),
        (Place::Wrapped, Some(inner)) => lines.push(format!("{head}: << {} >>", inline(inner, OPENED))),
        (_, Some(inner)) => {
            lines.push(format!("{head}:"));
            show(lines, inner, inside, depth + 1);
        }
    }
}

/// Diagnostic notation (RFC 8949 §8). Byte strings that hold arrays or maps are shown as what they hold, `open` levels
/// deep.
fn inline(value: &Value, open: usize) -> String {
    let list = |items: &[Value]| items.iter().take(SHOWN).map(|item| inline(item, open)).collect::<Vec<_>>();
    match value {
        Value::Integer(number) => i128::from(*number).to_string(),
        Value::Bytes(bytes) if open > 0 => match structure(bytes) {
            Some(inner) => format!("<< {} >>", inline(&inner, open - 1)),
            None => byte_string(bytes),
        },
        Value::Bytes(bytes) => byte_string(bytes),
        Value::Text(text) => format!("{:?}", text.chars().take(SHOWN).collect::<String>()),
        Value::Array(items) => format!("[{}]{}", list(items).join(", "), cut(items.len())),
        Value::Map(entries) => {
            let entry =
                |(key, value): &(Value, Value)| format!("{}: {}", inline(key, open), inline(value, open));
            let shown: Vec<_> = entries.iter().take(SHOWN).map(entry).collect();
            format!("{{{}}}{}", shown.join(", "), cut(entries.len()))
        }
        Value::Tag(tag, inner) => format!("{tag}({})", inline(inner, open)),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Float(number) => number.to_string(),
        _ => "?".to_owned(),
    }
}

/// The array, map or tagged value that takes all of `bytes`. Digests and signatures hardly ever look like one.
fn structure(bytes: &[u8]) -> Option<Value> {
    let value = decode(Part::Authentication, bytes).ok()?;
    (value.is_array() || value.is_map() || value.is_tag()).then_some(value)
}

fn byte_string(bytes: &[u8]) -> String {
    format!("h'{}'{}", Hex(bytes.get(..SHOWN).unwrap_or(bytes)), cut(bytes.len()))
}

fn cut(length: usize) -> String {
    if length > SHOWN { format!(" … {length} in all") } else { String::new() }
}

/// A value at the start of what is not too long.
fn parse(bytes: &[u8]) -> Option<Value> {
    let bytes = Some(bytes).filter(|bytes| bytes.len() <= MAX_ENVELOPE)?;
    ciborium::de::from_reader_with_recursion_limit(bytes, MAX_DEPTH).ok()
}
