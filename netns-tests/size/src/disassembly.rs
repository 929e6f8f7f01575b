//! The instructions of a program, as `arm-none-eabi-objdump` reads them.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The program that disassembles; in Debian's package binutils-arm-none-eabi, which scripts/setup installs.
pub const OBJDUMP: &str = "arm-none-eabi-objdump";

/// An instruction, or a word of data between instructions (`.word`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// `push`, say; without the suffix that tells its encoding.
    pub mnemonic: String,
    /// What follows, without comments.
    pub operands: String,
    /// The address that it names: of a branch, or of the literal that it loads.
    pub target: Option<u64>,
}

/// Code by address.
pub type Code = BTreeMap<u64, Instruction>;

/// Disassembles a program.
pub fn read(program: &Path) -> Result<Code> {
    let output = Command::new(OBJDUMP)
        .args(["--disassemble", "--no-show-raw-insn"])
        .arg(program)
        .output()
        .with_context(|| format!("{OBJDUMP} did not start (Debian: binutils-arm-none-eabi)"))?;
    ensure!(output.status.success(), "{OBJDUMP}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads what objdump writes: `   20254:\tbl\t21510 <name>`.
pub fn parse(text: &str) -> Code {
    text.lines().filter_map(instruction).collect()
}

fn instruction(line: &str) -> Option<(u64, Instruction)> {
    let (address, rest) = line.split_once(":\t")?;
    let address = hexadecimal(address.trim())?;
    let (mnemonic, operands) = rest.split_once('\t').unwrap_or((rest, ""));
    let mnemonic = mnemonic.trim().trim_end_matches(".n").trim_end_matches(".w").to_owned();
    let target = target(operands);
    let operands = operands.split(['@', ';', '<']).next().unwrap_or_default().trim().to_owned();
    Some((address, Instruction { mnemonic, operands, target }))
}

/// The address before `<name>`, which may stand in a comment.
fn target(operands: &str) -> Option<u64> {
    let before = operands.split_once('<')?.0.trim();
    hexadecimal(before.rsplit(['(', ' ', '\t']).next()?)
}

/// A number as objdump writes it, with or without `0x`.
pub fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_literals_and_data_are_read() {
        let code = parse(
            "00020220 <sleep>:\n   20220:\tpush\t{r4, lr}\n   20222:\tldr\tr1, [pc, #348]\t@ (20bcc <begin+0x21c>)\n   \
             20224:\tbcc.n\t20220 <sleep>\n   20226:\tbl\t800 <board_read-0x1>\n   20bcc:\t.word\t0x00000801\n",
        );
        let at = |address| code.get(&address).unwrap();
        assert_eq!((at(0x20220).operands.as_str(), at(0x20220).target), ("{r4, lr}", None));
        assert_eq!((at(0x20222).operands.as_str(), at(0x20222).target), ("r1, [pc, #348]", Some(0x20bcc)));
        assert_eq!((at(0x20224).mnemonic.as_str(), at(0x20224).target), ("bcc", Some(0x20220)));
        assert_eq!(at(0x20226).target, Some(0x800));
        assert_eq!(hexadecimal(&at(0x20bcc).operands), Some(0x801));
        assert_eq!(code.len(), 5);
    }
}
