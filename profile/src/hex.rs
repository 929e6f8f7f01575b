//! Bytes as people read them.

use core::fmt;

/// Shows bytes as lower-case hexadecimal digits, two for each byte and nothing between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Hex;
    use std::string::ToString;

    #[test]
    fn every_byte_is_two_lower_case_digits() {
        assert_eq!(Hex(&[0x00, 0x0a, 0xff]).to_string(), "000aff");
        assert_eq!(Hex(&[]).to_string(), "");
    }
}
