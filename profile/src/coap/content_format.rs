//! The CoAP Content-Formats that firmware updates meet (RFC 7252 §12.3 and the IANA registry
//! <https://www.iana.org/assignments/core-parameters>).

/// `text/plain; charset=utf-8`
pub const TEXT_PLAIN: u16 = 0;
/// `application/cose; cose-type="cose-encrypt0"`
pub const COSE_ENCRYPT0: u16 = 16;
/// `application/cose; cose-type="cose-sign1"`
pub const COSE_SIGN1: u16 = 18;
/// `application/link-format` (RFC 6690)
pub const LINK_FORMAT: u16 = 40;
/// `application/xml`
pub const XML: u16 = 41;
/// `application/octet-stream`
pub const OCTET_STREAM: u16 = 42;
/// `application/json`
pub const JSON: u16 = 50;
/// `application/cbor`
pub const CBOR: u16 = 60;
/// `application/edhoc+cbor-seq` (RFC 9528 §10.9)
pub const EDHOC_CBOR_SEQ: u16 = 64;
/// `application/cid-edhoc+cbor-seq`
pub const CID_EDHOC_CBOR_SEQ: u16 = 65;
/// `application/cose; cose-type="cose-encrypt"`
pub const COSE_ENCRYPT: u16 = 96;
/// `application/cose; cose-type="cose-sign"`
pub const COSE_SIGN: u16 = 98;

/// `application/informative-response+cbor` (draft-ietf-core-observe-multicast-notifications), which has no number yet: one
/// of those for experiments (RFC 7252 §12.3)
pub const INFORMATIVE_RESPONSE: u16 = 65_010;
/// Of this profile, for experiments: a parity symbol ([`crate::parity`])
pub const PARITY: u16 = 65_011;

const MEDIA_TYPES: &[(&str, u16)] = &[
    ("text/plain", TEXT_PLAIN),
    ("application/link-format", LINK_FORMAT),
    ("application/xml", XML),
    ("application/octet-stream", OCTET_STREAM),
    ("application/json", JSON),
    ("application/cbor", CBOR),
    ("application/cose; cose-type=\"cose-encrypt0\"", COSE_ENCRYPT0),
    ("application/cose; cose-type=\"cose-sign1\"", COSE_SIGN1),
    ("application/cose; cose-type=\"cose-encrypt\"", COSE_ENCRYPT),
    ("application/cose; cose-type=\"cose-sign\"", COSE_SIGN),
];

/// The Content-Format of an HTTP media type, by RFC 8075 §6.1: the exact type with its parameters first,
/// then `text/plain` and `application/*` types without regard to a `charset`. `None` if it has no number.
pub fn from_media_type(media_type: &str) -> Option<u16> {
    let media_type = media_type.trim();
    let exact = MEDIA_TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(media_type));
    let bare = || {
        let (essence, parameters) = media_type.split_once(';')?;
        let charset = parameters.trim();
        let is_charset = charset.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("charset="));
        MEDIA_TYPES.iter().filter(|_| is_charset).find(|(name, _)| name.eq_ignore_ascii_case(essence.trim()))
    };
    exact.or_else(bare).map(|&(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        assert_eq!(from_media_type("application/octet-stream"), Some(42));
        assert_eq!(from_media_type("Text/Plain; charset=UTF-8"), Some(0));
        assert_eq!(from_media_type("application/cose; cose-type=\"cose-sign1\""), Some(18));
        assert_eq!(from_media_type("application/cose"), None);
        assert_eq!(from_media_type("application/octet-stream; boundary=x"), None);
        assert_eq!(from_media_type("video/mp4"), None);
        assert_eq!(from_media_type(""), None);
    }
}
