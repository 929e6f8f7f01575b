//! The C compiler of this machine, and the library for it.
#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// `$CC`, or `cc`, which finds our headers.
pub(crate) fn compiler() -> Command {
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.arg("-I").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"));
    command
}

/// Runs a command that has to work.
pub(crate) fn succeeds(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}. A C compiler is needed: Debian's packages gcc, g++ and libc6-dev, or set CC")
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Builds `libsixfold.a` as this test was built, and says where it is.
pub(crate) fn library() -> PathBuf {
    // target/PROFILE/deps/TEST: the library is two steps up.
    let test = std::env::current_exe().expect("a test knows its program");
    let folder = test.parent().and_then(Path::parent).expect("a test is in target/PROFILE/deps").to_owned();
    let target = folder.parent().expect("target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--package", "sixfold-c", "--target-dir"]).arg(target);
    if folder.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    succeeds(&mut cargo);
    folder.join("libsixfold.a")
}

/// Compiles an example against the library.
pub(crate) fn example(name: &str, into: &Path) -> PathBuf {
    let program = into.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(format!("{name}.c"));
    let mut command = compiler();
    command.args([
        "-std=c11",
        "-D_POSIX_C_SOURCE=200809L",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
    ]);
    command.arg(source).arg(library()).args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program);
    succeeds(&mut command);
    program
}
