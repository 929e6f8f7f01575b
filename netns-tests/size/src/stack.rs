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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disassembly;
    use crate::elf::Symbol;

    fn deepest(functions: &[(&str, u64, u64)], code: &str) -> Result<Path> {
        let symbol = |(name, address, size): &(&str, u64, u64)| Symbol {
            name: (*name).to_owned(),
            address: *address,
            size: *size,
            is_function: true,
        };
        let program = Program {
            sections: Vec::new(),
            symbols: functions.iter().map(symbol).collect(),
            external: vec![(0x800, "board".to_owned())],
            names: Vec::new(),
            state_size: None,
        };
        Stack::new(&program, &disassembly::parse(code))?.deepest("entry")
    }

    const FUNCTIONS: [(&str, u64, u64); 3] =
        [("entry", 0, 0x10), ("large", 0x10, 0x10), ("small", 0x20, 0x10)];

    #[test]
    fn the_deepest_path_counts_calls_through_registers_and_jumps() {
        let code = "0:\tpush\t{r7, lr}\n2:\tbl\t20 <small>\n4:\tldr\tr1, [pc, #4]\t@ (c <entry+0xc>)\n\
                    6:\tblx\tr1\n8:\tb.n\t2 <entry+0x2>\nc:\t.word\t0x00000011\n\
                    10:\tldr\tr6, [pc, #8]\t@ (1c <large+0xc>)\n12:\tadd\tsp, r6\n14:\tbl\t800 <board-0x1>\n\
                    16:\tb.n\t20 <small>\n1c:\t.word\t0xfffffe00\n20:\tsub\tsp, #20\n22:\tadd\tsp, #20\n24:\tbx\tlr\n";
        let path = deepest(&FUNCTIONS, code).unwrap();
        assert_eq!(path, [("entry", 8), ("large", 512), ("small", 20)].map(|(name, b)| (name.to_owned(), b)));
        assert_eq!(bytes(&path), 540);
    }

    #[test]
    fn whom_a_register_calls_must_be_known_or_guessed_from_above() {
        // r1 comes from elsewhere, but the function knows the address of one other function only.
        let known = "0:\tmov\tr1, r0\n2:\tblx\tr1\nc:\t.word\t0x00000011\n10:\tsub\tsp, #36\n12:\tbx\tlr\n20:\tbx\tlr\n";
        assert_eq!(bytes(&deepest(&FUNCTIONS, known).unwrap()), 36);
        let unknown = known.replace("0x00000011", "0x12345678");
        assert!(format!("{:?}", deepest(&FUNCTIONS, &unknown)).contains("whom this calls is not known"));
    }

    #[test]
    fn recursion_and_a_stack_of_unknown_size_are_errors() {
        let circle = "0:\tbl\t10 <large>\n10:\tbl\t20 <small>\n20:\tbl\t0 <entry>\n";
        assert!(format!("{:?}", deepest(&FUNCTIONS, circle)).contains("entry can call itself"));
        assert!(deepest(&FUNCTIONS, "0:\tsub\tsp, r3\n10:\tbx\tlr\n20:\tbx\tlr\n").is_err());
        assert!(deepest(&FUNCTIONS, "0:\tmov\tsp, r3\n10:\tbx\tlr\n20:\tbx\tlr\n").is_err());
    }
}
