//! The chunks of a member: looked through after a reset, opened before the first of them is written, judged when they are whole.
//!
//! A chunk is open when it was erased for this image and the journal says so.

use super::super::core::{Boot, Cause, Event};
use super::super::map::{UNIT, UNIT_BITS, units};
use super::super::parity::Solution;
use super::super::record::{ERASED, Expected, round_up, would_be, write};
use super::{Listen, Proof, coarse};
use core::ops::Range;
use embedded_storage::nor_flash::NorFlash;
use sixfold_profile::Instant;

impl<F: NorFlash> Boot<'_, F> {
    /// The next chunk after a reset: is it there, or how much of it is?
    pub(super) fn look(&mut self, now: Instant) -> Result<(), F::Error> {
        let (chunk, range) = (self.chunk, self.range(self.chunk));
        if chunk == 0 {
            self.listen.done = 0;
        }
        let is_marked = self.record.is_marked(&mut self.flash, chunk)?;
        if is_marked || self.is_whole(chunk)? {
            // It came before the power went, or its mark was torn, or the old image has the same bytes here.
            self.record.mark(&mut self.flash, chunk)?;
            self.listen.done += 1;
            self.listen.map.fill(&range, false);
        } else if !self.is_open(chunk)? {
            self.listen.map.fill(&range, true);
        } else if !self.find_missing(&range)? {
            self.reopen(chunk, &range)?;
        }
        self.chunk += 1;
        if self.chunk < self.record.chunks() {
            return Ok(());
        }
        self.listen.useful = coarse(now);
        self.hold_back(now);
        self.progress(now)
    }

    fn is_open(&mut self, chunk: u32) -> Result<bool, F::Error> {
        let opening = self.record.opening(chunk);
        self.record.is_marked(&mut self.flash, opening)
    }

    /// Looks for what is missing of an open chunk. False when nothing is, although it is wrong.
    fn find_missing(&mut self, range: &Range<u32>) -> Result<bool, F::Error> {
        for unit in range.start >> UNIT_BITS..units(range.end) {
            let mut piece = [0; UNIT];
            self.flash.read(self.slot + (unit << UNIT_BITS), &mut piece)?;
            self.listen.map.set(unit, piece.iter().all(|byte| *byte == ERASED));
        }
        Ok(self.listen.map.misses(range))
    }

    /// Opens a chunk before the first of it is written. (Where the note of an opening was torn, the chunk is open for as long as
    /// something of it is known to be there.)
    pub(super) fn open_first(&mut self, chunk: u32, range: &Range<u32>) -> Result<(), F::Error> {
        if self.listen.map.misses_all(range) && !self.is_open(chunk)? {
            self.open(chunk, range)?;
        }
        Ok(())
    }

    /// Opens a chunk again that was wrong: all of it is missing then.
    fn reopen(&mut self, chunk: u32, range: &Range<u32>) -> Result<(), F::Error> {
        self.listen.map.fill(range, true);
        // What was known of it is in the equations.
        self.listen.forget_equations();
        self.open(chunk, range)
    }

    /// Erases a chunk, and notes that it is open.
    fn open(&mut self, chunk: u32, range: &Range<u32>) -> Result<(), F::Error> {
        let end = round_up(range.end, F::ERASE_SIZE as u32).unwrap_or(range.end);
        self.flash.erase(self.slot + range.start, self.slot + end)?;
        let opening = self.record.opening(chunk);
        self.record.mark(&mut self.flash, opening)
    }

    fn is_whole(&mut self, chunk: u32) -> Result<bool, F::Error> {
        let range = self.range(chunk);
        self.record.is_right(&mut self.flash, chunk, self.slot + range.start..self.slot + range.end)
    }

    /// Judges a chunk of which all is there.
    pub(super) fn judge(&mut self, now: Instant, chunk: u32, is_solved: bool) -> Result<(), F::Error> {
        // What was solved has its digest already, and was read back.
        if is_solved || self.is_whole(chunk)? {
            self.record.mark(&mut self.flash, chunk)?;
            self.failures = 0;
            self.listen.done += 1;
            self.listen.is_distrustful &= is_solved;
            return self.progress(now);
        }
        self.reopen(chunk, &self.range(chunk))?;
        if self.failures > 0 {
            // Not again and again: flash wears out.
            self.listen.is_deaf = true;
            self.give_up(now, Cause::WrongChunk);
            return Ok(());
        }
        self.failures = 1;
        self.resume(now);
        self.listen.event = Some(Event::Sleep { cause: Cause::WrongChunk, until: self.until });
        Ok(())
    }

    /// Writes the next chunk of those that parity symbols made whole, if its digest says that they did.
    pub(super) fn use_solution(&mut self, now: Instant) -> Result<(), F::Error> {
        self.finish_equations()?;
        let Listen { decoder, map, .. } = &self.listen;
        let chunk = decoder.missing(map).map(|offset| offset >> self.chunk_size.exponent());
        if let Some(chunk) = chunk {
            let range = self.range(chunk);
            if self.is_solution_right(chunk, &range)? {
                self.open_first(chunk, &range)?;
                let is_written = self.write_solution(&range)?;
                return self.judge(now, chunk, is_written);
            }
            self.listen.is_distrustful = true;
        }
        self.listen.forget_equations();
        self.resume(now);
        Ok(())
    }

    /// What was found of an encrypted image is decrypted, once.
    #[cfg(feature = "encrypted")]
    fn finish_equations(&mut self) -> Result<(), F::Error> {
        let Self { listen: Listen { decoder, .. }, flash, slot, image_size, content, .. } = self;
        let keystream = |offset, bytes: &mut [u8]| content.apply(offset, bytes);
        let known = |offset, to: &mut [u8]| {
            let mut piece = [0; UNIT];
            flash.read(*slot + offset, &mut piece)?;
            content.apply(offset, &mut piece);
            to.iter_mut().zip(piece).for_each(|(to, from)| *to ^= from);
            Ok(())
        };
        decoder.finish(*image_size, known, keystream)
    }

    #[cfg(not(feature = "encrypted"))]
    #[inline(always)] // there is nothing to be called
    const fn finish_equations(&mut self) -> Result<(), F::Error> {
        Ok(())
    }

    /// Whether a chunk would be right with what was found of it. If nothing else is missing the digest of the image says that of
    /// all chunks at once, and the image is not hashed again.
    fn is_solution_right(&mut self, chunk: u32, range: &Range<u32>) -> Result<bool, F::Error> {
        let Self { listen: Listen { decoder, map, proof, .. }, flash, slot, record, .. } = self;
        let solution = Solution { decoder, map };
        if *proof == Proof::Unknown {
            let image = 0..self.image_size;
            let is_right = solution.is_all(&image)
                && would_be(flash, *slot, &image, Expected::Is(self.image_digest), &solution)?;
            *proof = if is_right { Proof::Right } else { Proof::None };
        }
        Ok(*proof == Proof::Right || would_be(flash, *slot, range, record.digest(chunk), &solution)?)
    }

    /// Writes what was found of a chunk; true when flash took it.
    fn write_solution(&mut self, range: &Range<u32>) -> Result<bool, F::Error> {
        let Self { listen: Listen { decoder, map, .. }, flash, slot, .. } = self;
        let mut is_written = true;
        for unit in range.start >> UNIT_BITS..units(range.end) {
            let offset = unit << UNIT_BITS;
            if let Some(piece) = decoder.solved(offset).filter(|_| map.is_missing(unit)) {
                map.set(unit, false);
                let length = UNIT.min((range.end - offset) as usize);
                let mut back = [0; UNIT];
                write(flash, *slot + offset, piece.get(..length).unwrap_or_default())?;
                flash.read(*slot + offset, &mut back)?;
                is_written &= back.get(..length) == piece.get(..length);
            }
        }
        Ok(is_written)
    }
}
