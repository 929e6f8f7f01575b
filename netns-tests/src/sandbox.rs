//! A world of its own for each test: new mount, network and process namespaces.
//!
//! The test program starts itself again under `unshare(1)`, for one test only, with a tmpfs on `/run`, an own
//! `/etc/hosts`, and itself as process 1. Whatever way it ends, the kernel then ends all its processes and frees all
//! its namespaces and files; names, addresses and ports cannot collide with those of other tests.
//!
//! Where this cannot be done, or where a peer is not installed, the test says SKIPPED on standard error, past the test
//! harness's capture, and passes. With `SIXFOLD_REQUIRE_PEERS=1` a missing peer is a failure.

use crate::peer::{self, Peer};
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::any::type_name;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio, exit};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, thread};

/// How long one test may take before it is ended.
const LIMIT: Duration = Duration::from_secs(120);
const INSIDE: &str = "SIXFOLD_SANDBOX";
const BODY_DONE: &str = "sandbox: the body of the test has passed";
const HOSTS: &str = "\
::1 localhost
2001:db8:1::2 origin.test elsewhere.test wrong.test
";
const PREPARE: &str = "\
mount -t tmpfs tmpfs /run && mkdir /run/netns /run/log &&
printf %s \"$HOSTS\" >/run/hosts && mount --bind /run/hosts /etc/hosts &&
exec \"$@\"";

/// Runs `body` in a sandbox. Call it as the whole of a test function, which it finds again by the closure's name.
pub fn run<F: FnOnce() -> Result<()>>(needs: &[Peer], body: F) -> Result<()> {
    let test = test_name::<F>();
    if env::var_os(INSIDE).is_some() {
        return run_body(body);
    }
    let Some(unshare) = unshare_arguments() else {
        skip(test, "neither root nor unprivileged user namespaces are to be had here");
        return Ok(());
    };
    if let Some(absent) = needs.iter().find(|peer| peer.program().is_none()) {
        ensure!(env::var("SIXFOLD_REQUIRE_PEERS").as_deref() != Ok("1"), "{}", absent.remedy());
        skip(test, absent.remedy());
        return Ok(());
    }
    workspace::build_programs()?;
    run_outside(test, unshare)
}

/// `fetch_once::fifty_devices::{{closure}}` is the test `fifty_devices`.
fn test_name<F>() -> &'static str {
    let name = type_name::<F>().trim_end_matches("::{{closure}}");
    name.split_once("::").map_or(name, |(_crate, test)| test)
}

fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(list) = env::var_os("SIXFOLD_SKIPPED_LIST") {
        let file = OpenOptions::new().create(true).append(true).open(list);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// The first way to get namespaces that works on this machine.
fn unshare_arguments() -> Option<&'static [&'static str]> {
    static FOUND: OnceLock<Option<&[&str]>> = OnceLock::new();
    const AS_USER: &[&str] =
        &["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--mount-proc"];
    *FOUND.get_or_init(|| [&AS_USER[2..], AS_USER].into_iter().find(|ways| works(ways)))
}

fn works(unshare: &[&str]) -> bool {
    let mut trial = sandboxed(unshare);
    let trial = trial.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    trial.status().is_ok_and(|status| status.success())
}

fn sandboxed(unshare: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(unshare).args(["--kill-child", "--propagation", "private", "sh", "-c", PREPARE, "sh"]);
    command.env("PATH", peer::search_path()).env("HOSTS", HOSTS);
    command
}

fn run_outside(test: &str, unshare: &[&str]) -> Result<()> {
    let output = tempfile::NamedTempFile::new()?;
    let mut inside = sandboxed(unshare)
        .arg(env::current_exe()?)
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .stdout(append(output.path())?)
        .stderr(append(output.path())?)
        .spawn()
        .context("unshare did not start")?;
    let status = wait(&mut inside);
    let printed = String::from_utf8_lossy(&fs::read(output.path())?).into_owned();
    // Indented, so that nobody takes the inner test's result for one of its own.
    printed.lines().for_each(|line| println!("    {line}"));
    ensure!(status?.success(), "{test} failed in its sandbox");
    ensure!(printed.contains(BODY_DONE), "{test} was not found again in the sandbox");
    Ok(())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Waits until the sandbox is done. It ends when its `unshare` does, and when our end of its standard input closes.
fn wait(inside: &mut Child) -> Result<ExitStatus> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = inside.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    inside.kill()?;
    inside.wait()?;
    bail!("not done within {LIMIT:?}")
}

fn run_body<F: FnOnce() -> Result<()>>(body: F) -> Result<()> {
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        exit(125);
    });
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => {
            println!("{BODY_DONE}");
            Ok(())
        }
        Ok(Err(error)) => {
            print_logs();
            Err(error)
        }
        Err(panic) => {
            print_logs();
            panic::resume_unwind(panic)
        }
    }
}

/// The ends of all logs, which vanish with the sandbox.
fn print_logs() {
    const LINES: usize = 40;
    let mut logs: Vec<_> =
        fs::read_dir("/run/log").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    logs.sort();
    for log in logs {
        let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        let lines: Vec<_> = text.lines().collect();
        if !lines.is_empty() {
            println!("---- {}\n{}", log.display(), lines[lines.len().saturating_sub(LINES)..].join("\n"));
        }
    }
}
