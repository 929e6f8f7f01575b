//! What a confined relay cannot do any more: tried in a process of its own, because there is no way back.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use nix::unistd::geteuid;
use sixfold_relay::config::Config;
use sixfold_relay::confine::{Confinement, has_seccomp, landlock};
use std::fs::{self, File};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "SIXFOLD_TEST_CONFINED";
const USER: &str = "SIXFOLD_TEST_USER";

/// Not a test by itself: the process that gives up everything, and says what it can do still.
#[test]
fn confined() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let user = std::env::var(USER).unwrap();
    let text =
        format!("[cache]\ndisk = {{ path = \"spool\", limit = \"1 MiB\" }}\n[process]\nuser = \"{user}\"\n");
    let file = folder.join("etc/relay.toml");
    let text = text.replace("\"spool\"", &format!("{:?}", folder.join("spool")));
    fs::write(&file, &text).unwrap();
    let config = Config::parse(&text, &file).unwrap();
    let confinement = Confinement::enter(&config, &file).unwrap();
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    for line in status.lines().filter(|line| !line.starts_with("Name")) {
        println!("{line}");
    }
    let spool = folder.join("spool");
    let moved = fs::write(spool.join("a.part"), "a")
        .and_then(|()| fs::rename(spool.join("a.part"), spool.join("a.image")));
    say(
        "write, rename and remove in the spool",
        moved.and_then(|()| fs::remove_file(spool.join("a.image"))).is_ok(),
    );
    say("write beside it", File::create(folder.join("outside")).is_ok());
    say("write to the configuration", File::create(&file).is_ok());
    say("rename out of the spool", {
        fs::write(spool.join("b"), "b").unwrap();
        fs::rename(spool.join("b"), folder.join("b")).is_ok()
    });
    say("read the configuration", fs::read(&file).is_ok());
    say("read what is not named", fs::read(folder.join("private/key")).is_ok());
    say("start a program", Command::new("/bin/true").status().is_ok());
    say("start a thread", std::thread::Builder::new().spawn(|| ()).is_ok());
    say("make a user namespace", makes_a_namespace());
    say("open a socket", UdpSocket::bind("127.0.0.1:0").is_ok());
    let other = text.replace("/spool", "/other");
    let other = Config::parse(&other, &file).unwrap();
    say("take another spool", confinement.permits(&other, &file).is_ok());
    say("take the same configuration", confinement.permits(&config, &file).is_ok());
}

/// Whether a process can be made in a user namespace of its own.
#[allow(unsafe_code, reason = "no safe interface passes these flags")]
fn makes_a_namespace() -> bool {
    let flags = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    // SAFETY: as fork does; the child, which has this thread alone, ends at once.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        0 => unsafe { libc::_exit(0) },
        child => child > 0,
    }
}

fn say(what: &str, can: bool) {
    println!("{what}: {can}");
}

/// What the process above says, as the user `user`.
fn outcome(user: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    for name in ["etc", "private", "spool"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("private/key"), "secret").unwrap();
    // Others must be able to go there, and nobody's file must not be what keeps them from reading it.
    let mode = |name: &str| {
        fs::set_permissions(folder.path().join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755))
    };
    ["", "etc", "private"].iter().for_each(|name| mode(name).unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "confined", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder.path())
        .env(USER, user)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[track_caller]
fn says(outcome: &str, what: &str) {
    assert!(outcome.lines().any(|line| line == what), "{what:?} is not in\n{outcome}");
}

fn has_given_up(outcome: &str) {
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        says(outcome, &format!("{set}:\t0000000000000000"));
    }
    says(outcome, "NoNewPrivs:\t1");
    for can in [
        "write, rename and remove in the spool",
        "read the configuration",
        "open a socket",
        "start a thread",
        "take the same configuration",
    ] {
        says(outcome, &format!("{can}: true"));
    }
    if has_seccomp() {
        says(outcome, "Seccomp:\t2");
        says(outcome, "start a program: false");
        says(outcome, "make a user namespace: false");
    }
    let is_confined = landlock();
    for cannot in [
        "write beside it",
        "write to the configuration",
        "rename out of the spool",
        "read what is not named",
        "take another spool",
    ] {
        if is_confined {
            says(outcome, &format!("{cannot}: false"));
        }
    }
}

#[test]
fn a_relay_writes_to_its_spool_alone_and_starts_nothing() {
    let outcome = outcome("");
    has_given_up(&outcome);
}

#[test]
fn started_as_root_it_becomes_somebody_else() {
    if !geteuid().is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let outcome = outcome("nobody");
    has_given_up(&outcome);
    let id = |kind: &str, id: u32| format!("{kind}:\t{id}\t{id}\t{id}\t{id}");
    says(&outcome, &id("Uid", nobody.uid.as_raw()));
    says(&outcome, &id("Gid", nobody.gid.as_raw()));
}

#[test]
fn a_user_that_cannot_be_had_is_refused() {
    for (user, words) in [("no-such-user-here", "there is no user"), ("root", "is root")] {
        let error = format!("{:#}", sixfold_relay::confine::identity(user).unwrap_err());
        assert!(error.contains("operator: process.user") && error.contains(words), "{error}");
    }
}
