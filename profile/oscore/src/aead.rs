//! The AEAD of this crate, AES-CCM-16-64-128 (RFC 9053 §4.2), and what goes into it (RFC 8613 §5.2, §5.4).

use crate::ccm;
use crate::context::MAX_ID;
use crate::sequence::MAX_PARTIAL_IV;
use core::fmt;

/// Bytes of a Sender Key or Recipient Key.
pub const KEY: usize = 16;
/// Bytes of a nonce, and of the Common IV.
pub const NONCE: usize = 13;
/// Bytes that the tag makes a message longer.
pub const TAG: usize = 8;
/// COSE's number of the algorithm.
pub(crate) const ALGORITHM: u8 = 10;

/// The longest plaintext: the length has 16 bits (RFC 3610 §2.2).
const LONGEST: usize = 0xffff;
/// The length in front, and everything but `kid` and Partial IV.
const FIXED: usize = 2 + 19;

/// A key, which no log shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key<'a>(pub(crate) &'a [u8; KEY]);

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Encrypts in place the first `length` bytes of `room` and puts the tag behind them; the length of both, or `None` when
/// there is no room.
pub(crate) fn seal(
    key: Key<'_>,
    nonce: &[u8; NONCE],
    aad: &Aad,
    room: &mut [u8],
    length: usize,
) -> Option<usize> {
    let (text, rest) = room.split_at_mut_checked(length.min(LONGEST))?;
    let place = rest.first_chunk_mut::<TAG>().filter(|_| length <= LONGEST)?;
    *place = ccm::seal(key.0, nonce, aad.as_slice(), text);
    Some(length + TAG)
}

/// Decrypts in place, with the tag at the end of `room`; the plaintext, or `None` when it was not made with this key, nonce
/// and AAD.
pub(crate) fn open<'r>(
    key: Key<'_>,
    nonce: &[u8; NONCE],
    aad: &Aad,
    room: &'r mut [u8],
) -> Option<&'r mut [u8]> {
    let (text, tag) = room.split_last_chunk_mut::<TAG>().filter(|(text, _)| text.len() <= LONGEST)?;
    ccm::open(key.0, nonce, aad.as_slice(), text, tag).then_some(text)
}

/// The nonce of a message (§5.2).
///
/// ```text
///     <- nonce length minus 6 B -> <-- 5 bytes -->
/// +---+-------------------+--------+---------+-----+
/// | S |      padding      | ID_PIV | padding | PIV |----+
/// +---+-------------------+--------+---------+-----+    |
/// +------------------------------------------------+    |
/// |                   Common IV                    |->(XOR)
/// +------------------------------------------------+    |
/// +------------------------------------------------+    |
/// |                     Nonce                      |<---+
/// +------------------------------------------------+
/// ```
///
/// `id` is of who generated the Partial IV, at most 7 bytes.
pub(crate) fn nonce(common_iv: &[u8; NONCE], id: &[u8], piv: &[u8]) -> [u8; NONCE] {
    let mut nonce = *common_iv;
    let [size, rest @ ..] = &mut nonce;
    *size ^= id.len() as u8;
    let (ids, numbers) = rest.split_at_mut_checked(MAX_ID).unwrap_or_default();
    xor(numbers.get_mut(MAX_PARTIAL_IV.saturating_sub(piv.len())..).unwrap_or_default(), piv);
    xor(ids.get_mut(MAX_ID.saturating_sub(id.len())..).unwrap_or_default(), id);
    nonce
}

/// Adds bytes in GF(2), as far as both go.
pub(crate) fn xor(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}

/// The additional authenticated data of a request and its responses (§5.4): `Enc_structure` of COSE (RFC 9052 §5.3) around
/// `aad_array`. No Class I options are defined.
///
/// ```text
/// [ "Encrypt0", h'', bstr .cbor [ 1, [ 10 ], request_kid, request_piv, h'' ] ]
/// ```
///
/// CCM wants its length in front, in two bytes (RFC 3610 §2.2).
pub(crate) struct Aad(Bytes);

impl Aad {
    /// Of the request with this `kid` and Partial IV.
    pub(crate) fn new(kid: &[u8], piv: &[u8]) -> Self {
        let both = kid.len() + piv.len();
        let mut aad = Bytes::new();
        aad.put(&[0, (FIXED - 2 + both) as u8]);
        aad.put(b"\x83\x68Encrypt0\x40");
        aad.put(&[byte_string(7 + both), 0x85, 1, 0x81, ALGORITHM, byte_string(kid.len())]);
        aad.put(kid);
        aad.put(&[byte_string(piv.len())]);
        aad.put(piv);
        aad.put(&[byte_string(0)]);
        Self(aad)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// A few bytes, one behind the other; what is too much is left out.
pub(crate) struct Bytes {
    bytes: [u8; FIXED + MAX_ID + MAX_PARTIAL_IV],
    length: usize,
}

impl Bytes {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; _], length: 0 }
    }

    #[inline(never)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let room = self.bytes.iter_mut().skip(self.length);
        room.zip(bytes).for_each(|(to, from)| *to = *from);
        self.length += bytes.len();
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The head of a CBOR byte string of less than 24 bytes (RFC 8949 §3.1).
pub(crate) const fn byte_string(length: usize) -> u8 {
    0x40 | length as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_additional_data() {
        let aad = Aad::new(&[0xaa; MAX_ID], &[0xff; 5]);
        let expected = b"\x00\x1f\x83\x68Encrypt0\x40\x53\x85\x01\x81\x0a\x47\xaa\xaa\xaa\xaa\xaa\xaa\xaa\x45\xff\xff\xff\xff\xff\x40";
        assert_eq!(aad.as_slice(), expected);
    }

    /// RFC 8613 §5.4, the example.
    #[test]
    fn the_additional_data_of_the_standard() {
        let aad = Aad::new(&[0x00], &[0x25]);
        assert_eq!(aad.as_slice(), b"\x00\x15\x83\x68Encrypt0\x40\x49\x85\x01\x81\x0a\x41\x00\x41\x25\x40");
    }

    /// RFC 8613, Appendix C.1 to C.3, with Partial IV 0; C.4 to C.6, with 20.
    #[test]
    fn the_nonces_of_the_standard() {
        let table: [(u128, &[u8], u8, u128); 9] = [
            (0x46_22d4_dd6d_9441_68ee_fb54_987c, &[], 0, 0x46_22d4_dd6d_9441_68ee_fb54_987c),
            (0x46_22d4_dd6d_9441_68ee_fb54_987c, &[1], 0, 0x47_22d4_dd6d_9441_69ee_fb54_987c),
            (0x46_22d4_dd6d_9441_68ee_fb54_987c, &[], 20, 0x46_22d4_dd6d_9441_68ee_fb54_9868),
            (0xbe_35ae_297d_2dac_e910_c52e_99f9, &[0], 0, 0xbf_35ae_297d_2dac_e910_c52e_99f9),
            (0xbe_35ae_297d_2dac_e910_c52e_99f9, &[1], 0, 0xbf_35ae_297d_2dac_e810_c52e_99f9),
            (0xbe_35ae_297d_2dac_e910_c52e_99f9, &[0], 20, 0xbf_35ae_297d_2dac_e910_c52e_99ed),
            (0x2c_a58f_b85f_f1b8_1c0b_7181_b85e, &[], 0, 0x2c_a58f_b85f_f1b8_1c0b_7181_b85e),
            (0x2c_a58f_b85f_f1b8_1c0b_7181_b85e, &[1], 0, 0x2d_a58f_b85f_f1b8_1d0b_7181_b85e),
            (0x2c_a58f_b85f_f1b8_1c0b_7181_b85e, &[], 20, 0x2c_a58f_b85f_f1b8_1c0b_7181_b84a),
        ];
        let bytes = |number: u128| *number.to_be_bytes().last_chunk::<NONCE>().unwrap();
        for (common_iv, id, number, expected) in table {
            assert_eq!(nonce(&bytes(common_iv), id, &[number]), bytes(expected), "{id:?} {number}");
        }
    }
}
