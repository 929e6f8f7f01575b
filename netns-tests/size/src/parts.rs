//! Which part of the firmware a symbol belongs to.

use crate::elf::{Program, Symbol};
use std::collections::BTreeMap;

/// What no symbol claims: alignment, and constants without a name.
pub const NAMELESS: &str = "constants without a name, alignment";
const MEMORY: &str = "memcpy and its like";
const COMPILER: &str = "compiler's arithmetic";
const ENTRY: &str = "entry points, with what is inlined there";

/// Crates, and what the table calls them.
const CRATES: [(&str, &str); 15] = [
    ("sixfold_device", "boot core (sixfold_device)"),
    ("sixfold_profile", "profile (sixfold_profile)"),
    ("sixfold_oscore", "AES, sessions (sixfold_oscore)"),
    ("sixfold_tftp", "TFTP client (sixfold_tftp)"),
    ("sixfold_ip", "IPv6 edge (sixfold_ip)"),
    ("smoltcp", "IP stack (smoltcp)"),
    ("hmac_sha256", "SHA-256 (hmac_sha256)"),
    ("sixfold_firmware", "board: shared"),
    ("sixfold_microbit", "board: micro:bit"),
    ("sixfold_microbit_app", "main program"),
    ("sixfold_lm3s", "board: LM3S6965"),
    ("compiler_builtins", COMPILER),
    ("core", "core without fmt"),
    ("__rustc", "panic handler"),
    ("cortex_m_rt", "start-up code (cortex_m_rt)"),
];
/// What is in the names of start-up code and of vector tables.
const START_UP: [&str; 7] =
    ["RESET", "Reset", "PreInit", "DefaultHandler", "HardFault", "EXCEPTIONS", "INTERRUPTS"];

/// Bytes of flash of each part, the largest first; together they are all of the program's flash.
pub fn of(program: &Program) -> Vec<(String, u64)> {
    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    for symbol in in_flash(program) {
        *parts.entry(part(&symbol.name)).or_default() += symbol.size;
    }
    let named: u64 = parts.values().sum();
    *parts.entry(NAMELESS.to_owned()).or_default() += program.flash().saturating_sub(named);
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by_key(|(name, size)| (std::cmp::Reverse(*size), name.clone()));
    parts
}

/// The symbols whose bytes are in flash, the largest first.
pub fn in_flash(program: &Program) -> Vec<&Symbol> {
    let is_held = |symbol: &&Symbol| {
        let holds = |address| move |section: &&crate::elf::Section| section.contains(address);
        program.sections.iter().find(holds(symbol.address)).is_some_and(|section| section.in_flash)
    };
    let mut symbols: Vec<_> = program.symbols.iter().filter(is_held).collect();
    symbols.sort_by_key(|symbol| std::cmp::Reverse(symbol.size));
    symbols
}

fn part(name: &str) -> String {
    if name.contains("core::fmt::") && !name.contains(" as core::fmt::") {
        return "formatting (core::fmt)".to_owned();
    }
    if name.contains("::mem::mem") {
        return MEMORY.to_owned();
    }
    let Some(path) = crate_of(name) else { return unmangled(name).to_owned() };
    let known = CRATES.iter().find(|(name, _)| *name == path);
    known.map_or_else(|| path.to_owned(), |(_, part)| (*part).to_owned())
}

/// The crate in `crate::path`, `<&mut crate::Type as …>` and `<T as crate::Trait>`.
fn crate_of(name: &str) -> Option<&str> {
    let (path, _) = name.split_once("::")?;
    path.rsplit(['<', '&', '[', '(', '*', ' ']).next()
}

/// Functions that the compiler calls by name, and those that C would call.
fn unmangled(name: &str) -> &'static str {
    if name.starts_with(".L") {
        NAMELESS
    } else if name.starts_with("OUTLINED_FUNCTION") {
        "pieces that functions share (compiler)"
    } else if name.contains("mem") {
        MEMORY
    } else if START_UP.iter().any(|part| name.contains(part)) {
        "start-up code (cortex_m_rt)"
    } else if name.starts_with("__") {
        COMPILER
    } else {
        ENTRY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_belongs_to_its_crate() {
        assert_eq!(
            part("<sixfold_profile::coap::Options as core::iter::Iterator>::next"),
            "profile (sixfold_profile)"
        );
        assert_eq!(part("sixfold_device::boot::core::Boot<F>::sleep"), "boot core (sixfold_device)");
        assert_eq!(part("<&mut smoltcp::wire::Packet as core::fmt::Display>::fmt"), "IP stack (smoltcp)");
        assert_eq!(part("core::fmt::Formatter::pad"), "formatting (core::fmt)");
        assert_eq!(part("<T as core::convert::Into<U>>::into"), "core without fmt");
        assert_eq!(part("__INTERRUPTS"), "start-up code (cortex_m_rt)");
        assert_eq!(part("__aeabi_memcpy4"), MEMORY);
        assert_eq!(part("__aeabi_uidiv"), COMPILER);
        assert_eq!(part("core_begin"), ENTRY);
    }
}
