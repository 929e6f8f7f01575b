//! Reads the vectors, for the tests of every crate. It knows none of them: a format is checked by those who speak it.
#![allow(dead_code, unreachable_pub, reason = "every test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use serde_json::Value;
use std::fmt::Debug;

pub const AGREEMENTS: &str = include_str!("../../agreements.json");
pub const ENCRYPTIONS: &str = include_str!("../../encryptions.json");
pub const EDHOC: &str = include_str!("../../edhoc.json");
pub const TICKETS: &str = include_str!("../../tickets.json");
pub const INDEXES: &str = include_str!("../../indexes.json");
pub const RECORDS: &str = include_str!("../../records.json");
pub const MANIFESTS: &str = include_str!("../../manifests.json");
pub const SIGNATURES: &str = include_str!("../../signatures.json");
pub const GROUPS: &str = include_str!("../../groups.json");
pub const EXCHANGES: &str = include_str!("../../exchanges.json");

/// A file of vectors.
pub fn file(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What a file lists under `key`, each with its name.
pub fn list<'a>(file: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let list = file[key].as_array().unwrap();
    assert!(!list.is_empty(), "{key} is empty");
    list.iter().map(|vector| (text(&vector["name"]), vector))
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Bytes in hexadecimal.
pub fn bytes(value: &Value) -> Vec<u8> {
    let digits = text(value).as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// As many bytes as are needed.
pub fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// A JSON number, or one of 64 bits as a text.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| text(value).parse().unwrap())
}

/// What this side makes of a vector is what stands there.
#[track_caller]
pub fn golden<T: PartialEq + Debug>(name: &str, found: T, golden: T) {
    assert!(
        found == golden,
        "{name:?}: the FORMAT changed, not the test. Devices in the field and other implementations have the old one: \
         raise the version of the format, or undo the change.\n found {found:02x?}\ngolden {golden:02x?}"
    );
}

/// The vector is refused with its error: that one's `Debug` text begins with the name in the vector.
#[track_caller]
pub fn refused<T: Debug, E: Debug>(name: &str, vector: &Value, result: Result<T, E>) {
    let expected = text(&vector["error"]);
    let error = format!("{:?}", result.expect_err(name));
    assert!(error.starts_with(expected), "{name:?}: refused with {error}, and not with {expected}");
}
