//! The contexts that a router compresses addresses with (RFC 6775 §4.2, RFC 6282 §3.1.1).
//!
//! They are only read with: smoltcp writes addresses in full. It has places for four, with prefixes of 64 bits. A
//! context stays until another comes: RFC 6775 §5.4.2 wants old ones to be understood for long.

use crate::message::Options;
use smoltcp::wire::SixlowpanAddressContext;

/// The 6LoWPAN Context option (RFC 6775 §4.2).
const OPTION: u8 = 34;
/// CID is in the lower half of its octet.
const IDENTIFIER: u8 = 0x0f;

/// The contexts, by their identifiers.
pub(crate) type Contexts = [SixlowpanAddressContext; 4];

/// None yet: an address compressed with one is of nobody here.
pub(crate) const NONE: Contexts = [SixlowpanAddressContext([0; 8]); 4];

/// Takes what an advertisement says.
pub(crate) fn advertised(contexts: &mut Contexts, options: Options<'_>) {
    for option in options {
        let Some(([OPTION, _, 1..=64, flags, ..], prefix)) = option.split_first_chunk::<8>() else {
            continue;
        };
        let place = contexts.get_mut(usize::from(flags & IDENTIFIER));
        if let (Some(place), Some(prefix)) = (place, prefix.first_chunk::<8>()) {
            place.0 = *prefix;
        }
    }
}
