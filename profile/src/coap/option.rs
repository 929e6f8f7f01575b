//! The CoAP Option Numbers registry (RFC 7252 §12.2 and later documents), and what a number says of itself.

/// RFC 7252 §5.10.8.1
pub const IF_MATCH: u16 = 1;
/// RFC 7252 §5.10.1
pub const URI_HOST: u16 = 3;
/// RFC 7252 §5.10.6
pub const ETAG: u16 = 4;
/// RFC 7252 §5.10.8.2
pub const IF_NONE_MATCH: u16 = 5;
/// RFC 7641 §2
pub const OBSERVE: u16 = 6;
/// RFC 7252 §5.10.1
pub const URI_PORT: u16 = 7;
/// RFC 7252 §5.10.7
pub const LOCATION_PATH: u16 = 8;
/// RFC 8613 §2
pub const OSCORE: u16 = 9;
/// RFC 7252 §5.10.1
pub const URI_PATH: u16 = 11;
/// RFC 7252 §5.10.3
pub const CONTENT_FORMAT: u16 = 12;
/// RFC 7252 §5.10.5, in seconds
pub const MAX_AGE: u16 = 14;
/// RFC 7252 §5.10.1
pub const URI_QUERY: u16 = 15;
/// RFC 8768 §3
pub const HOP_LIMIT: u16 = 16;
/// RFC 7252 §5.10.4
pub const ACCEPT: u16 = 17;
/// RFC 9177 §3.1
pub const Q_BLOCK1: u16 = 19;
/// RFC 7252 §5.10.7
pub const LOCATION_QUERY: u16 = 20;
/// RFC 7959 §2.1
pub const BLOCK2: u16 = 23;
/// RFC 7959 §2.1
pub const BLOCK1: u16 = 27;
/// RFC 7959 §4
pub const SIZE2: u16 = 28;
/// RFC 9177 §3.1
pub const Q_BLOCK2: u16 = 31;
/// RFC 7252 §5.10.2
pub const PROXY_URI: u16 = 35;
/// RFC 7252 §5.10.2
pub const PROXY_SCHEME: u16 = 39;
/// RFC 7252 §5.10.9
pub const SIZE1: u16 = 60;
/// RFC 9175 §2.2
pub const ECHO: u16 = 252;
/// RFC 7967 §2
pub const NO_RESPONSE: u16 = 258;
/// Of this profile, in the range for experiments: what a device misses of a stream; elective, safe, not part of the Cache-Key
pub const MISSING: u16 = 65_020;
/// RFC 9175 §3.2
pub const REQUEST_TAG: u16 = 292;

/// A message with an option of this number that is not understood must be rejected (RFC 7252 §5.4.1).
pub const fn is_critical(number: u16) -> bool {
    number & 1 != 0
}

/// A proxy that does not understand the option must not forward it (RFC 7252 §5.4.2).
pub const fn is_unsafe_to_forward(number: u16) -> bool {
    number & 2 != 0
}

/// The option is not part of the Cache-Key (RFC 7252 §5.4.2).
pub const fn is_no_cache_key(number: u16) -> bool {
    number & 0x1e == 0x1c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_as_in_rfc_7252_table_4() {
        // number, critical, unsafe, no-cache-key
        let table = [
            (IF_MATCH, true, false, false),
            (URI_HOST, true, true, false),
            (ETAG, false, false, false),
            (IF_NONE_MATCH, true, false, false),
            (URI_PORT, true, true, false),
            (LOCATION_PATH, false, false, false),
            (URI_PATH, true, true, false),
            (CONTENT_FORMAT, false, false, false),
            (MAX_AGE, false, true, false),
            (URI_QUERY, true, true, false),
            (ACCEPT, true, false, false),
            (LOCATION_QUERY, false, false, false),
            (PROXY_URI, true, true, false),
            (PROXY_SCHEME, true, true, false),
            (SIZE1, false, false, true),
            (SIZE2, false, false, true),
        ];
        for (number, critical, unsafe_to_forward, no_cache_key) in table {
            assert_eq!(is_critical(number), critical, "{number}");
            assert_eq!(is_unsafe_to_forward(number), unsafe_to_forward, "{number}");
            assert_eq!(is_no_cache_key(number), no_cache_key, "{number}");
        }
    }
}
