//! The fuzz targets without a fuzzer: for `tests/fuzz.rs` of each crate.

use std::path::{Path, PathBuf};

/// The files of a target's corpus. `crate_directory` is anywhere in this repository.
pub fn files(crate_directory: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(crate_directory).ancestors().find(|path| path.join("fuzz/corpus").is_dir());
    let directory = root.expect("this repository").join("fuzz/corpus").join(target);
    let mut files: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} has no corpus", directory.display());
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Runs every file of the corpus, and then `mutants` inputs that were made of them.
pub fn replay(crate_directory: &str, target: &str, mutants: u32, run: fn(&[u8])) {
    let files = files(crate_directory, target);
    for (path, input) in &files {
        eprintln!("{}", path.display());
        run(input);
    }
    let mut dice = Dice(1);
    for number in 0..mutants {
        let mutant = dice.mutant(&files);
        let report = Report { number, mutant: &mutant };
        run(&mutant);
        std::mem::forget(report);
    }
}

/// Says which input it was when a target panics.
struct Report<'a> {
    number: u32,
    mutant: &'a [u8],
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        eprintln!("mutant {}: {:02x?}", self.number, self.mutant);
    }
}

/// Numbers from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    fn mutant(&mut self, files: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = files[self.below(files.len())].1.clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                2 => bytes
                    .splice(at..at, files[self.below(files.len())].1.iter().copied().take(32))
                    .for_each(drop),
                3 => {
                    let end = bytes.len().min(at + self.below(16));
                    bytes.drain(at..end);
                }
                4 => bytes.extend((0..self.below(16)).map(|n| n as u8)),
                _ => {
                    let value = if self.below(2) == 0 { self.byte() } else { 1 << self.below(8) };
                    bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= value);
                }
            }
        }
        bytes
    }
}
