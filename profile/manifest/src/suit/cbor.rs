//! CBOR in its deterministic encoding (RFC 8949 §4.2.1), and nothing but that.

use super::error::{Error, Fault, Part};
use crate::encryption::MAX_RECIPIENTS;
use ciborium::Value;

/// Deeper than any envelope that follows the profile.
const MAX_DEPTH: usize = 8;
/// More items than any part of an envelope that follows the profile. It bounds what hostile bytes can make us allocate.
const MAX_ITEMS: usize = 256;
/// The same for the list of recipients, of which each has up to sixteen.
const MAX_ITEMS_OF_RECIPIENTS: usize = 16 + 16 * MAX_RECIPIENTS;

/// The deterministic encoding of a value whose maps are in order.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    #[expect(clippy::expect_used, reason = "a vector takes all bytes, and every Value has an encoding")]
    ciborium::into_writer(value, &mut bytes).expect("writing to a vector does not fail");
    bytes
}

/// A map with its keys in order.
pub(super) fn map(entries: Vec<(Value, Value)>) -> Value {
    let mut entries = entries;
    entries.sort_by_cached_key(|(key, _)| encode(key));
    Value::Map(entries)
}

/// `value` in a byte string.
pub(super) fn wrap(value: &Value) -> Value {
    Value::Bytes(encode(value))
}

/// Reads one value that takes all of `bytes`.
pub(super) fn decode(part: Part, bytes: &[u8]) -> Result<Value, Error> {
    let fault = |fault| Error::Cbor(part, fault);
    let most = if part == Part::EncryptionInfo { MAX_ITEMS_OF_RECIPIENTS } else { MAX_ITEMS };
    check_items(bytes, most).map_err(fault)?;
    let mut rest = bytes;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH)
        .map_err(|_| fault(Fault::Malformed))?;
    if !rest.is_empty() {
        return Err(fault(Fault::Trailing));
    }
    check_keys(&value).map_err(fault)?;
    if encode(&value) == bytes { Ok(value) } else { Err(fault(Fault::NotDeterministic)) }
}

/// Whether there are not too many items, each with its length in its head. The rest of what can be wrong is not seen.
fn check_items(bytes: &[u8], most: usize) -> Result<(), Fault> {
    let mut rest = bytes;
    for _ in 0..most {
        let Some((initial, behind)) = rest.split_first() else { return Ok(()) };
        let (major, info) = (initial >> 5, initial & 31);
        let (argument, behind) = match info {
            0..24 => (u64::from(info), behind),
            24..28 => match behind.split_at_checked(1 << (info - 24)) {
                Some((argument, behind)) => {
                    (argument.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), behind)
                }
                None => return Err(Fault::Malformed),
            },
            _ => return Err(Fault::NotDeterministic),
        };
        let content = if matches!(major, 2 | 3) { argument } else { 0 };
        let content = usize::try_from(content).map_err(|_| Fault::Malformed)?;
        rest = behind.get(content..).ok_or(Fault::Malformed)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(Fault::TooManyItems) }
}

/// Whether the keys of all maps ascend. The depth was bounded when the value was read.
fn check_keys(value: &Value) -> Result<(), Fault> {
    match value {
        Value::Map(entries) => {
            let mut last: Option<Vec<u8>> = None;
            for (key, value) in entries {
                let key = encode(key);
                match last.as_ref().map(|last| last.cmp(&key)) {
                    Some(std::cmp::Ordering::Equal) => return Err(Fault::DuplicateKey),
                    Some(std::cmp::Ordering::Greater) => return Err(Fault::NotDeterministic),
                    _ => last = Some(key),
                }
                check_keys(value)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(check_keys),
        Value::Tag(_, inner) => check_keys(inner),
        _ => Ok(()),
    }
}

/// The entries of a map, taken out by their keys; what is left at the end is unknown.
pub(super) struct Fields {
    part: Part,
    entries: Vec<(Value, Value)>,
}

impl Fields {
    /// Reads a map that takes all of `bytes`.
    pub(super) fn read(part: Part, bytes: &[u8]) -> Result<Self, Error> {
        Self::new(part, decode(part, bytes)?)
    }

    pub(super) fn new(part: Part, value: Value) -> Result<Self, Error> {
        let entries = value.into_map().map_err(|_| Error::Value(part, "type, it is not a map"))?;
        Ok(Self { part, entries })
    }

    pub(super) fn take(&mut self, key: impl Into<Value>) -> Option<Value> {
        let key = key.into();
        let at = self.entries.iter().position(|(candidate, _)| *candidate == key)?;
        Some(self.entries.remove(at).1)
    }

    pub(super) fn require(&mut self, key: impl Into<Value>, name: &'static str) -> Result<Value, Error> {
        self.take(key).ok_or(Error::Missing(self.part, name))
    }

    pub(super) fn bytes(&mut self, key: impl Into<Value>, name: &'static str) -> Result<Vec<u8>, Error> {
        let part = self.part;
        self.require(key, name)?.into_bytes().map_err(|_| Error::Value(part, name))
    }

    pub(super) fn uint(&mut self, key: i64, name: &'static str) -> Result<u64, Error> {
        let part = self.part;
        as_uint(&self.require(key, name)?).ok_or(Error::Value(part, name))
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, _)) => Err(Error::Unknown(self.part, format!("the key {}", short(key)))),
        }
    }
}

/// The elements of an array that takes all of `bytes`, exactly `N`.
pub(super) fn array<const N: usize>(part: Part, value: Value) -> Result<[Value; N], Error> {
    let items = value.into_array().map_err(|_| Error::Value(part, "type, it is not an array"))?;
    items.try_into().map_err(|_| Error::Value(part, "number of elements"))
}

pub(super) fn as_uint(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|number| number.try_into().ok())
}

pub(super) fn as_int(value: &Value) -> Option<i64> {
    value.as_integer().and_then(|number| number.try_into().ok())
}

/// A key for an error message: numbers and texts as they are, of anything else only its kind.
fn short(key: &Value) -> String {
    match key {
        Value::Integer(number) => i128::from(*number).to_string(),
        Value::Text(text) => format!("{:?}", text.chars().take(32).collect::<String>()),
        _ => "of another type".to_owned(),
    }
}
