//! Finds what is missing of a segment from parity symbols ([`sixfold_profile::parity`]).
//!
//! Every parity symbol is an equation over GF(2): the XOR of what is missing is the symbol, less what is known of it. The
//! equations are kept as rows of a matrix in reduced echelon form (Gauss-Jordan), with a column for each symbol that was missing
//! when the first one came. A block that comes later is an equation too. When there are as many rows as columns each row is a
//! symbol. Nothing here writes flash, or says that a symbol is right: that is a matter of its chunk's digest.
//!
//! The memory, which is the caller's:
//!
//! ```text
//! | columns: which symbol, 2 bytes each | a row that is being made | row of column 0 | row of column 1 | ...
//! a row: a bit for each column, then a symbol
//! ```

use super::map::UNIT;
use core::ops::Range;
use sixfold_profile::coap::Szx;
use sixfold_profile::parity::{Parity, SYMBOLS, word};

/// The equations of one segment.
#[derive(Debug)]
pub(super) struct Decoder<'t> {
    memory: &'t mut [u8],
    /// How many symbols were missing; none: it has not begun.
    columns: u32,
    /// How many rows there are.
    rank: u32,
    /// The first symbol of the segment.
    first: u32,
    szx: Szx,
}

impl<'t> Decoder<'t> {
    pub(super) const fn new(memory: &'t mut [u8]) -> Self {
        Self { memory, columns: 0, rank: 0, first: 0, szx: Szx::MAX }
    }

    /// The bytes that so many missing symbols take.
    pub(super) const fn size(columns: u32, szx: Szx) -> usize {
        2 * columns as usize + (columns as usize + 1) * row_length(columns, szx)
    }

    /// Whether there is room for so many.
    pub(super) const fn has_room(&self, columns: u32, szx: Szx) -> bool {
        columns <= SYMBOLS && Self::size(columns, szx) <= self.memory.len()
    }

    /// Whether it has begun with this segment and block size.
    pub(super) const fn is_of(&self, first: u32, szx: Szx) -> bool {
        self.columns > 0 && self.first == first && self.szx.exponent() == szx.exponent()
    }

    /// Whether it has begun with blocks of this size.
    pub(super) const fn is_of_size(&self, szx: Szx) -> bool {
        self.is_of(self.first, szx)
    }

    /// Forgets everything.
    pub(super) const fn forget(&mut self) {
        self.columns = 0;
        self.rank = 0;
    }

    /// Begins with a segment whose missing symbols are these, if there is room for them.
    pub(super) fn begin(&mut self, first: u32, szx: Szx, missing: impl Iterator<Item = u32> + Clone) {
        self.forget();
        let columns = missing.clone().count() as u32;
        if !self.has_room(columns, szx) {
            return;
        }
        self.memory.fill(0);
        for (place, symbol) in self.memory.as_chunks_mut().0.iter_mut().zip(missing) {
            // Segments have 2048 symbols at most.
            *place = ((symbol - first) as u16).to_be_bytes();
        }
        (self.columns, self.first, self.szx) = (columns, first, szx);
    }

    /// How many more equations are needed.
    pub(super) const fn lacks(&self) -> u32 {
        self.columns - self.rank
    }

    /// Whether every symbol is known.
    pub(super) const fn is_solved(&self) -> bool {
        self.columns > 0 && self.rank == self.columns
    }

    /// Where the symbols that were missing are in the image.
    pub(super) fn offsets(&self) -> impl Iterator<Item = u32> {
        (0..self.columns).filter_map(|column| self.symbol(column)).map(|symbol| symbol << self.szx.bits())
    }

    /// Takes a parity symbol. `known` adds 64 bytes of the image, from this offset on, to what it is given; there are
    /// `image_size` bytes. True when it told something new.
    ///
    /// # Errors
    /// Those of `known`; then nothing is taken.
    pub(super) fn take_parity<E>(
        &mut self,
        parity: &Parity<'_>,
        image_size: u32,
        mut known: impl FnMut(u32, &mut [u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.clear(parity.symbol);
        let mut column = 0;
        let mut bits = 0;
        for place in 0..SYMBOLS {
            let offset = (self.first + place) << self.szx.bits();
            if offset >= image_size {
                break;
            }
            bits = if place & 31 == 0 { word(parity.seed, (place >> 5) as u8) } else { bits >> 1 };
            let is_in = bits & 1 != 0;
            if self.symbol(column) == Some(self.first + place) {
                if is_in {
                    self.set(column);
                }
                column += 1;
            } else if is_in {
                self.add_known(offset, image_size, &mut known)?;
            }
        }
        Ok(self.insert())
    }

    /// Takes a block, if it was missing.
    pub(super) fn take_block(&mut self, num: u32, payload: &[u8]) {
        if let Some(column) = (0..self.columns).find(|column| self.symbol(*column) == Some(num)) {
            self.clear(payload);
            self.set(column);
            self.insert();
        }
    }

    /// The 64 bytes of the image from this offset on, once all symbols are known.
    pub(super) fn solved(&self, offset: u32) -> Option<&[u8; UNIT]> {
        let symbol = offset >> self.szx.bits();
        let column = (0..self.columns).find(|column| self.symbol(*column) == Some(symbol))?;
        let within = offset as usize & (self.szx.size() - 1);
        self.memory.get(self.data(column + 1)).and_then(|data| data.get(within..)?.first_chunk())
    }

    /// The symbol of a column.
    fn symbol(&self, column: u32) -> Option<u32> {
        let columns = self.memory.as_chunks().0.get(..self.columns as usize)?;
        columns.get(column as usize).map(|place| self.first + u32::from(u16::from_be_bytes(*place)))
    }

    /// Where a row is: 0 is the one that is being made, behind it are those of the columns.
    const fn row(&self, row: u32) -> Range<usize> {
        let length = row_length(self.columns, self.szx);
        let start = 2 * self.columns as usize + row as usize * length;
        start..start + length
    }

    /// Where the symbol of a row is.
    const fn data(&self, row: u32) -> Range<usize> {
        let Range { end, .. } = self.row(row);
        end - self.szx.size()..end
    }

    /// The row that is being made: no column, and these bytes.
    fn clear(&mut self, symbol: &[u8]) {
        let (row, data) = (self.row(0), self.data(0));
        self.memory.get_mut(row).into_iter().for_each(|row| row.fill(0));
        let data = self.memory.get_mut(data).into_iter().flatten();
        data.zip(symbol).for_each(|(to, from)| *to = *from);
    }

    fn add_known<E>(
        &mut self,
        offset: u32,
        image_size: u32,
        known: &mut impl FnMut(u32, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let data = self.data(0);
        let (units, _) = self.memory.get_mut(data).unwrap_or_default().as_chunks_mut::<UNIT>();
        let mut offset = offset;
        for unit in units {
            // The last symbol is filled up with zeros.
            let length = UNIT.min(image_size.saturating_sub(offset) as usize);
            if length == 0 {
                break;
            }
            known(offset, unit.get_mut(..length).unwrap_or_default())?;
            offset += UNIT as u32;
        }
        Ok(())
    }

    /// Puts the row that was made among the others; false when it says nothing new.
    fn insert(&mut self) -> bool {
        // No row has another one's column: once through is enough.
        for column in 0..self.columns {
            if self.has(0, column) && self.has(column + 1, column) {
                self.add(column + 1, 0);
            }
        }
        let Some(pivot) = (0..self.columns).find(|column| self.has(0, *column)) else { return false };
        // There are zeros so far.
        self.add(0, pivot + 1);
        for column in 0..self.columns {
            if column != pivot && self.has(column + 1, pivot) {
                self.add(pivot + 1, column + 1);
            }
        }
        self.rank += 1;
        true
    }

    fn add(&mut self, from: u32, to: u32) {
        let rows = [self.row(from), self.row(to)];
        if let Ok([from, to]) = self.memory.get_disjoint_mut(rows) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to ^= *from);
        }
    }

    fn has(&self, row: u32, column: u32) -> bool {
        let place = self.row(row).start + (column >> 3) as usize;
        self.memory.get(place).is_some_and(|byte| byte >> (column & 7) & 1 != 0)
    }

    fn set(&mut self, column: u32) {
        let place = self.row(0).start + (column >> 3) as usize;
        self.memory.get_mut(place).into_iter().for_each(|byte| *byte |= 1 << (column & 7));
    }
}

const fn row_length(columns: u32, szx: Szx) -> usize {
    (columns as usize + 7) / 8 + szx.size()
}
