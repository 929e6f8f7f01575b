//! The program as `make demo` runs it, but for its devices.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn a_demo_that_nobody_watches_does_not_panic() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("sixfold-demo");
    fs::copy(env!("CARGO_BIN_EXE_sixfold-demo"), &program).unwrap();
    // A device that fetches nothing: the demonstration says so, to nobody.
    let device = directory.path().join("sixfold-device");
    fs::write(&device, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&device, Permissions::from_mode(0o755)).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut demo = Command::new(&program);
    demo.args(["--devices", "2"]).stdin(Stdio::null());
    let shown = demo.stdout(writer.try_clone().unwrap()).stderr(Stdio::null()).status().unwrap();
    drop((demo, writer));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(shown.code() == Some(1) && text.contains("0 of 2 have the right digest"), "{text}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut demo = Command::new(&program);
    demo.args(["--devices", "2"]).stdin(Stdio::null());
    let unseen = demo.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
    assert_eq!(unseen.code(), Some(1), "101 would be a panic");
}
