//! A world of its own for each test: the test program starts itself again in [`isolation`], for one test only.
//!
//! Where this cannot be done, or where a peer is not installed, the test says SKIPPED on standard error, past the test
//! harness's capture, and passes. With `SIXFOLD_REQUIRE_PEERS=1` a missing peer is a failure; not to be root is none.

use crate::isolation;
use crate::peer::Peer;
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::any::type_name;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, thread};

/// How long one test may take before it is ended: no sooner than everything that it waits for.
const LIMIT: Duration = Duration::from_secs(600);
const BODY_DONE: &str = "sandbox: the body of the test has passed";

/// Runs `body` in a sandbox. Call it as the whole of a test function, which it finds again by the closure's name.
pub fn run<F: FnOnce() -> Result<()>>(needs: &[Peer], body: F) -> Result<()> {
    run_within(LIMIT, needs, body)
}

/// The same for one that takes longer.
pub fn run_within<F: FnOnce() -> Result<()>>(limit: Duration, needs: &[Peer], body: F) -> Result<()> {
    let test = test_name::<F>();
    if isolation::is_inside() {
        return run_body(body);
    }
    let Some(inside) = isolation::command()? else {
        skip(test, isolation::IMPOSSIBLE);
        return Ok(());
    };
    if needs.contains(&Peer::Root) && Peer::Root.program().is_none() {
        skip(test, &Peer::Root.remedy());
        return Ok(());
    }
    if let Some(absent) = needs.iter().find(|peer| peer.program().is_none()) {
        return skip_or_fail(test, &absent.remedy());
    }
    workspace::build_programs()?;
    run_outside(test, limit, inside)
}

/// `fetch_once::fifty_devices::{{closure}}` is the test `fifty_devices`.
fn test_name<F>() -> &'static str {
    let name = type_name::<F>().trim_end_matches("::{{closure}}");
    name.split_once("::").map_or(name, |(_crate, test)| test)
}

/// Says that a test was not run, and why. With `SIXFOLD_REQUIRE_PEERS=1` that is a failure.
pub fn skip_or_fail(test: &str, reason: &str) -> Result<()> {
    ensure!(env::var("SIXFOLD_REQUIRE_PEERS").as_deref() != Ok("1"), "{reason}");
    skip(test, reason);
    Ok(())
}

fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(list) = env::var_os("SIXFOLD_SKIPPED_LIST") {
        let file = OpenOptions::new().create(true).append(true).open(list);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

fn run_outside(test: &str, limit: Duration, mut inside: Command) -> Result<()> {
    let output = tempfile::NamedTempFile::new()?;
    inside
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .stdout(append(output.path())?)
        .stderr(append(output.path())?);
    let mut inside = isolation::spawn(&mut inside).context("unshare did not start")?;
    let status = wait(&mut inside, limit);
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
fn wait(inside: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = inside.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    inside.kill()?;
    inside.wait()?;
    bail!("not done within {limit:?}")
}

fn run_body<F: FnOnce() -> Result<()>>(body: F) -> Result<()> {
    let _outer = isolation::hold_lifeline()?;
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => {
            println!("{BODY_DONE}");
            Ok(())
        }
        Ok(Err(error)) => {
            // First, so that whoever shortens what was printed leaves it.
            println!("{error:#}");
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
