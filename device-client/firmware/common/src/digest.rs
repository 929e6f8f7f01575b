//! The digest of a part of flash.

use core::ops::Range;
use embedded_storage::nor_flash::ReadNorFlash;
use hmac_sha256::Hash;

const WINDOW: usize = 64;

/// The SHA-256 of the bytes in `range`; reads them singly, so that READ_SIZE must be 1.
///
/// # Errors
/// Those of the flash.
pub fn sha256<F: ReadNorFlash>(flash: &mut F, range: Range<u32>) -> Result<[u8; 32], F::Error> {
    let mut hash = Hash::new();
    let mut window = [0; WINDOW];
    for offset in range.clone().step_by(WINDOW) {
        let length = WINDOW.min(range.end.saturating_sub(offset) as usize);
        let piece = window.get_mut(..length).unwrap_or_default();
        flash.read(offset, piece)?;
        hash.update(piece);
    }
    Ok(hash.finalize())
}
