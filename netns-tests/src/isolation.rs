//! A program started again in a world of its own: new mount, network and process namespaces.
//!
//! There is a tmpfs on `/run`, an own `/etc/hosts`, and the program is process 1. Whatever way it ends, the kernel then
//! ends all its processes and frees all its namespaces and interfaces; names, addresses and ports cannot collide with
//! those of others. Its standard input is its lifeline: when the program outside ends, it closes, and all of it goes.

use crate::peer;
use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio, exit};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fs, io, thread};

const INSIDE: &str = "SIXFOLD_ISOLATED";
/// The exit code of a program whose lifeline was cut.
const ABANDONED: i32 = 125;
const HOSTS: &str = "\
::1 localhost
2001:db8:1::2 origin.test elsewhere.test wrong.test
2001:db8:2::1 cache.test
";
const PREPARE: &str = "\
mount -t tmpfs tmpfs /run && mkdir /run/netns /run/log &&
printf %s \"$HOSTS\" >/run/hosts && mount --bind /run/hosts /etc/hosts &&
exec \"$@\"";

/// Why there is no isolation here.
pub const IMPOSSIBLE: &str = "neither root nor unprivileged user namespaces are to be had here";

/// Whether this program was started by a [`command`].
pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// A command that starts this program in isolation, without its arguments; `None` where that cannot be done. Start it
/// with [`spawn`], and keep its standard input open for as long as it is to live.
pub fn command() -> io::Result<Option<Command>> {
    let Some(unshare) = unshare_arguments() else { return Ok(None) };
    let mut command = isolated(unshare);
    command.arg(env::current_exe()?).env(INSIDE, "1").stdin(Stdio::piped());
    Ok(Some(command))
}

/// Starts a [`command`], and tells it under which process number it is known outside.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut unshare = command.spawn()?;
    let children = format!("/proc/{0}/task/{0}/children", unshare.id());
    let child = loop {
        let listed = fs::read_to_string(&children)?;
        match listed.split_whitespace().next() {
            Some(child) => break child.to_owned(),
            // It has not forked yet, or ended without; then there is nobody to tell.
            None if unshare.try_wait()?.is_some() => return Ok(unshare),
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    match unshare.stdin.as_mut().map(|lifeline| writeln!(lifeline, "{child}")) {
        Some(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(unshare),
    }
}

/// Inside: ends this program when its lifeline is cut. Gives its process number outside.
pub fn hold_lifeline() -> io::Result<String> {
    let mut outer = String::new();
    io::stdin().read_line(&mut outer)?;
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        exit(ABANDONED);
    });
    Ok(outer.trim_end().to_owned())
}

/// The first way to get namespaces that works on this machine.
fn unshare_arguments() -> Option<&'static [&'static str]> {
    static FOUND: OnceLock<Option<&[&str]>> = OnceLock::new();
    const AS_USER: &[&str] =
        &["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--mount-proc"];
    *FOUND.get_or_init(|| [&AS_USER[2..], AS_USER].into_iter().find(|ways| works(ways)))
}

fn works(unshare: &[&str]) -> bool {
    let mut trial = isolated(unshare);
    let trial = trial.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    trial.status().is_ok_and(|status| status.success())
}

fn isolated(unshare: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(unshare).args(["--kill-child", "--propagation", "private", "sh", "-c", PREPARE, "sh"]);
    command.env("PATH", peer::search_path()).env("HOSTS", HOSTS);
    command
}
