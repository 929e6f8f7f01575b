//! The program as an operator meets it: arguments in; text and exit codes out.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A directory with a configuration file.
struct Place {
    _directory: TempDir,
    config: PathBuf,
}

fn place(text: &str) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("relay.toml");
    std::fs::write(&config, text).unwrap();
    Place { _directory: directory, config }
}

fn relay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixfold-relay"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn check(place: &Place) -> Command {
    let mut command = relay(&["check", "--config"]);
    command.arg(&place.config);
    command
}

fn serve(place: &Place) -> Command {
    let mut command = relay(&["serve", "--config"]);
    command.arg(&place.config);
    command
}

/// Exit code, standard output, standard error.
fn run(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn help_has_examples_and_exit_codes() {
    let (code, text, _) = run(relay(&["--help"]));
    assert_eq!(code, Some(0));
    for part in ["sixfold-relay check --config", "Exit codes: 0", "serve", "check", "demo", "status"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn version_is_the_packages() {
    let (code, text, _) = run(relay(&["--version"]));
    assert_eq!((code, text.as_str()), (Some(0), concat!("sixfold-relay ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for arguments in [&[][..], &["sing"], &["serve"], &["check", "--config"], &["demo", "--szx", "7"]] {
        let (code, text, complaint) = run(relay(arguments));
        assert_eq!((code, text.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(complaint.contains("Usage:") || complaint.contains("--help"), "{complaint}");
    }
}

#[test]
fn check_says_what_would_be_served() {
    let route = "[[route]]\npath = \"/fw\"\norigin = \"http://h/base/\"\nallow_http = true\n";
    let cert = rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap().cert.pem();
    let place = place("");
    let ca_file = place.config.with_file_name("ca.pem");
    std::fs::write(&ca_file, cert).unwrap();
    let text = format!("[listen]\ninterface = \"lowpan0\"\n{route}ca_file = \"{}\"\n", ca_file.display());
    std::fs::write(&place.config, text).unwrap();
    let (code, text, complaint) = run(check(&place));
    let expected = "serves CoAP at [::]:5683 on lowpan0\n/fw comes from http://h/base/\n";
    assert_eq!((code, text.as_str(), complaint.as_str()), (Some(0), expected, ""));
}

#[test]
fn check_and_serve_report_all_mistakes() {
    let place =
        place("[listen]\nblock_size = 100\n[cache]\nmemroy = 1\n[limits]\nresources = 4000000000000000000\n");
    let file = place.config.display().to_string();
    let starts = [":2: listen.block_size: ", ":4: cache.memroy: ", ":6: limits.resources: "];
    for command in [check(&place), serve(&place)] {
        let (code, text, complaint) = run(command);
        assert_eq!((code, text.as_str()), (Some(2), ""), "{complaint}");
        assert_eq!(complaint.lines().count(), starts.len(), "{complaint}");
        for (line, start) in complaint.lines().zip(starts) {
            assert!(line.starts_with(&format!("{file}{start}")), "{line}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut place = place("");
    place.config.set_file_name("other.toml");
    let (code, _, complaint) = run(check(&place));
    assert_eq!(code, Some(2));
    assert!(complaint.contains("other.toml: cannot be read: "), "{complaint}");
}

#[test]
fn status_without_a_relay_says_what_to_check() {
    let free = std::net::TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
    let (code, text, complaint) = run(relay(&["status", "--url", &format!("http://{free}")]));
    assert_eq!((code, text.as_str()), (Some(1), ""));
    assert!(complaint.contains("is the relay running"), "{complaint}");
}

#[test]
fn a_reader_that_left_is_no_crash() {
    let good = place("");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = check(&good);
    command.stdout(writer.try_clone().unwrap());
    assert_eq!(run(command).0, Some(0), "standard output");
    let bad = place("[nonsense]");
    let mut command = check(&bad);
    command.stderr(writer);
    assert_eq!(run(command).0, Some(2), "standard error");
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let good = place("");
    let mut command = check(&good);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let (code, _, complaint) = run(command);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("standard output"), "{complaint}");
}
