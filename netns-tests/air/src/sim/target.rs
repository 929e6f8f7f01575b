//! The options of requests for each image.

use crate::peers::{PATH, image_name};
use crate::scenario::MOST_IMAGES;
use sixfold_profile::coap::Options;
use std::sync::LazyLock;

static TARGETS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| (0..MOST_IMAGES).map(encoded).collect());

/// The Uri-Path options of image `number`.
pub(super) fn target(number: u32) -> Options<'static> {
    Options::new(bytes(number))
}

/// The same as bytes (RFC 7252 §3.1).
pub(super) fn bytes(number: u32) -> &'static [u8] {
    TARGETS.get(number as usize).map_or(&[], Vec::as_slice)
}

fn encoded(number: u32) -> Vec<u8> {
    let name = image_name(number);
    // Uri-Path is 11, and the second one comes 0 later; both are shorter than the 13 bytes that need another form.
    let head = [0xb0 | PATH[0].len() as u8];
    [&head, PATH[0].as_bytes(), &[name.len() as u8], name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_byte_by_byte() {
        assert_eq!(bytes(0), b"\xb2fw\x05image");
        assert_eq!(bytes(15), b"\xb2fw\x08image-16");
    }
}
