//! What the boot core may take, and what it must not contain.

use crate::elf::Program;
use crate::stack::{self, Path};

/// Flash and RAM, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Code, constants and the initial content of RAM.
    pub flash: u64,
    /// State, statics and the deepest stack, beside the buffers for a ticket and for datagrams.
    pub ram: u64,
}

/// The boot core's on a Cortex-M0.
pub const BUDGET: Budget = Budget { flash: 6 * 1024, ram: 512 };
/// The same with the feature `listen`. The memory that a member is lent is a buffer.
pub const LISTENING: Budget = Budget { flash: 13 * 1024 + 512, ram: 1024 };
/// What sessions (OSCORE) may make it larger, in bytes of flash.
pub const OSCORE: u64 = 4 * 1024;
/// What the decryption of images may make it larger, in bytes of flash.
pub const ENCRYPTED: u64 = 1280;
/// RAM with that: it has no state, and a deeper stack when a block is written.
pub const ENCRYPTED_RAM: u64 = 640;
/// With both `listen` and `encrypted`: parity symbols of an encrypted image, too.
pub const ENCRYPTED_LISTENING: Budget = Budget { flash: 15 * 1024 + 512, ram: 1280 };
/// RAM with sessions.
pub const OSCORE_RAM: u64 = 1280;

/// Parts of the names of what panics, as core and alloc call it.
const PANICS: [&str; 6] = ["panic", "begin_unwind", "unwrap_failed", "expect_failed", "_fail", "slice_index"];

/// The flash of the boot part of the C library, which checks what C hands over, and brings the compiler's fast `memcpy`.
pub const C_FLASH: u64 = 12 * 1024;

/// Bytes of RAM beside buffers: state, statics, and the deepest of these paths.
pub fn ram(program: &Program, paths: &[Path]) -> u64 {
    let stack = paths.iter().map(stack::bytes).max().unwrap_or_default();
    program.state_size.unwrap_or_default() + program.static_ram() + stack
}

/// Whether it is arithmetic with floating point, by its name in the run-time ABI for the ARM architecture (§4.1.2) or in GCC's
/// run-time library: a Cortex-M0 has no instruction for it, and a boot program no use.
fn is_floating_point(name: &str) -> bool {
    let last = name.rsplit("::").next().unwrap_or(name);
    match last.strip_prefix("__aeabi_") {
        Some(rest) => {
            let of_two = ["f", "d", "cf", "cd"].iter().any(|start| rest.starts_with(start));
            of_two || ["2f", "2d"].iter().any(|into| rest.ends_with(into))
        }
        None => last.starts_with("__") && ["sf", "df"].iter().any(|mode| last.contains(mode)),
    }
}

/// What is over the budget, and by how much; names of what panics, and of floating point.
pub fn faults(program: &Program, paths: &[Path], budget: Budget) -> Vec<String> {
    let over = |what: &str, used: u64, allowed: u64| {
        (used > allowed)
            .then(|| format!("{what}: {used} bytes are {} more than the budget of {allowed}", used - allowed))
    };
    let sizes = [over("flash", program.flash(), budget.flash), over("RAM", ram(program, paths), budget.ram)];
    let panics = program.names.iter().filter(|name| PANICS.iter().any(|panic| name.contains(panic)));
    let floats = program.names.iter().filter(|name| is_floating_point(name));
    let panics = panics.map(|name| format!("a panic can be reached: {name}"));
    let floats = floats.map(|name| format!("there is floating point: {name}"));
    sizes.into_iter().flatten().chain(panics).chain(floats).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(names: &[&str]) -> Program {
        Program {
            sections: Vec::new(),
            symbols: Vec::new(),
            external: Vec::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            state_size: Some(100),
        }
    }

    #[test]
    fn floating_point_is_a_fault_by_its_name() {
        let floats = [
            "__aeabi_fmul",
            "__aeabi_dcmplt",
            "__aeabi_cfcmple",
            "__aeabi_d2iz",
            "__aeabi_f2d",
            "__aeabi_ui2f",
            "__aeabi_l2d",
            "__addsf3",
            "__muldf3",
            "__floatunsisf",
            "__fixdfsi",
            "compiler_builtins::float::extend::__extendsfdf2",
        ];
        let others = [
            "__aeabi_uidiv",
            "__aeabi_idiv0",
            "__aeabi_lmul",
            "__aeabi_memcpy4",
            "__clzsi2",
            "__udivsi3",
            "__umoddi3",
            "sixfold_device::boot::record::Record::entry_is",
        ];
        let names: Vec<_> = floats.into_iter().chain(others).collect();
        let budget = Budget { flash: 0, ram: 100 };
        let expected: Vec<_> = floats.iter().map(|name| format!("there is floating point: {name}")).collect();
        assert_eq!(faults(&program(&names), &[], budget), expected);
    }

    #[test]
    fn what_panics_is_a_fault_by_its_name() {
        let program =
            program(&["core_begin", "core::panicking::panic_fmt", "core::slice::index::slice_index_fail"]);
        let path = vec![("core_begin".to_owned(), 28)];
        let faults = faults(&program, &[path], Budget { flash: 0, ram: 127 });
        assert_eq!(
            faults,
            [
                "RAM: 128 bytes are 1 more than the budget of 127",
                "a panic can be reached: core::panicking::panic_fmt",
                "a panic can be reached: core::slice::index::slice_index_fail",
            ]
        );
    }
}
