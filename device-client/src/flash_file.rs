//! NOR flash in a file, for boot programs on Linux and for tests.
//!
//! The file holds the flash byte for byte, and behind it a trailer that says how it is laid out. It behaves as flash does:
//! bits are cleared by writes and set by erasing whole pages, and nothing else. What was written is on the disk when the
//! call returns, so that a power cut loses nothing that a device would keep.

use crate::boot::{Layout, Record};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use sixfold_profile::index::{ChunkSize, DIGEST};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::prelude::v1::*;

/// The size of an erase page in bytes.
pub const PAGE: u32 = 4096;
/// The size of a write unit in bytes.
pub const WRITE_UNIT: u32 = 4;

/// How many bytes there are behind the flash.
pub const TRAILER: usize = 16;
const MAGIC: [u8; 4] = *b"S6FF";
const ERASED: u8 = 0xff;

/// Flash in a file, with its layout. Locked for as long as it lives: one process a file.
#[derive(Debug)]
pub struct FlashFile {
    file: File,
    layout: Layout,
    capacity: u32,
}

/// Why the flash failed: this machine, or a program that does not know what flash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The file cannot be read or written.
    Io(ErrorKind),
    /// A write would set bits: the page was not erased.
    NotErased(u32),
    /// A write that is not made of whole units, or an erasure not of whole pages.
    NotAligned(u32),
    /// Behind the end.
    OutOfBounds(u32),
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(kind) => write!(f, "{kind}"),
            Self::NotErased(offset) => write!(f, "a write at {offset:#x} to flash that was not erased"),
            Self::NotAligned(offset) => write!(f, "an operation at {offset:#x} that is not aligned"),
            Self::OutOfBounds(offset) => write!(f, "an operation at {offset:#x}, behind the end"),
        }
    }
}

impl std::error::Error for FlashError {}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned(_) => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds(_) => NorFlashErrorKind::OutOfBounds,
            Self::Io(_) | Self::NotErased(_) => NorFlashErrorKind::Other,
        }
    }
}

impl From<io::Error> for FlashError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// How large the parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The size of a slot in bytes: whole pages.
    pub slot_bytes: u32,
    /// Whether there are two.
    pub two_slots: bool,
    /// Whether the records have room for the counts of sessions. Files from before there were any have not.
    pub sessions: bool,
}

impl Geometry {
    /// Both records, then the slots. `None` when there is no slot, it is not made of whole pages, or all together has more
    /// than 2³² bytes.
    pub fn layout(self) -> Option<Layout> {
        let Self { slot_bytes, two_slots, sessions } = self;
        if slot_bytes == 0 || !slot_bytes.is_multiple_of(PAGE) {
            return None;
        }
        let record = Record::size(slot_bytes, ChunkSize::from_bytes(PAGE)?, PAGE, WRITE_UNIT, sessions)?;
        let [a, b] = [record, record.checked_mul(2)?];
        let slot = b..b.checked_add(slot_bytes)?;
        let records = [0..a, a..b];
        if !two_slots {
            return Some(Layout::single(records, slot));
        }
        let second = slot.end..slot.end.checked_add(slot_bytes)?;
        Some(Layout { records, slots: [slot, second] })
    }

    /// The trailer of a file with this geometry.
    pub fn encode(self) -> [u8; TRAILER] {
        let mut trailer = [0; TRAILER];
        trailer[..4].copy_from_slice(&MAGIC);
        trailer[4..8].copy_from_slice(&self.slot_bytes.to_be_bytes());
        trailer[8] = u8::from(self.two_slots);
        trailer[9] = u8::from(self.sessions);
        trailer
    }

    /// What a trailer says; `None` when it is none.
    pub fn decode(trailer: &[u8; TRAILER]) -> Option<Self> {
        let [_, _, _, _, a, b, c, d, slots, sessions, ..] = *trailer;
        let slot_bytes = u32::from_be_bytes([a, b, c, d]);
        let geometry = Self { slot_bytes, two_slots: slots == 1, sessions: sessions == 1 };
        (geometry.encode() == *trailer).then_some(geometry)
    }
}

fn capacity(layout: &Layout) -> u32 {
    layout.slots.iter().map(|slot| slot.end).max().unwrap_or(0)
}

impl FlashFile {
    /// Makes erased flash in a new file, writes into it what `fill` does (the image of a factory, say), and gives it its name then:
    /// whatever fails, and a power cut, leave no file of this name.
    ///
    /// # Errors
    /// When the file exists, cannot be made or filled, or `geometry` has no layout ([`ErrorKind::InvalidInput`]).
    pub fn create(
        path: &Path,
        geometry: Geometry,
        fill: impl FnOnce(&mut Self) -> Result<(), FlashError>,
    ) -> io::Result<Self> {
        let layout = geometry.layout().ok_or(ErrorKind::InvalidInput)?;
        let capacity = capacity(&layout);
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let unnamed = tempfile::Builder::new()
            .prefix(".sixfold-")
            .make_in(folder, |path| Self::options().create_new(true).open(path))?;
        let (file, unnamed) = unnamed.into_parts();
        lock(&file)?;
        let page = [ERASED; PAGE as usize];
        for start in (0..capacity).step_by(PAGE as usize) {
            file.write_all_at(&page, start.into())?;
        }
        file.write_all_at(&geometry.encode(), capacity.into())?;
        let mut flash = Self { file, layout, capacity };
        fill(&mut flash).map_err(|error| match error {
            FlashError::Io(kind) => kind.into(),
            other => io::Error::new(ErrorKind::InvalidInput, other),
        })?;
        unnamed.persist_noclobber(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()?;
        Ok(flash)
    }

    /// Opens flash that [`FlashFile::create`] made.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] when it is none, [`ErrorKind::WouldBlock`] when another process has it, and whatever the
    /// system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Self::options().open(path)?;
        lock(&file)?;
        let length = file.metadata()?.len();
        let flash = length.checked_sub(TRAILER as u64).ok_or(ErrorKind::InvalidData)?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, flash)?;
        let layout = Geometry::decode(&trailer).and_then(Geometry::layout).ok_or(ErrorKind::InvalidData)?;
        let capacity = capacity(&layout);
        if u64::from(capacity) != flash {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(Self { file, layout, capacity })
    }

    /// Where everything is.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    fn options() -> OpenOptions {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(nix::fcntl::OFlag::O_DSYNC.bits());
        options
    }

    fn check(&self, offset: u32, length: usize, unit: u32) -> Result<(), FlashError> {
        let end = u32::try_from(length).ok().and_then(|length| offset.checked_add(length));
        if end.is_none_or(|end| end > self.capacity) {
            return Err(FlashError::OutOfBounds(offset));
        }
        let is_whole = offset.is_multiple_of(unit) && length.is_multiple_of(unit as usize);
        if is_whole { Ok(()) } else { Err(FlashError::NotAligned(offset)) }
    }
}

fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => ErrorKind::WouldBlock.into(),
        TryLockError::Error(error) => error,
    })
}

impl ErrorType for FlashFile {
    type Error = FlashError;
}

impl ReadNorFlash for FlashFile {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.check(offset, bytes.len(), 1)?;
        Ok(self.file.read_exact_at(bytes, offset.into())?)
    }

    fn capacity(&self) -> usize {
        self.capacity as usize
    }
}

impl NorFlash for FlashFile {
    const WRITE_SIZE: usize = WRITE_UNIT as usize;
    const ERASE_SIZE: usize = PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let length = to.checked_sub(from).ok_or(FlashError::OutOfBounds(from))?;
        self.check(from, length as usize, PAGE)?;
        for start in (from..to).step_by(PAGE as usize) {
            self.file.write_all_at(&[ERASED; PAGE as usize], start.into())?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.check(offset, bytes.len(), WRITE_UNIT)?;
        let mut before = vec![0; bytes.len()];
        self.file.read_exact_at(&mut before, offset.into())?;
        let sets_bits = before.iter().zip(bytes).any(|(before, byte)| byte & !before != 0);
        if sets_bits {
            return Err(FlashError::NotErased(offset));
        }
        Ok(self.file.write_all_at(bytes, offset.into())?)
    }
}

const _: () = assert!(DIGEST.is_multiple_of(WRITE_UNIT as usize), "the chunk index is made of whole units");

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_profile::record::RecordLayout;

    const GEOMETRY: Geometry = Geometry { slot_bytes: 8 * PAGE, two_slots: true, sessions: true };

    #[test]
    fn bits_are_only_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flash");
        let mut flash = FlashFile::create(&path, GEOMETRY, |_| Ok(())).unwrap();
        flash.write(8, &[0xf0; 8]).unwrap();
        flash.write(8, &[0x70; 4]).unwrap();
        assert_eq!(flash.write(8, &[0x71, 0, 0, 0]), Err(FlashError::NotErased(8)));
        let mut bytes = [0; 12];
        flash.read(6, &mut bytes).unwrap();
        assert_eq!(bytes, [0xff, 0xff, 0x70, 0x70, 0x70, 0x70, 0xf0, 0xf0, 0xf0, 0xf0, 0xff, 0xff]);
        flash.erase(0, PAGE).unwrap();
        flash.read(6, &mut bytes).unwrap();
        assert_eq!(bytes, [0xff; 12]);
    }

    #[test]
    fn what_is_not_aligned_or_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut flash = FlashFile::create(&folder.path().join("flash"), GEOMETRY, |_| Ok(())).unwrap();
        let end = flash.capacity() as u32;
        assert_eq!(flash.write(2, &[0; 4]), Err(FlashError::NotAligned(2)));
        assert_eq!(flash.write(0, &[0; 3]), Err(FlashError::NotAligned(0)));
        assert_eq!(flash.erase(0, 100), Err(FlashError::NotAligned(0)));
        assert_eq!(flash.erase(PAGE, 0), Err(FlashError::OutOfBounds(PAGE)));
        assert_eq!(flash.erase(end, end + PAGE), Err(FlashError::OutOfBounds(end)));
        assert_eq!(flash.read(end, &mut [0]), Err(FlashError::OutOfBounds(end)));
        assert_eq!(flash.read(u32::MAX, &mut [0; 2]), Err(FlashError::OutOfBounds(u32::MAX)));
    }

    #[test]
    fn it_is_found_again_and_belongs_to_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flash");
        let mut flash = FlashFile::create(&path, GEOMETRY, |_| Ok(())).unwrap();
        flash.write(0, b"kept").unwrap();
        assert_eq!(FlashFile::open(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(flash);
        let mut again = FlashFile::open(&path).unwrap();
        assert_eq!(again.layout(), &GEOMETRY.layout().unwrap());
        let mut bytes = [0; 4];
        again.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"kept");
        let taken = FlashFile::create(&path, GEOMETRY, |_| Ok(())).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        again.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"kept");
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flash");
        let full = |_: &mut FlashFile| Err(FlashError::Io(ErrorKind::StorageFull));
        assert_eq!(FlashFile::create(&path, GEOMETRY, full).unwrap_err().kind(), ErrorKind::StorageFull);
        let crooked = |flash: &mut FlashFile| flash.write(1, b"1234");
        assert_eq!(FlashFile::create(&path, GEOMETRY, crooked).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut flash = FlashFile::create(&path, GEOMETRY, |flash| flash.write(0, b"made")).unwrap();
        let mut bytes = [0; 4];
        flash.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"made");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the flash");
    }

    /// `sixfold-publish inspect` reads these files without this crate.
    #[test]
    fn the_layout_in_the_file_is_the_published_one() {
        for sessions in [false, true] {
            let geometry = Geometry { slot_bytes: 25 * PAGE, two_slots: true, sessions };
            let trailer = [&b"S6FF\x00\x01\x90\x00\x01"[..], &[u8::from(sessions)], &[0; 6]].concat();
            assert_eq!(&geometry.encode()[..], trailer);
            assert_eq!(Geometry::decode(&geometry.encode()), Some(geometry));
            let chunk = ChunkSize::from_bytes(PAGE).unwrap();
            let record =
                RecordLayout::new(0, 25 * PAGE, chunk, PAGE, WRITE_UNIT, sessions).unwrap().count.end;
            assert_eq!(record, if sessions { 4 * PAGE } else { 3 * PAGE });
            let [first, second] = [2 * record, 2 * record + 25 * PAGE];
            let slots = [first..second, second..second + 25 * PAGE];
            assert_eq!(geometry.layout(), Some(Layout { records: [0..record, record..first], slots }));
        }
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut longer = vec![ERASED; 3 * PAGE as usize];
        longer.extend(GEOMETRY.encode());
        for content in [&b""[..], b"short", &[0; 100], &longer] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(FlashFile::open(&path).unwrap_err().kind(), ErrorKind::InvalidData);
        }
        for slot_bytes in [0, 1, PAGE - 1, u32::MAX, u32::MAX - PAGE + 1] {
            assert_eq!(
                Geometry { slot_bytes, two_slots: false, sessions: true }.layout(),
                None,
                "{slot_bytes}"
            );
        }
    }
}
