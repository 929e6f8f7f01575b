//! Requests of a member of a group: Observe, and Q-Block2 (RFC 9177) instead of Block2.

use super::{Blocks, copy};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Full, Writer, option};

impl Blocks<'_> {
    /// Asks as a member for what begins with this block; what was asked before is forgotten.
    pub(crate) const fn seek_as_member(&mut self, block: Block) {
        self.seek(block);
        self.is_member = true;
    }

    /// Whether the block is, or was, asked for as a member.
    pub(crate) const fn is_member(&self) -> bool {
        self.is_member
    }

    /// [`Blocks::poll_transmit`] for a member. `wanted` adds the Q-Block2 options, the first of which is for the block that is
    /// asked for; `missing` adds what comes after the ticket's options.
    ///
    /// # Errors
    /// As [`Blocks::poll_transmit`].
    pub(crate) fn poll_transmit_as_member(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        wanted: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
        missing: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<Option<usize>, Full> {
        let Self { target, exchange, .. } = self;
        exchange.poll_transmit(now, buffer, |writer| {
            let mut options = target.clone();
            copy(&mut options, option::OBSERVE, writer)?;
            // To register (RFC 7641 §2).
            writer.uint_option(option::OBSERVE, 0)?;
            copy(&mut options, option::Q_BLOCK2, writer)?;
            wanted(writer)?;
            copy(&mut options, option::MISSING, writer)?;
            missing(writer)
        })
    }
}
