//! What the program writes and where: every mistake on a line of its own, and readers that leave or cannot take more.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use tempfile::NamedTempFile;

fn config(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn relay(action: &str, config: &NamedTempFile) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixfold-relay"));
    command.args([action, "--config"]).arg(config.path()).stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
fn run(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn check_and_serve_report_all_mistakes() {
    let config = config(
        "[listen]\nblock_size = 100\n[cache]\nmemroy = 1\n[limits]\nresources = 4000000000000000000\n\
         [[route]]\npath = \"/a\"\norigin = \"https://h/\"\nca_file = \"missing.pem\"\n",
    );
    let starts = [
        ":2: listen.block_size: ",
        ":4: cache.memroy: ",
        ":6: limits.resources: ",
        ":10: route.ca_file: ca_file ",
    ];
    let file = config.path().display();
    let missing = config.path().with_file_name("missing.pem");
    for action in ["check", "serve"] {
        let (code, text, complaint) = run(relay(action, &config));
        assert_eq!((code, text.as_str()), (Some(2), ""), "{complaint}");
        assert_eq!(complaint.lines().count(), starts.len(), "{complaint}");
        assert!(complaint.contains(&format!("{} cannot be read", missing.display())), "{complaint}");
        for (line, start) in complaint.lines().zip(starts) {
            assert!(line.starts_with(&format!("{file}{start}")), "{line}");
        }
    }
}

#[test]
fn a_reader_that_left_is_no_crash() {
    let (good, bad) = (config(""), config("[nonsense]"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = relay("check", &good);
    command.stdout(writer.try_clone().unwrap());
    assert_eq!(run(command).0, Some(0), "standard output");
    let mut command = relay("check", &bad);
    command.stderr(writer);
    assert_eq!(run(command).0, Some(2), "standard error");
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let good = config("");
    let mut command = relay("check", &good);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let (code, _, complaint) = run(command);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("standard output"), "{complaint}");
}
