//! What a linked program consists of: the sections that a device holds, and the symbols in them.

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, SymbolKind, elf};
use std::fs;
use std::path::Path;

/// Unwinding tables: start-up code's link scripts leave them out, a program linked without one has them.
const UNWINDING: &str = ".ARM.exidx";
/// Where a program says how many bytes its state takes, wherever that is put: 32 bits, little-endian. Not for the device.
const STATE_SIZE: &str = ".state_size";
/// In bit 0 of a function's address: its code is Thumb.
const THUMB: u64 = 1;

/// A linked program.
#[derive(Clone, Debug)]
pub struct Program {
    /// What takes flash or RAM, in order of address.
    pub sections: Vec<Section>,
    /// Functions and data with a size, in order of address; of several names for one place, the first.
    pub symbols: Vec<Symbol>,
    /// Functions that are only names here: addresses without the Thumb bit.
    pub external: Vec<(u64, String)>,
    /// Every name in the symbol table.
    pub names: Vec<String>,
    /// Bytes of the state that the program's caller keeps, if the program says so.
    pub state_size: Option<u64>,
}

/// A section that the device holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `.text`, say.
    pub name: String,
    /// Where it is when the program runs.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Whether its content is in flash: all but zeroed RAM.
    pub in_flash: bool,
    /// Whether it can be written, so that it is in RAM.
    pub in_ram: bool,
}

/// A function, or data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Demangled, without the compiler's hash.
    pub name: String,
    /// Without the Thumb bit.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Whether it is code.
    pub is_function: bool,
}

impl Section {
    /// Whether this byte is in it.
    pub fn contains(&self, address: u64) -> bool {
        (self.address..self.address + self.size).contains(&address)
    }
}

impl Symbol {
    /// Whether this byte is its own.
    pub fn contains(&self, address: u64) -> bool {
        (self.address..self.address + self.size).contains(&address)
    }
}

impl Program {
    /// Reads an ELF file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("{}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no ELF file that can be read", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let file = object::File::parse(bytes)?;
        let mut sections = Vec::new();
        for section in file.sections() {
            sections.extend(held(&section)?);
        }
        sections.sort_by_key(|section| section.address);
        let all: Vec<_> =
            file.symbols().filter(|symbol| symbol.name().is_ok_and(|n| !n.is_empty())).collect();
        let name = |symbol: &object::Symbol<'_, '_>| demangled(symbol.name().unwrap_or_default());
        let mut symbols: Vec<_> = all
            .iter()
            .filter(|symbol| {
                symbol.size() > 0 && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data)
            })
            .map(|symbol| {
                let is_function = symbol.kind() == SymbolKind::Text;
                let address = if is_function { symbol.address() & !THUMB } else { symbol.address() };
                Symbol { name: name(symbol), address, size: symbol.size(), is_function }
            })
            .collect();
        symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        symbols.dedup_by_key(|symbol| symbol.address);
        let external = all
            .iter()
            .filter(|symbol| {
                symbol.section() == object::SymbolSection::Absolute && symbol.address() & THUMB == 1
            })
            .map(|symbol| (symbol.address() & !THUMB, name(symbol)))
            .collect();
        Ok(Self {
            sections,
            symbols,
            external,
            names: all.iter().map(name).collect(),
            state_size: state_size(&file)?,
        })
    }

    /// Bytes of flash: code, constants, and the initial content of RAM.
    pub fn flash(&self) -> u64 {
        self.sections.iter().filter(|section| section.in_flash).map(|section| section.size).sum()
    }

    /// Bytes of RAM that are taken from the start.
    pub fn static_ram(&self) -> u64 {
        self.sections.iter().filter(|section| section.in_ram).map(|section| section.size).sum()
    }

    /// The function that this byte belongs to.
    pub fn function_at(&self, address: u64) -> Option<&Symbol> {
        self.symbols.iter().find(|symbol| symbol.is_function && symbol.contains(address))
    }
}

/// The section, if the device holds it.
fn held(section: &object::Section<'_, '_>) -> Result<Option<Section>> {
    let name = section.name()?.to_owned();
    let SectionFlags::Elf { sh_flags } = section.flags() else { bail!("not ELF") };
    let is_held = sh_flags & u64::from(elf::SHF_ALLOC) != 0 && section.size() > 0;
    let is_aside = name.starts_with(UNWINDING) || name == STATE_SIZE;
    Ok((is_held && !is_aside).then(|| Section {
        name,
        address: section.address(),
        size: section.size(),
        in_flash: section.kind() != SectionKind::UninitializedData,
        in_ram: sh_flags & u64::from(elf::SHF_WRITE) != 0,
    }))
}

/// What the program says of the size of its state.
fn state_size(file: &object::File<'_>) -> Result<Option<u64>> {
    let Some(section) = file.section_by_name(STATE_SIZE) else { return Ok(None) };
    let value = section.data()?.first_chunk().with_context(|| format!("{STATE_SIZE} is too short"))?;
    Ok(Some(u32::from_le_bytes(*value).into()))
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
