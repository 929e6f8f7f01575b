//! A publisher's desk: a directory, the program, and the openssl command line.
#![allow(dead_code, unreachable_pub, reason = "every test program uses its own part")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// What is signed, with which key, for whom, into which directory.
const SIGN: [&str; 10] =
    ["sign", "lamp.bin", "--key", "key", "--vendor", "example.com", "--class", "lamp", "-o", "www"];

/// A publisher's working directory with a key and an image.
pub struct Desk {
    pub directory: TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let desk = Self { directory: tempfile::tempdir().unwrap() };
        succeeds(&desk.run(&["keygen", "key"]));
        desk.write("lamp.bin", &[7; 10_000]);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let program = env!("CARGO_BIN_EXE_sixfold-publish");
        Command::new(program).args(arguments).current_dir(&self.directory).output().unwrap()
    }

    pub fn sign(&self, more: &[&str]) -> Output {
        self.run(&[&SIGN, more].concat())
    }

    /// Signs where files may have so many blocks of 512 bytes at most, as on a disk that is full.
    pub fn with_little_room(&self, blocks: u32, more: &[&str]) -> Output {
        let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$0\" \"$@\"");
        let program = env!("CARGO_BIN_EXE_sixfold-publish");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, program]).args(SIGN).args(more).current_dir(&self.directory);
        shell.output().unwrap()
    }

    pub fn verify(&self, key: &str) -> Output {
        self.run(&["verify", "www/lamp.bin.suit", "www/lamp.bin", "--key", key])
    }

    pub fn openssl(&self, arguments: &[&str]) -> Output {
        Command::new("openssl").args(arguments).current_dir(&self.directory).output().unwrap()
    }
}

#[track_caller]
pub fn succeeds(output: &Output) -> String {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{stdout}");
    stdout
}

/// It failed with this status, nothing on stdout, and these words.
#[track_caller]
pub fn fails(output: &Output, status: i32, words: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.contains(words), "{words:?} is not in {stderr}");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
