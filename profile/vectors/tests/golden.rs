//! The vectors are what the crates make today.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use sixfold_vectors::{File, files};
use std::fs;
use std::path::Path;

#[test]
fn the_vectors_are_what_the_crates_make() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    for File { name, text } in files().unwrap() {
        let path = directory.join(&name);
        if std::env::var_os("SIXFOLD_BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        let same = golden.lines().zip(text.lines()).take_while(|(golden, made)| golden == made).count();
        assert!(
            golden == text,
            "{name}, line {}: the FORMAT changed, not the test. Devices in the field and other implementations have the \
             old one: raise the version of the format, or undo the change. A vector that was only added is blessed with \
             SIXFOLD_BLESS=1.",
            same + 1
        );
    }
}
