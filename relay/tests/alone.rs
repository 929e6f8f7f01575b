//! What two relays must not share: a directory of images, a file of sessions.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A relay that runs, and its log.
struct Relay {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Relay {
    fn spawn(file: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sixfold-relay"))
            .args(["serve", "--config"])
            .arg(file)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    fn start(file: &Path) -> Self {
        let mut relay = Self::spawn(file);
        relay.says("ready");
        relay
    }

    /// Waits for a line of the log.
    fn says(&mut self, words: &str) -> String {
        let mut seen = String::new();
        for line in self.log.by_ref().map(Result::unwrap) {
            if line.contains(words) {
                return line;
            }
            seen += &line;
            seen.push('\n');
        }
        panic!("{words:?} is not in\n{seen}");
    }

    /// Reads the configuration again.
    fn reload(&mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
    }
}

impl Drop for Relay {
    /// As a power cut.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its exit status, and the last line that it wrote.
fn refused(file: &Path) -> (Option<i32>, String) {
    let mut relay = Relay::spawn(file);
    let last = relay.log.by_ref().map(Result::unwrap).last().unwrap_or_default();
    (relay.child.wait().unwrap().code(), last)
}

fn write(file: &Path, more: &str) {
    let text = "[listen]\ncoap = [\"[::1]:0\"]\n[admin]\nlisten = \"\"\n";
    fs::write(file, format!("{text}{more}")).unwrap();
}

#[test]
fn the_second_relay_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one.toml", "other.toml"].map(|name| folder.path().join(name));
    for (key, more) in [
        ("cache.disk", "[cache]\ndisk = { path = \"spool\", limit = \"1 MiB\" }\n"),
        ("sessions.store", "[sessions]\nstore = \"kept/sessions\"\n"),
    ] {
        write(&one, more);
        write(&other, more);
        let first = Relay::start(&one);
        let (code, said) = refused(&other);
        assert_eq!(code, Some(2), "{said}");
        let process = format!("is used by another relay (process {})", first.child.id());
        assert!(said.contains(&format!("operator: {key} ")) && said.contains(&process), "{said}");
        drop(first);
        Relay::start(&other);
    }
}

#[test]
fn a_reload_moves_the_images_where_nobody_else_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one.toml", "other.toml"].map(|name| folder.path().join(name));
    let disk = |path: &str, limit: u32| {
        format!(
            "[cache]\ndisk = {{ path = \"{path}\", limit = \"{limit} MiB\" }}\n[process]\nsandbox = false\n"
        )
    };
    write(&one, &disk("a", 1));
    write(&other, &disk("b", 1));
    let mut first = Relay::start(&one);
    let second = Relay::start(&other);
    write(&one, &disk("b", 1));
    first.reload();
    let line = first.says("configuration not reloaded");
    assert!(line.contains(&format!("is used by another relay (process {})", second.child.id())), "{line}");
    write(&one, &disk("a", 2));
    first.reload();
    first.says("configuration reloaded");
    drop(second);
    write(&one, &disk("b", 1));
    first.reload();
    first.says("configuration reloaded");
    Relay::start(&{
        write(&other, &disk("a", 1));
        other
    });
}
