//! What the program writes and where: every mistake on a line of its own, and readers that leave or cannot take more.
#![allow(clippy::unwrap_used, reason = "tests")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
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

/// A relay that has something to warn of: a link that it does not serve.
const DOUBTFUL: &str = "[listen]\ncoap = [\"[::1]:0\"]\ninterface = \"lo\"\n[admin]\nlisten = \"\"\n[[link]]\ninterface = \"wpan0\"\n";

/// Lines up to the one that says that it is ready.
fn until_ready(lines: PipeReader) -> (Vec<String>, BufReader<PipeReader>) {
    let mut lines = BufReader::new(lines);
    let mut read = Vec::new();
    while !read.last().is_some_and(|line: &String| line.ends_with(" ready\n")) {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it has ended: {read:?}");
        read.push(line);
    }
    (read, lines)
}

#[test]
fn with_two_streams_trouble_goes_to_standard_error_alone() {
    let config = config(DOUBTFUL);
    let (output, to_output) = std::io::pipe().unwrap();
    let mut command = relay("serve", &config);
    command.arg("--two-streams").stdout(to_output).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(command);
    let (said, _output) = until_ready(output);
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let mut trouble = String::new();
    child.stderr.take().unwrap().read_to_string(&mut trouble).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(said.iter().all(|line| line.starts_with(" INFO ")), "{said:?}");
    assert!(trouble.contains(" WARN operator: ") && trouble.contains("wpan0"), "{trouble}");
    assert!(!trouble.contains("INFO"), "{trouble}");
}

/// Its standard error is what systemd would have it be.
fn for_the_journal(action: &str, config: &NamedTempFile) -> (PipeReader, Command) {
    let (log, to_log) = std::io::pipe().unwrap();
    let metadata = File::from(OwnedFd::from(to_log.try_clone().unwrap())).metadata().unwrap();
    let mut command = relay(action, config);
    command.env("JOURNAL_STREAM", format!("{}:{}", metadata.dev(), metadata.ino())).stderr(to_log);
    (log, command)
}

#[test]
fn the_journal_is_told_how_bad_a_line_is() {
    let config = config(DOUBTFUL);
    let (log, mut command) = for_the_journal("serve", &config);
    let mut child = command.spawn().unwrap();
    drop(command);
    let (said, _log) = until_ready(log);
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        said.iter().all(|line| line.starts_with("<6> INFO ") || line.starts_with("<4> WARN ")),
        "{said:?}"
    );
    assert!(said.iter().any(|line| line.starts_with("<4> WARN operator: ")), "{said:?}");
    assert_eq!(said.last().unwrap(), "<6> INFO ready\n");
    // What ends it is told the same way.
    let bad = self::config("[nonsense]");
    let (mut log, mut command) = for_the_journal("check", &bad);
    assert_eq!(command.status().unwrap().code(), Some(2));
    drop(command);
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("<3>") && said.contains("nonsense"), "{said}");
}
