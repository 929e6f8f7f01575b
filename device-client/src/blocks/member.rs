//! Requests of a member of a group: Observe, and Q-Block2 (RFC 9177) instead of Block2.

use super::{Blocks, copy};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Full, Options, Writer, option};

impl Blocks<'_> {
    /// [`Blocks::seek`], as a member of a group or as everybody does.
    pub(crate) const fn seek_as(&mut self, is_member: bool, block: Block) {
        self.seek(block);
        self.is_member = is_member;
    }

    /// Whether the block is, or was, asked for as a member.
    pub(crate) const fn is_member(&self) -> bool {
        self.is_member
    }

    /// When the server asked us to come back; zero when it did not.
    pub(crate) const fn pause(&self) -> Instant {
        self.pause
    }

    /// [`Blocks::poll_transmit`], for a member if it asks as one. `list` adds the options Q-Block2, and
    /// when it says so, `rest` what is behind Echo; each with those of the ticket, which they are given, up to there. The others
    /// follow.
    ///
    /// # Errors
    /// As [`Blocks::poll_transmit`].
    pub(crate) fn poll_transmit_with(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        list: impl FnOnce(Block, &mut Options<'_>, &mut Writer<'_>) -> Result<bool, Full>,
        rest: impl FnOnce(Block, &mut Options<'_>, &mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<Option<usize>, Full> {
        let Self { target, exchange, block, is_member, .. } = self;
        #[cfg(feature = "oscore")]
        let echo = &self.echo;
        exchange.poll_transmit(now, buffer, |writer| {
            let (mut options, mut has_rest) = (target.clone(), false);
            if *is_member {
                copy(&mut options, option::OBSERVE, writer)?;
                // To register (RFC 7641 §2).
                writer.uint_option(option::OBSERVE, 0)?;
                has_rest = list(*block, &mut options, writer)?;
            } else {
                copy(&mut options, option::BLOCK2, writer)?;
                writer.uint_option(option::BLOCK2, block.encode())?;
            }
            #[cfg(feature = "oscore")]
            echo.write(&mut options, writer)?;
            if has_rest {
                rest(*block, &mut options, writer)?;
            }
            copy(&mut options, u16::MAX, writer)
        })
    }
}
