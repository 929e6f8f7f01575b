//! CRC-32 as in Ethernet and zlib (ISO/IEC 8802-3): reflected, polynomial 0x04c11db7.
//!
//! It tells torn and worn-out flash from whole flash. It protects against nobody.

const POLYNOMIAL: u32 = 0xedb8_8320;

/// The CRC-32 of `bytes`. Bit by bit: a table would be larger than all that needs it.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL * (crc & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
