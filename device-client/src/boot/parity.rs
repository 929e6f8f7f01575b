//! Finds what is missing of a segment from parity symbols ([`sixfold_profile::parity`]).
//!
//! Every parity symbol is an equation over GF(2): the XOR of what is missing is the symbol, less what is known of it. The
//! equations are kept as rows of a matrix in echelon form, with a column for each symbol that was missing when the first one came:
//! a row has nothing before its own column, so that all rows together take half of a square. A block that comes later is an equation
//! too. When there are as many rows as columns the later rows are taken out of the earlier ones, and each row is a symbol. Nothing here
//! writes flash, or says that a symbol is right: that is a matter of its chunk's digest.
//!
//! What is known of a segment has to be taken out of every parity symbol. It is in flash; but that of an encrypted image is there in
//! the clear, and parity symbols are of what is encrypted: each would cost the key stream of half a segment. So there the symbols
//! of all rows stay as they came, and only their bits are brought into echelon form. When there are enough, what is known is
//! encrypted again once, symbol by symbol, and taken out of all rows; then the symbols go the way that their bits went
//! ([`Decoder::finish`]).
//!
//! The memory, which is the caller's:
//!
//! ```text
//! | columns: which symbol, 2 bytes each | seeds, 2 bytes each | a row that is being made | row of column 0 | row of column 1 | ...
//! a row: a symbol, then a bit for each column, from the byte on that has the bit of its own
//! ```
//!
//! Seeds are there for an encrypted image alone: what the row of a column came from.

use super::map::{Map, UNIT, UNIT_BITS, units};
use super::wanted::Wanted;
use core::ops::Range;
use sixfold_profile::coap::Szx;
use sixfold_profile::parity::{Parity, SYMBOLS, word};

/// A chunk as it would be with what was found of it.
#[derive(Debug)]
pub(super) struct Solution<'m, 't> {
    pub(super) decoder: &'m Decoder<'t>,
    pub(super) map: &'m Map<'t>,
}

impl Solution<'_, '_> {
    /// The 64 bytes of the image from this offset on, if they are missing and were found.
    pub(super) fn piece(&self, offset: u32) -> Option<&[u8; UNIT]> {
        self.decoder.solved(offset).filter(|_| self.map.is_missing(offset >> UNIT_BITS))
    }

    /// Whether all that is missing of these bytes of the image was found.
    pub(super) fn is_all(&self, range: &Range<u32>) -> bool {
        let mut pieces = range.start >> UNIT_BITS..units(range.end);
        pieces.all(|unit| !self.map.is_missing(unit) || self.decoder.solved(unit << UNIT_BITS).is_some())
    }
}

/// The equations of one segment.
#[derive(Debug)]
pub(super) struct Decoder<'t> {
    memory: &'t mut [u8],
    /// How many symbols were missing; none: it has not begun.
    columns: u32,
    /// How many rows there are.
    rank: u32,
    /// How many of its symbols came as blocks since.
    blocks: u32,
    /// The first symbol of the segment.
    first: u32,
    szx: Szx,
    /// Parity symbols are of what is encrypted, and flash has it in the clear.
    is_encrypted: bool,
    /// The symbols of rows are as they came.
    is_raw: bool,
}

/// In the place of a column: its row came from a block, and not from a parity symbol.
const IS_BLOCK: u16 = 0x8000;

impl<'t> Decoder<'t> {
    pub(super) const fn new(memory: &'t mut [u8], is_encrypted: bool) -> Self {
        let is_raw = false;
        Self { memory, columns: 0, rank: 0, blocks: 0, first: 0, szx: Szx::MAX, is_encrypted, is_raw }
    }

    /// How many bytes of memory `columns` missing symbols take.
    pub(super) const fn size(columns: u32, szx: Szx, is_encrypted: bool) -> usize {
        start(columns, columns + 1, szx, is_encrypted)
    }

    /// Whether there is room for `columns` missing symbols.
    pub(super) const fn has_room(&self, columns: u32, szx: Szx) -> bool {
        columns <= SYMBOLS && Self::size(columns, szx, self.is_encrypted()) <= self.memory.len()
    }

    const fn is_encrypted(&self) -> bool {
        cfg!(feature = "encrypted") && self.is_encrypted
    }

    const fn is_raw(&self) -> bool {
        cfg!(feature = "encrypted") && self.is_raw
    }

    /// For how many of `columns` missing symbols there is no room.
    pub(super) fn excess(&self, columns: u32, szx: Szx) -> u32 {
        let room = (0..columns.min(SYMBOLS)).rev().find(|columns| self.has_room(*columns, szx));
        columns - room.unwrap_or(0)
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
        (self.columns, self.rank, self.blocks) = (0, 0, 0);
    }

    /// Begins with the segment from symbol `first` on, if there is room for what is missing of it.
    pub(super) fn begin(&mut self, first: u32, missing: Wanted<'_, '_>) {
        self.forget();
        let end = first + SYMBOLS;
        let columns = missing.count(first, end);
        if !self.has_room(columns, missing.szx) {
            return;
        }
        self.memory.fill(0);
        let mut symbol = first;
        let (places, _) = self.memory.as_chunks_mut();
        for place in places {
            let Some(missing) = missing.next(symbol, end) else { break };
            // Segments have 2048 symbols.
            *place = ((missing - first) as u16).to_be_bytes();
            symbol = missing + 1;
        }
        (self.columns, self.first, self.szx) = (columns, first, missing.szx);
        self.is_raw = self.is_encrypted;
    }

    /// How many equations came, beside those that say no more than that a block is there.
    pub(super) const fn finds(&self) -> u32 {
        self.rank.saturating_sub(self.blocks)
    }

    /// Whether every symbol is known.
    pub(super) const fn is_solved(&self) -> bool {
        self.columns > 0 && self.rank == self.columns
    }

    /// Where in the image the first symbol is of which something is missing still.
    pub(super) fn missing(&self, map: &Map<'_>) -> Option<u32> {
        let offsets = (0..self.columns).map(|column| self.symbol(column) << self.szx.bits());
        { offsets }.find(|offset| map.misses(&(*offset..offset + self.szx.size() as u32)))
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
        self.set_columns(parity.seed);
        if !self.is_raw() {
            // The hash of the seed is the same for 32 symbols.
            let (mut index, mut bits) = (u32::MAX, 0);
            self.each_known(image_size, |decoder, place, offset| {
                if place >> 5 != index {
                    index = place >> 5;
                    bits = word(parity.seed, index as u8);
                }
                if bits >> (place & 31) & 1 == 0 {
                    return Ok(());
                }
                decoder.add_known(offset, image_size, &mut known)
            })?;
        }
        let found = self.insert();
        if let Some(column) = found {
            self.note(column, parity.seed, 0);
        }
        Ok(found.is_some())
    }

    /// Takes a block, if it was missing.
    pub(super) fn take_block(&mut self, num: u32, payload: &[u8]) {
        if let Some(column) = self.column(num) {
            self.clear(payload);
            self.set(column);
            self.blocks += 1;
            if let Some(found) = self.insert() {
                self.note(found, column as u16, IS_BLOCK);
            }
        }
    }

    /// Makes symbols of the rows of an encrypted image, once there is one for each column; `known` as above, and it adds the key
    /// stream too. `keystream` adds that alone: the symbols are in the clear then.
    ///
    /// # Errors
    /// Those of `known`; the rows are worth nothing then.
    #[cfg(feature = "encrypted")]
    pub(super) fn finish<E>(
        &mut self,
        image_size: u32,
        mut known: impl FnMut(u32, &mut [u8]) -> Result<(), E>,
        keystream: impl Fn(u32, &mut [u8]),
    ) -> Result<(), E> {
        if !self.is_raw() {
            return Ok(());
        }
        self.is_raw = false;
        self.each_known(image_size, |decoder, place, offset| {
            decoder.clear(&[]);
            decoder.add_known(offset, image_size, &mut known)?;
            for column in 0..decoder.columns {
                let (seed, is_block) = decoder.origin(column);
                if !is_block && is_in(seed, place) {
                    decoder.add_symbol(0, column + 1);
                }
            }
            Ok(())
        })?;
        for column in 0..self.columns {
            // The rows before are those that this one's bits were reduced by: with another one missing it would be in that place.
            self.clear(&[]);
            match self.origin(column) {
                (block, true) => self.set(block.into()),
                (seed, false) => self.set_columns(seed),
            }
            for before in 0..column {
                if self.has(0, before) {
                    self.add_bits(before + 1, 0);
                    self.add_symbol(before + 1, column + 1);
                }
            }
        }
        self.solve();
        for column in 0..self.columns {
            let (start, offset) = (self.start(column + 1), self.symbol(column) << self.szx.bits());
            let symbol = self.memory.get_mut(start..start + self.szx.size()).unwrap_or_default();
            keystream(offset, symbol);
        }
        Ok(())
    }

    /// What the row of a column came from: a seed, or the column of a block.
    #[cfg(feature = "encrypted")]
    fn origin(&self, column: u32) -> (u16, bool) {
        let places = self.memory.as_chunks().0;
        let entry = |n: u32| places.get(n as usize).map_or(0, |place| u16::from_be_bytes(*place));
        (entry(self.columns + column), entry(column) & IS_BLOCK != 0)
    }

    /// Remembers it.
    fn note(&mut self, column: u32, origin: u16, kind: u16) {
        if self.is_raw() {
            let (columns, places) = (self.columns as usize, self.memory.as_chunks_mut().0);
            let column = column as usize;
            if let Some(place) = places.get_mut(columns + column) {
                *place = origin.to_be_bytes();
            }
            if let Some(place) = places.get_mut(column) {
                *place = (u16::from_be_bytes(*place) | kind).to_be_bytes();
            }
        }
    }

    /// Sets the columns whose symbols are in the parity symbol of a seed.
    fn set_columns(&mut self, seed: u16) {
        for column in 0..self.columns {
            if is_in(seed, self.symbol(column) - self.first) {
                self.set(column);
            }
        }
    }

    /// Goes through the symbols of the segment that were not missing: each one's place in the segment, and offset in the image.
    fn each_known<E>(
        &mut self,
        image_size: u32,
        mut act: impl FnMut(&mut Self, u32, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut column = 0;
        for place in 0..SYMBOLS {
            let offset = (self.first + place) << self.szx.bits();
            if offset >= image_size {
                break;
            }
            if self.symbol(column) == self.first + place {
                column += 1;
            } else {
                act(self, place, offset)?;
            }
        }
        Ok(())
    }

    /// The 64 bytes of the image from this offset on, once all symbols are known.
    pub(super) fn solved(&self, offset: u32) -> Option<&[u8; UNIT]> {
        let column = self.column(offset >> self.szx.bits())?;
        let within = offset as usize & (self.szx.size() - 1);
        self.memory.get(self.start(column + 1) + within..).and_then(|rest| rest.first_chunk())
    }

    /// The symbol of a column; behind the last one there is none, but no symbol that is one either.
    fn symbol(&self, column: u32) -> u32 {
        match self.memory.as_chunks().0.get(column as usize) {
            Some(place) if column < self.columns => {
                self.first + u32::from(u16::from_be_bytes(*place) & !IS_BLOCK)
            }
            _ => u32::MAX,
        }
    }

    /// The column of a symbol.
    fn column(&self, symbol: u32) -> Option<u32> {
        (0..self.columns).find(|column| self.symbol(*column) == symbol)
    }

    /// Where a row begins: 0 is the one that is being made, behind it are those of the columns.
    #[inline(never)] // like others here, small and called often
    const fn start(&self, row: u32) -> usize {
        start(self.columns, row, self.szx, self.is_encrypted())
    }

    /// The row that is being made, and whatever is behind it.
    #[inline(never)]
    fn made(&mut self) -> &mut [u8] {
        let start = self.start(0);
        self.memory.get_mut(start..).unwrap_or_default()
    }

    /// Begins the row that is being made with these bytes, and no column.
    #[inline(never)]
    fn clear(&mut self, symbol: &[u8]) {
        let length = self.szx.size() + bytes(self.columns);
        self.made().iter_mut().take(length).for_each(|byte| *byte = 0);
        self.made().iter_mut().zip(symbol).for_each(|(to, from)| *to = *from);
    }

    fn add_known<E>(
        &mut self,
        offset: u32,
        image_size: u32,
        known: &mut impl FnMut(u32, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // The last symbol is filled up with zeros.
        let end = image_size.min(offset + self.szx.size() as u32);
        let mut offset = offset;
        let (units, _) = self.made().as_chunks_mut::<UNIT>();
        for unit in units {
            if offset >= end {
                break;
            }
            let length = UNIT.min((end - offset) as usize);
            known(offset, unit.get_mut(..length).unwrap_or_default())?;
            offset += UNIT as u32;
        }
        Ok(())
    }

    /// Puts the row that was made among the others: the column that it is of, or `None` when it says nothing new.
    fn insert(&mut self) -> Option<u32> {
        for column in 0..self.columns {
            if self.has(0, column) {
                if !self.has(column + 1, column) {
                    // There are zeros so far.
                    self.add(0, column + 1);
                    self.rank += 1;
                    if self.is_solved() && !self.is_raw() {
                        self.solve();
                    }
                    return Some(column);
                }
                if self.is_raw() {
                    self.add_bits(column + 1, 0);
                } else {
                    self.add(column + 1, 0);
                }
            }
        }
        None
    }

    /// Takes every row out of those before it.
    fn solve(&mut self) {
        for column in (0..self.columns).rev() {
            for row in 0..column {
                if self.has(row + 1, column) {
                    self.add(column + 1, row + 1);
                }
            }
        }
    }

    /// Adds a row to another one.
    #[inline(never)]
    fn add(&mut self, from: u32, to: u32) {
        self.add_symbol(from, to);
        self.add_bits(from, to);
    }

    fn add_symbol(&mut self, from: u32, to: u32) {
        self.add_bytes(self.start(from), self.start(to), self.szx.size());
    }

    /// Neither row has anything before the later one's first byte.
    fn add_bits(&mut self, from: u32, to: u32) {
        let first = first_byte(if from > to { from } else { to });
        let at = |row: u32| self.start(row) + self.szx.size() + first - first_byte(row);
        let (from, to) = (at(from), at(to));
        self.add_bytes(from, to, bytes(self.columns) - first);
    }

    #[inline(never)]
    fn add_bytes(&mut self, from: usize, to: usize, length: usize) {
        for n in 0..length {
            let byte = self.memory.get(from + n).copied().unwrap_or_default();
            self.memory.get_mut(to + n).into_iter().for_each(|to| *to ^= byte);
        }
    }

    /// Where the byte is in which a row has the bit of a column.
    const fn place(&self, row: u32, column: u32) -> usize {
        self.start(row) + self.szx.size() + (column >> 3) as usize - first_byte(row)
    }

    #[inline(never)]
    fn has(&self, row: u32, column: u32) -> bool {
        self.memory.get(self.place(row, column)).is_some_and(|byte| byte >> (column & 7) & 1 != 0)
    }

    #[inline(never)]
    fn set(&mut self, column: u32) {
        let place = self.place(0, column);
        self.memory.get_mut(place).into_iter().for_each(|byte| *byte |= 1 << (column & 7));
    }
}

/// Whether the symbol at this place of a segment is in the parity symbol of a seed.
fn is_in(seed: u16, place: u32) -> bool {
    word(seed, (place >> 5) as u8) >> (place & 31) & 1 != 0
}

/// Where a row begins, in a decoder of `columns` columns.
const fn start(columns: u32, row: u32, szx: Szx, is_encrypted: bool) -> usize {
    let own = row.saturating_sub(1) as usize;
    // The bytes that the rows before leave out: 8 rows none, 8 rows one each, and so on.
    let (eights, rest) = (own >> 3, own & 7);
    let left_out = 4 * eights * eights.saturating_sub(1) + eights * rest;
    let head = if is_encrypted { 4 } else { 2 };
    head * columns as usize + row as usize * (szx.size() + bytes(columns)) - left_out
}

/// The bytes with a bit for every column.
const fn bytes(columns: u32) -> usize {
    (columns as usize).div_ceil(8)
}

/// Which of them is the first that a row has.
const fn first_byte(row: u32) -> usize {
    (row.saturating_sub(1) >> 3) as usize
}

#[cfg(test)]
mod tests {
    use super::super::map::Map;
    use super::*;
    use core::convert::Infallible;
    use proptest::prelude::*;
    use sixfold_profile::parity::HEADER;
    use std::vec::Vec;

    fn image(length: usize, seed: u32) -> Vec<u8> {
        (0..length as u32).map(|at| ((at ^ seed).wrapping_mul(0x9e37_79b9) >> 23) as u8).collect()
    }

    fn is_in(seed: u16, place: usize) -> bool {
        word(seed, (place / 32) as u8) >> (place % 32) & 1 != 0
    }

    /// What a relay sends, made in the most obvious way.
    fn payload(image: &[u8], segment: u8, seed: u16, szx: Szx) -> Vec<u8> {
        let mut payload = Vec::from(Parity::header(segment, seed));
        payload.resize(HEADER + szx.size(), 0);
        let symbols = image.chunks(szx.size()).skip(usize::from(segment) * SYMBOLS as usize);
        for (place, symbol) in symbols.take(SYMBOLS as usize).enumerate() {
            if is_in(seed, place) {
                payload[HEADER..].iter_mut().zip(symbol).for_each(|(to, from)| *to ^= from);
            }
        }
        payload
    }

    /// The rank of the equations of these seeds over these symbols, by elimination of rows of booleans.
    fn naive_rank(missing: &[u32], seeds: &[u16], known: &[u32]) -> usize {
        let place = |symbol: &u32| *symbol as usize;
        let of_seed =
            |seed: &u16| missing.iter().map(|symbol| is_in(*seed, place(symbol))).collect::<Vec<_>>();
        let of_block = |num: &u32| missing.iter().map(|symbol| symbol == num).collect::<Vec<_>>();
        let mut rows: Vec<Vec<bool>> = seeds.iter().map(of_seed).chain(known.iter().map(of_block)).collect();
        let mut rank = 0;
        for column in 0..missing.len() {
            let Some(pivot) = (rank..rows.len()).find(|row| rows[*row][column]) else { continue };
            rows.swap(rank, pivot);
            let pivot = rows[rank].clone();
            for row in rows.iter_mut().skip(rank + 1).filter(|row| row[column]) {
                row.iter_mut().zip(&pivot).for_each(|(to, from)| *to ^= from);
            }
            rank += 1;
        }
        rank
    }

    /// Encrypts or decrypts, after a fashion.
    fn keystream(offset: u32, bytes: &mut [u8]) {
        bytes
            .iter_mut()
            .zip(offset..)
            .for_each(|(byte, at)| *byte ^= (at.wrapping_mul(0x9e37_79b9) >> 24) as u8);
    }

    fn begun<'m>(memory: &'m mut [u8], first: u32, szx: Szx, length: usize, missing: &[u32]) -> Decoder<'m> {
        begun_with(memory, first, szx, length, missing, false)
    }

    /// A decoder that began with a segment of which these symbols are missing.
    fn begun_with<'m>(
        memory: &'m mut [u8],
        first: u32,
        szx: Szx,
        length: usize,
        missing: &[u32],
        is_encrypted: bool,
    ) -> Decoder<'m> {
        let mut bits = std::vec![0; Map::size(length as u32)];
        let mut map = Map::new(&mut bits);
        for num in missing {
            map.fill(&(num << szx.bits()..((num + 1) << szx.bits()).min(length as u32)), true);
        }
        let mut decoder = Decoder::new(memory, is_encrypted);
        decoder.begin(first, Wanted { map: &map, image_size: length as u32, szx });
        decoder
    }

    fn take(decoder: &mut Decoder<'_>, image: &[u8], missing: &[u32], payload: &[u8]) -> bool {
        let parity = Parity::read(payload).unwrap();
        let size = parity.szx.size();
        let taken = decoder.take_parity(&parity, image.len() as u32, |offset, to| {
            let offset = offset as usize;
            assert!(!missing.contains(&((offset / size) as u32)), "what is missing cannot be read");
            to.iter_mut().zip(&image[offset..]).for_each(|(to, from)| *to ^= from);
            Ok::<(), Infallible>(())
        });
        taken.unwrap()
    }

    /// What a device has in flash, which is `image`, is encrypted and taken out; what was found is decrypted.
    #[cfg(feature = "encrypted")]
    fn finish(decoder: &mut Decoder<'_>, image: &[u8], missing: &[u32]) {
        let size = decoder.szx.size();
        let known = |offset: u32, to: &mut [u8]| {
            assert!(!missing.contains(&(offset / size as u32)), "what is missing cannot be read");
            to.iter_mut().zip(&image[offset as usize..]).for_each(|(to, from)| *to ^= from);
            keystream(offset, to);
            Ok::<(), Infallible>(())
        };
        decoder.finish(image.len() as u32, known, keystream).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Blocks of any size, any of them missing, some of which come later, between parity symbols.
        #[test]
        fn rank_and_symbols_are_those_of_a_naive_solver(
            exponent in 2..7_u8,
            length in 1..30_000_usize,
            share in 1..8_u32,
            seed: u32,
            is_encrypted: bool,
            is_block in proptest::collection::vec(0..6_u8, 200),
        ) {
            let (szx, image) = (Szx::new(exponent).unwrap(), image(length, seed));
            let all = length.div_ceil(szx.size()) as u32;
            let mut missing: Vec<u32> =
                (0..all).filter(|num| (num ^ seed).wrapping_mul(0x85eb_ca6b) >> 29 < share).collect();
            missing.truncate(150);
            prop_assume!(!missing.is_empty());
            let is_encrypted = is_encrypted && cfg!(feature = "encrypted");
            let mut served = image.clone();
            if is_encrypted {
                keystream(0, &mut served);
            }
            let mut memory = std::vec![0x5a; Decoder::size(missing.len() as u32, szx, is_encrypted)];
            let mut decoder = begun_with(&mut memory, 0, szx, length, &missing, is_encrypted);
            let (mut seeds, mut known) = (Vec::new(), Vec::new());
            for (n, kind) in is_block.into_iter().enumerate() {
                let before = decoder.rank;
                if kind == 0 {
                    let num = missing[n % missing.len()];
                    known.push(num);
                    decoder.take_block(num, served.chunks(szx.size()).nth(num as usize).unwrap());
                } else {
                    let seed = (seed as u16).wrapping_add(n as u16);
                    seeds.push(seed);
                    let is_new = take(&mut decoder, &served, &missing, &payload(&served, 0, seed, szx));
                    prop_assert_eq!(is_new, decoder.rank > before);
                }
                prop_assert_eq!(decoder.rank as usize, naive_rank(&missing, &seeds, &known));
                if decoder.is_solved() {
                    break;
                }
            }
            if decoder.is_solved() {
                #[cfg(feature = "encrypted")]
                finish(&mut decoder, &image, &missing);
                let symbols = (0..decoder.columns).map(|column| decoder.symbol(column));
                prop_assert!(symbols.eq(missing.iter().copied()));
                for offset in missing.iter().flat_map(|num| {
                    (num << szx.bits()..(num + 1) << szx.bits()).step_by(UNIT)
                }) {
                    // Behind the end of an encrypted image is the key stream.
                    let expected = &image[(offset as usize).min(length)..];
                    let expected = &expected[..expected.len().min(UNIT)];
                    let solved = decoder.solved(offset).unwrap();
                    prop_assert_eq!(&solved[..expected.len()], expected);
                    prop_assert!(is_encrypted || solved[expected.len()..].iter().all(|byte| *byte == 0));
                }
            }
        }
    }

    #[test]
    fn a_later_segment_is_solved_with_its_own_symbols() {
        let image = image(64 * (SYMBOLS as usize + 50) + 7, 1);
        let missing: Vec<u32> = [0, 3, 20, 49, 50].map(|place| SYMBOLS + place).into();
        let mut memory = std::vec![0; Decoder::size(5, Szx::B64, false)];
        let mut decoder = begun(&mut memory, SYMBOLS, Szx::B64, image.len(), &missing);
        let mut seeds = 0..;
        while !decoder.is_solved() {
            take(&mut decoder, &image, &missing, &payload(&image, 1, seeds.next().unwrap(), Szx::B64));
        }
        let last = decoder.solved((SYMBOLS + 50) * 64).unwrap();
        assert_eq!((&last[..7], &last[7..]), (&image[image.len() - 7..], &[0; 57][..]));
    }

    #[test]
    fn it_does_not_begin_without_room() {
        let mut memory = std::vec![0; Decoder::size(5, Szx::B64, false) - 1];
        let none = begun(&mut memory, 0, Szx::B64, 2000, &[0, 1, 2, 3, 4]);
        assert!(!none.is_of_size(Szx::B64) && !none.is_solved());
        let four = begun(&mut memory, 0, Szx::B64, 2000, &[0, 1, 2, 30]);
        assert!(
            four.is_of(0, Szx::B64)
                && [0, 1, 2, 3, 4].map(|column| four.symbol(column)) == [0, 1, 2, 30, u32::MAX]
        );
        assert!(!four.is_of(SYMBOLS, Szx::B64) && !four.is_of_size(Szx::MAX));
        let nothing = begun(&mut memory, 0, Szx::B64, 2000, &[]);
        assert!(!nothing.is_solved(), "nothing is missing: there is nothing to be solved");
    }
}
