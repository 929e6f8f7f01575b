//! UUIDs as object identifiers: 2.25.UUID (ITU-T X.667 clause 7), whose last arc has up to 128 bits.
//!
//! Only the contents octets, without tag and length. The `const-oid` crate stops at 32 bits for each arc.

use uuid::Uuid;

/// The arcs 2 and 25 in one octet (ITU-T X.690 clause 8.19.4).
const JOINT_UUID: u8 = 2 * 40 + 25;
/// The largest UUID takes 19 groups of 7 bits.
const GROUPS: u32 = 19;

/// The contents octets of 2.25.`uuid`.
pub(super) fn encode(uuid: Uuid) -> Vec<u8> {
    let value = uuid.as_u128();
    let significant = (u128::BITS - value.leading_zeros()).div_ceil(7).max(1);
    let group = |number: u32| (value >> (7 * number)) as u8 & 0x7f;
    let arc = (0..significant).rev().map(|number| if number == 0 { group(0) } else { group(number) | 0x80 });
    std::iter::once(JOINT_UUID).chain(arc).collect()
}

/// The UUID of the contents octets of 2.25.UUID; `None` for any other object identifier.
pub(super) fn decode(contents: &[u8]) -> Option<Uuid> {
    let (&JOINT_UUID, arc) = contents.split_first()? else { return None };
    if arc.is_empty() || arc.len() > GROUPS as usize {
        return None;
    }
    let value = arc.iter().try_fold(0_u128, |value, octet| {
        (value >> (u128::BITS - 7) == 0).then_some(value << 7 | u128::from(octet & 0x7f))
    })?;
    let uuid = Uuid::from_u128(value);
    (encode(uuid) == contents).then_some(uuid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;
    use proptest::prelude::*;
    use sixfold_profile::Hex;

    /// The octets are those of `openssl asn1parse -genstr OID:2.25.…`.
    #[test]
    fn the_example_of_x667() {
        let uuid = Uuid::parse_str("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").unwrap();
        assert_eq!(uuid.as_u128(), 329_800_735_698_586_629_295_641_978_511_506_172_918);
        let contents = encode(uuid);
        let text = Hex(&contents).to_string();
        assert_eq!(
            (text.as_str(), decode(&contents)),
            ("6983f09da7ebcfdee0c7a1a7b2c0948cc8f9d776", Some(uuid))
        );
    }

    #[test]
    fn only_the_shortest_form_is_read() {
        assert_eq!(encode(Uuid::nil()), [0x69, 0]);
        assert_eq!(decode(&[0x69, 0]), Some(Uuid::nil()));
        for wrong in [&[][..], &[0x69], &[0x69, 0x80], &[0x69, 0x80, 1], &[0x69, 1, 1], &[0x6a, 1]] {
            assert_eq!(decode(wrong), None, "{wrong:02x?}");
        }
        let mut too_large = vec![0xff; 20];
        (too_large[0], too_large[19]) = (0x69, 0x7f);
        assert_eq!(decode(&too_large), None);
    }

    proptest! {
        #[test]
        fn every_uuid_returns(value: u128) {
            let uuid = Uuid::from_u128(value);
            prop_assert_eq!(decode(&encode(uuid)), Some(uuid));
        }

        #[test]
        fn nothing_else_is_read(contents in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Some(uuid) = decode(&contents) {
                prop_assert_eq!(encode(uuid), contents);
            }
        }
    }
}
