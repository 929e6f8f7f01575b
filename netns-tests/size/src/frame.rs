//! What one function does to the stack, and whom it calls.
//!
//! Everything that a function pushes or subtracts anywhere counts, whether or not a path through it does so, and a jump to
//! another function counts as a call: the sum is never too small.

use crate::disassembly::{Code, Instruction, hexadecimal};
use crate::elf::{Program, Symbol};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;

/// A function's part of the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Bytes.
    pub bytes: u64,
    /// The addresses of the functions that it calls.
    pub calls: BTreeSet<u64>,
}

/// Reads a function's instructions.
pub fn of(function: &Symbol, program: &Program, code: &Code) -> Result<Frame> {
    let body = Body { function, program, code };
    let mut frame = Frame::default();
    for (&address, instruction) in code.range(function.address..function.address + function.size) {
        let place = || format!("{} at {address:#x}: {instruction:?}", function.name);
        frame.bytes += body.taken(address, instruction).with_context(place)?;
        frame.calls.extend(body.called(address, instruction).with_context(place)?);
    }
    Ok(frame)
}

struct Body<'a> {
    function: &'a Symbol,
    program: &'a Program,
    code: &'a Code,
}

impl Body<'_> {
    /// Bytes of stack that an instruction takes.
    fn taken(&self, address: u64, instruction: &Instruction) -> Result<u64> {
        let operands: Vec<_> = instruction.operands.split(", ").collect();
        match (instruction.mnemonic.as_str(), operands.as_slice()) {
            ("push", registers) => Ok(4 * registers.len() as u64),
            ("sub" | "subs", ["sp", .., amount]) => {
                amount.trim_start_matches('#').parse().context("not a number")
            }
            ("add", ["sp", register]) if register.starts_with('r') => {
                let amount = self.literal(address, register).context("an amount that is no constant")?;
                let amount = i64::from(u32::try_from(amount)?.cast_signed());
                Ok(amount.min(0).unsigned_abs())
            }
            ("add" | "adds", ["sp", ..]) => Ok(0),
            (_, ["sp", ..]) if !instruction.mnemonic.starts_with("cmp") => {
                bail!("this use of the stack is not understood")
            }
            _ => Ok(0),
        }
    }

    /// Whom an instruction calls, or jumps to, if that is not in the function itself.
    fn called(&self, address: u64, instruction: &Instruction) -> Result<Vec<u64>> {
        match (instruction.mnemonic.as_str(), instruction.operands.as_str()) {
            ("bx", "lr") | (".word" | ".short" | ".byte", _) => Ok(Vec::new()),
            ("bx" | "blx", register) if instruction.target.is_none() => match self.literal(address, register)
            {
                Some(callee) => Ok(vec![self.start(callee)?]),
                None => self.any_of_the_literals(),
            },
            (mnemonic, _) if mnemonic.starts_with('b') => match instruction.target {
                Some(target) if !self.function.contains(target) => Ok(vec![self.start(target)?]),
                _ => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    }

    /// The constant that is in a register, if the instruction that last wrote it loads one.
    fn literal(&self, address: u64, register: &str) -> Option<u64> {
        let writes = |instruction: &&Instruction| instruction.operands.split(", ").next() == Some(register);
        let before = self.code.range(self.function.address..address).rev();
        let load = before.map(|(_, instruction)| instruction).find(writes)?;
        (load.mnemonic == "ldr").then(|| self.word(load.target?)).flatten()
    }

    fn word(&self, address: u64) -> Option<u64> {
        hexadecimal(&self.code.get(&address).filter(|word| word.mnemonic == ".word")?.operands)
    }

    /// Whatever function's address the function knows.
    fn any_of_the_literals(&self) -> Result<Vec<u64>> {
        let words = self.code.range(self.function.address..self.function.address + self.function.size);
        let known: Vec<_> = words
            .filter(|(_, word)| word.mnemonic == ".word")
            .filter_map(|(&at, _)| self.start(self.word(at)?).ok())
            .collect();
        if known.is_empty() { bail!("whom this calls is not known") } else { Ok(known) }
    }

    /// Where the function at an address begins.
    fn start(&self, address: u64) -> Result<u64> {
        let address = address & !1;
        let external = self.program.external.iter().any(|(start, _)| *start == address);
        let function = self.program.function_at(address).map(|function| function.address);
        function.or(external.then_some(address)).with_context(|| format!("no function at {address:#x}"))
    }
}
