//! The image on its way to flash: as it came, or decrypted.
//!
//! Flash has the plaintext, and digests are those of the plaintext, so that nothing but the writing of blocks, and parity symbols, knows of
//! encryption. A block is decrypted by its place in the image alone: after a reset nothing has to be found again. Without the feature
//! `encrypted`, the ticket of an encrypted image is none, and so there is nothing to decrypt.

use super::record::write;
use embedded_storage::nor_flash::NorFlash;
#[cfg(feature = "encrypted")]
use sixfold_oscore::Keystream;
use sixfold_profile::ticket::Ticket;

/// What is decrypted at once: a multiple of an AES block, and of every write unit.
#[cfg(feature = "encrypted")]
const PIECE: usize = 64;

/// How blocks of the image become what is in flash.
#[derive(Debug)]
pub(super) struct Content<'t> {
    #[cfg(feature = "encrypted")]
    key: Option<sixfold_profile::ticket::ContentKey<'t>>,
    #[cfg(not(feature = "encrypted"))]
    ticket: core::marker::PhantomData<&'t ()>,
}

#[cfg(feature = "encrypted")]
impl<'t> Content<'t> {
    pub(super) fn new(ticket: &Ticket<'t>) -> Self {
        Self { key: ticket.content_key() }
    }

    #[cfg(feature = "listen")]
    pub(super) const fn is_encrypted(&self) -> bool {
        self.key.is_some()
    }

    /// Writes what came for `offset` of the image that begins at `slot`.
    pub(super) fn write<F: NorFlash>(
        &self,
        flash: &mut F,
        slot: u32,
        offset: u32,
        bytes: &[u8],
    ) -> Result<(), F::Error> {
        if self.key.is_none() {
            return write(flash, slot + offset, bytes);
        }
        for (offset, bytes) in (offset..).step_by(PIECE).zip(bytes.chunks(PIECE)) {
            let mut piece = [0; PIECE];
            let piece = piece.get_mut(..bytes.len()).unwrap_or_default();
            piece.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            self.apply(offset, piece);
            write(flash, slot + offset, piece)?;
        }
        Ok(())
    }

    /// Encrypts or decrypts what stands at `offset` in the image, a multiple of 16.
    #[inline(never)]
    pub(super) fn apply(&self, offset: u32, bytes: &mut [u8]) {
        if let Some(content) = self.key {
            Keystream::new(content.key, content.iv).apply(offset, bytes);
        }
    }
}

#[cfg(not(feature = "encrypted"))]
impl<'t> Content<'t> {
    pub(super) const fn new(_: &Ticket<'t>) -> Self {
        Self { ticket: core::marker::PhantomData }
    }

    #[cfg(feature = "listen")]
    pub(super) const fn is_encrypted(&self) -> bool {
        false
    }

    /// Writes what came for `offset` of the image that begins at `slot`.
    #[inline(always)] // there is nothing to be called
    pub(super) fn write<F: NorFlash>(
        &self,
        flash: &mut F,
        slot: u32,
        offset: u32,
        bytes: &[u8],
    ) -> Result<(), F::Error> {
        write(flash, slot + offset, bytes)
    }
}
