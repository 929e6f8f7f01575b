//! The flash of a simulated device: what it holds and how long its operations take, and the work on what is read and written, without
//! a copy of the image in each.
//!
//! Pages are shared until they differ. A page that has become the image's is shared again, so that ten thousand devices
//! fit into memory.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use std::sync::Arc;
use std::time::Duration;

/// The size of an erase page in bytes, as in most microcontrollers with an 802.15.4 radio.
pub(super) const PAGE: usize = 4096;
/// The smallest that is written of an image at a time, in bytes (RFC 7959 §2.2).
const SMALLEST_BLOCK: usize = 16;
/// The size of a write unit in bytes.
const WORD: usize = 4;

/// Times of an nRF52840 (its product specification, NVMC electrical specification).
const ERASE_PAGE: Duration = Duration::from_millis(85);
const WRITE_WORD: Duration = Duration::from_micros(41);
/// To read a word and add it to a parity symbol takes 8 cycles, at 64 MHz.
const READ_WORD: Duration = Duration::from_nanos(125);
/// SHA-256 in small code takes about 64 cycles a byte.
const HASH_PAGE: Duration = Duration::from_micros(PAGE as u64);
/// AES-128 in small code takes some 11 500 cycles a block, reckoned from the instructions of the boot core for a Cortex-M0.
const AES_BLOCK: Duration = Duration::from_micros(180);
const AES_BYTES: usize = 16;
/// What the boot program's core reads at once.
const PIECE: usize = 64;
/// How many reads of one page in ascending order are a hash. All of it are 64; parity symbols are made of about half.
const HASHED_READS: u32 = 48;

type Page = [u8; PAGE];

/// Flash whose slot begins at page `slot`, for the image that `image` is made of.
#[derive(Clone, Debug)]
pub(super) struct Flash {
    pages: Vec<Arc<Page>>,
    erased: Arc<Page>,
    slot: usize,
    image: Arc<[Arc<Page>]>,
    spent: Duration,
    /// Bytes of the image that were there and were erased.
    discarded: u64,
    /// How many reads in ascending order there were within a page, and where the last one was.
    reads: (u32, usize),
    /// The image is decrypted when it is written.
    is_encrypted: bool,
    /// Reads of the slot since the time was taken.
    slot_reads: usize,
}

/// An operation that no correct program makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misuse;

impl NorFlashError for Misuse {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Flash {
    /// Erased flash with `records` pages before the slot, and a slot for `image`.
    pub(super) fn new(records: usize, image: &[u8], is_encrypted: bool) -> Self {
        let erased = Arc::new([0xff; PAGE]);
        let image: Arc<[Arc<Page>]> = image.chunks(PAGE).map(padded).collect();
        let pages = vec![erased.clone(); records + image.len()];
        Self {
            pages,
            erased,
            slot: records,
            image,
            spent: Duration::ZERO,
            discarded: 0,
            reads: (0, 0),
            is_encrypted,
            slot_reads: 0,
        }
    }

    /// How long the operations since the last call took, which were those of one input.
    pub(super) fn take_spent(&mut self) -> Duration {
        let reads = std::mem::take(&mut self.slot_reads);
        let (of_chunk, of_image) = (PAGE / PIECE, self.image.len() * PAGE / PIECE);
        // A chunk is hashed, or the whole image. When parity symbols are solved more is read: what is known of an encrypted image is
        // encrypted again then.
        let encrypted = if self.is_encrypted && reads > of_chunk + 1 && reads != of_image {
            reads.min(of_image)
        } else {
            0
        };
        std::mem::take(&mut self.spent) + AES_BLOCK * (encrypted * PIECE / AES_BYTES) as u32
    }

    /// How many bytes of the slot differ from the image.
    pub(super) fn wrong(&self) -> u64 {
        let pairs = self.pages.iter().skip(self.slot).zip(&*self.image);
        let differ = |(page, wanted): (&Arc<Page>, &Arc<Page>)| {
            page.iter().zip(wanted.iter()).filter(|(is, wanted)| is != wanted).count() as u64
        };
        pairs.filter(|(page, wanted)| !Arc::ptr_eq(page, wanted)).map(differ).sum()
    }

    /// How many bytes of the image were there and were erased.
    pub(super) const fn discarded(&self) -> u64 {
        self.discarded
    }

    fn time_to_read(&mut self, offset: usize, bytes: usize) -> Duration {
        let (reads, last) = self.reads;
        let goes_on = offset / PAGE == last / PAGE && offset > last;
        let reads = if goes_on { reads + 1 } else { 1 };
        self.reads = (reads, offset);
        let hash = if reads == HASHED_READS { HASH_PAGE } else { Duration::ZERO };
        READ_WORD * (bytes / WORD) as u32 + hash
    }

    /// What a page is to become; `None` before the slot.
    fn wanted(&self, number: usize) -> Option<&Arc<Page>> {
        number.checked_sub(self.slot).and_then(|number| self.image.get(number))
    }

    fn share(&mut self, number: usize) {
        let wanted = number.checked_sub(self.slot).and_then(|number| self.image.get(number));
        if let Some((page, wanted)) = self.pages.get_mut(number).zip(wanted)
            && page == wanted
        {
            page.clone_from(wanted);
        }
    }
}

/// How many bytes of a page are the image's, in whole blocks: single bytes may be alike by chance.
fn right_bytes((is, wanted): (&Arc<Page>, &Arc<Page>)) -> u64 {
    if Arc::ptr_eq(is, wanted) {
        return PAGE as u64;
    }
    let pairs = is.chunks(SMALLEST_BLOCK).zip(wanted.chunks(SMALLEST_BLOCK));
    (SMALLEST_BLOCK * pairs.filter(|(is, wanted)| is == wanted).count()) as u64
}

fn padded(bytes: &[u8]) -> Arc<Page> {
    let mut page = [0xff; PAGE];
    page.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Arc::new(page)
}

impl ErrorType for Flash {
    type Error = Misuse;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Misuse> {
        let time = self.time_to_read(offset as usize, bytes.len());
        self.spent += time;
        self.slot_reads += usize::from(offset as usize / PAGE >= self.slot);
        let mut at = offset as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let page = self.pages.get(at / PAGE).ok_or(Misuse)?;
            let here = rest.len().min(PAGE - at % PAGE);
            let (now, later) = rest.split_at_mut(here);
            now.copy_from_slice(&page[at % PAGE..][..here]);
            (at, rest) = (at + here, later);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.pages.len() * PAGE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Misuse> {
        for number in from as usize / PAGE..to as usize / PAGE {
            self.spent += ERASE_PAGE;
            self.discarded += self.pages.get(number).zip(self.wanted(number)).map_or(0, right_bytes);
            self.pages.get_mut(number).ok_or(Misuse)?.clone_from(&self.erased);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Misuse> {
        self.spent += WRITE_WORD * (bytes.len() / WORD) as u32;
        if self.is_encrypted && offset as usize / PAGE >= self.slot {
            self.spent += AES_BLOCK * bytes.len().div_ceil(AES_BYTES) as u32;
        }
        for (at, byte) in (offset as usize..).zip(bytes) {
            Arc::make_mut(self.pages.get_mut(at / PAGE).ok_or(Misuse)?)[at % PAGE] &= byte;
        }
        let end = offset as usize + bytes.len();
        if end.is_multiple_of(PAGE) || end >= self.pages.len() * PAGE {
            self.share(offset as usize / PAGE);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_became_the_images_is_shared() {
        let image: Vec<u8> = (0..3 * PAGE).map(|n| (n / 7) as u8).collect();
        let mut flash = Flash::new(2, &image, false);
        assert!(flash.wrong() > 2 * PAGE as u64);
        flash.write(2 * PAGE as u32, &image).unwrap();
        assert_eq!(flash.wrong(), 0);
        assert!(Arc::ptr_eq(&flash.pages[2], &flash.image[0]));
        let mut bytes = [0; 8];
        flash.read(2 * PAGE as u32 + 100, &mut bytes).unwrap();
        assert_eq!(bytes, image[100..108]);
        flash.write(3 * PAGE as u32, &[0; 4]).unwrap();
        assert!(flash.wrong() > 0, "another flash's pages do not change with this one's");
        assert_eq!(flash.image[1][..], image[PAGE..2 * PAGE]);
        assert_eq!(flash.read(u32::MAX, &mut bytes), Err(Misuse));
    }

    #[test]
    fn operations_take_their_time() {
        let mut flash = Flash::new(1, &[1; PAGE], false);
        flash.erase(0, 2 * PAGE as u32).unwrap();
        flash.write(0, &[0; 64]).unwrap();
        assert_eq!(flash.take_spent(), 2 * ERASE_PAGE + 16 * WRITE_WORD);
        assert_eq!(flash.take_spent(), Duration::ZERO);
        let mut piece = [0; 64];
        (0..2 * PAGE as u32).step_by(64).for_each(|at| flash.read(at, &mut piece).unwrap());
        let read = 2 * (PAGE / WORD) as u32 * READ_WORD;
        assert_eq!(flash.take_spent(), read + 2 * HASH_PAGE, "two pages are hashed");
        (0..2 * PAGE as u32).step_by(128).for_each(|at| flash.read(at, &mut piece).unwrap());
        assert_eq!(flash.take_spent(), read / 2, "every other block is added up");
    }

    #[test]
    fn an_encrypted_image_costs_aes_when_it_is_written_and_when_it_is_encrypted_again() {
        let mut flash = Flash::new(1, &[1; 4 * PAGE], true);
        let read = |flash: &mut Flash, pieces: u32| {
            let mut piece = [0; PIECE];
            (0..pieces).for_each(|n| flash.read((PAGE + n as usize * PIECE) as u32, &mut piece).unwrap());
            flash.take_spent() - READ_WORD * (pieces * 16) - HASH_PAGE * (pieces / 64)
        };
        assert_eq!(read(&mut flash, 64), Duration::ZERO, "a chunk is hashed");
        assert_eq!(read(&mut flash, 256), Duration::ZERO, "the image is hashed");
        assert_eq!(read(&mut flash, 192), AES_BLOCK * 4 * 192);
        flash.write(PAGE as u32, &[0; 64]).unwrap();
        assert_eq!(flash.take_spent(), 16 * WRITE_WORD + 4 * AES_BLOCK);
        flash.write(0, &[0; 64]).unwrap();
        assert_eq!(flash.take_spent(), 16 * WRITE_WORD, "the record is not decrypted");
    }

    #[test]
    fn what_is_erased_although_it_was_right_is_counted() {
        let image: Vec<u8> = (0..2 * PAGE).map(|n| (n / 5) as u8).collect();
        let mut flash = Flash::new(1, &image, false);
        flash.erase(0, 3 * PAGE as u32).unwrap();
        assert_eq!(flash.discarded(), 0);
        flash.write(PAGE as u32, &image[..128]).unwrap();
        flash.write(2 * PAGE as u32, &image[PAGE..]).unwrap();
        flash.write(PAGE as u32 + 512, &[0; 64]).unwrap();
        flash.erase(PAGE as u32, 3 * PAGE as u32).unwrap();
        assert_eq!(flash.discarded(), 128 + PAGE as u64);
    }
}
