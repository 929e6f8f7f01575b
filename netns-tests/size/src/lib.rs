//! What firmware takes: flash by section and by part, the deepest stack, and whether a panic can be reached.
//!
//! Everything is read from the linked program: its symbols, and its instructions as objdump reads them. Nothing is run, so
//! that every path counts and not only those that a test takes.

#![allow(clippy::missing_errors_doc)]

pub mod budget;
pub mod disassembly;
pub mod elf;
pub mod frame;
pub mod parts;
pub mod report;
pub mod stack;
