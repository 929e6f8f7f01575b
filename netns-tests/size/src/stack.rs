//! The deepest stack below a function, over all paths through the program's calls.

use crate::disassembly::Code;
use crate::elf::Program;
use crate::frame::{self, Frame};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// The frames of all functions.
#[derive(Clone, Debug)]
pub struct Stack {
    frames: BTreeMap<u64, (String, Frame)>,
}

/// A path through the calls: functions with the bytes that each takes.
pub type Path = Vec<(String, u64)>;

impl Stack {
    /// Reads every function's instructions.
    pub fn new(program: &Program, code: &Code) -> Result<Self> {
        let functions = program.symbols.iter().filter(|symbol| symbol.is_function);
        let inside = functions.map(|function| {
            Ok((function.address, (function.name.clone(), frame::of(function, program, code)?)))
        });
        // What a board does with the stack is the board's.
        let outside =
            program.external.iter().map(|(address, name)| Ok((*address, (name.clone(), Frame::default()))));
        Ok(Self { frames: inside.chain(outside).collect::<Result<_>>()? })
    }

    /// The path that takes most, from the function of this name. A function that may call itself is an error, for then
    /// there is no bound.
    pub fn deepest(&self, entry: &str) -> Result<Path> {
        let start = self.frames.iter().find(|(_, (name, _))| name == entry);
        let (&address, _) = start.with_context(|| format!("there is no function {entry}"))?;
        self.below(address, &mut Vec::new(), &mut BTreeMap::new())
    }

    fn below(&self, address: u64, above: &mut Vec<u64>, known: &mut BTreeMap<u64, Path>) -> Result<Path> {
        if let Some(path) = known.get(&address) {
            return Ok(path.clone());
        }
        let (name, frame) = self.frames.get(&address).context("a call to nowhere")?;
        if above.contains(&address) {
            bail!("{name} can call itself: its stack has no bound");
        }
        above.push(address);
        let mut deepest = Path::new();
        for &callee in &frame.calls {
            let path = self.below(callee, above, known)?;
            deepest = if bytes(&path) > bytes(&deepest) { path } else { deepest };
        }
        above.pop();
        deepest.insert(0, (name.clone(), frame.bytes));
        known.insert(address, deepest.clone());
        Ok(deepest)
    }
}

/// Bytes of stack that a path takes.
pub fn bytes(path: &Path) -> u64 {
    path.iter().map(|(_, bytes)| bytes).sum()
}
