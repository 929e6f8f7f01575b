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

/// Parts of the names of what panics, as core and alloc call it.
const PANICS: [&str; 6] = ["panic", "begin_unwind", "unwrap_failed", "expect_failed", "_fail", "slice_index"];

/// The flash of the boot part of the C library, which checks what C hands over, and brings the compiler's fast `memcpy`.
pub const C_FLASH: u64 = 12 * 1024;

/// Bytes of RAM beside buffers: state, statics, and the deepest of these paths.
pub fn ram(program: &Program, paths: &[Path]) -> u64 {
    let stack = paths.iter().map(stack::bytes).max().unwrap_or_default();
    program.state_size.unwrap_or_default() + program.static_ram() + stack
}

/// What is over the budget, and by how much; and names of what panics.
pub fn faults(program: &Program, paths: &[Path], budget: Budget) -> Vec<String> {
    let over = |what: &str, used: u64, allowed: u64| {
        (used > allowed)
            .then(|| format!("{what}: {used} bytes are {} more than the budget of {allowed}", used - allowed))
    };
    let sizes = [over("flash", program.flash(), budget.flash), over("RAM", ram(program, paths), budget.ram)];
    let panics = program.names.iter().filter(|name| PANICS.iter().any(|panic| name.contains(panic)));
    sizes.into_iter().flatten().chain(panics.map(|name| format!("a panic can be reached: {name}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_is_a_fault_by_its_name() {
        let names = ["core_begin", "core::panicking::panic_fmt", "core::slice::index::slice_index_fail"];
        let program = Program {
            sections: Vec::new(),
            symbols: Vec::new(),
            external: Vec::new(),
            names: names.map(str::to_owned).to_vec(),
            state_size: Some(100),
        };
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
