//! The relay as a service of systemd: what it tells the manager, and what the files in `config/systemd/` are worth.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::{sandbox, wait, workspace};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};

const SOCKET: &str = "/run/notify";
const CONFIG: &str = "/run/relay.toml";
const UNIT: &str = "sixfold-relay.service";
const NEEDS: &[Peer] = &[Peer::Systemd];

/// A service manager: what it hears, and the service.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
    relay: Process,
}

impl Manager {
    /// Starts the relay as systemd would, with a watchdog of so many microseconds.
    fn start(netns: &Netns, watchdog: u32) -> Result<Self> {
        let socket = UnixDatagram::bind(SOCKET)?;
        socket.set_nonblocking(true)?;
        fs::write(CONFIG, "[listen]\ninterface = \"lo\"\n")?;
        let mut command = Command::new("env");
        command.args([&format!("NOTIFY_SOCKET={SOCKET}"), &format!("WATCHDOG_USEC={watchdog}")]);
        command.arg(workspace::program_dir().join("sixfold-relay")).args(["serve", "--config", CONFIG]);
        Ok(Self { socket, heard: Vec::new(), relay: Process::start(netns, "relay", command)? })
    }

    /// Waits until a message with this line has come since the last one that was waited for.
    fn hear(&mut self, line: &str) -> Result<String> {
        let mut buffer = [0; 1024];
        wait::until(&format!("{line} after {:?}", self.heard), wait::SOON, || {
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                self.heard.push(message.clone());
                if message.lines().any(|part| part == line) {
                    return Some(message);
                }
            }
            None
        })
    }
}

#[test]
fn the_manager_hears_ready_reloading_alive_and_stopping() -> Result<()> {
    sandbox::run(&[], || {
        let netns = Netns::create("relay")?;
        let mut manager = Manager::start(&netns, 300_000)?;
        let ready = manager.hear("READY=1")?;
        ensure!(ready.contains(&format!("STATUS=serves with {CONFIG}")), "{ready}");
        ensure!(manager.heard.len() == 1, "nothing is said before the sockets are open: {:?}", manager.heard);
        for _ in 0..3 {
            manager.hear("WATCHDOG=1")?;
        }
        fs::write(CONFIG, "[listen]\ninterfac = \"lo\"\n")?;
        manager.relay.signal(Signal::SIGHUP)?;
        let reloading = manager.hear("RELOADING=1")?;
        ensure!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
        let ready = manager.hear("READY=1").context("a reload that was refused is over too")?;
        let status = ready.lines().find_map(|line| line.strip_prefix("STATUS=")).context("no status")?;
        ensure!(status.contains("the old one stays") && status.contains("interfac: no such key"), "{status}");
        manager.hear("WATCHDOG=1")?;
        manager.relay.signal(Signal::SIGTERM)?;
        manager.hear("STOPPING=1")?;
        ensure!(manager.relay.wait(wait::SOON)?.success());
        Ok(())
    })
}

/// A file of `config/systemd/`.
fn file(name: &str) -> Result<String> {
    let path = workspace::root().join("config/systemd").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn analyze(arguments: &[&str], unit: &str) -> Result<Output> {
    let program = Peer::Systemd.program().with_context(|| Peer::Systemd.remedy())?;
    let path = Path::new("/run").join(UNIT);
    fs::write(&path, unit)?;
    Ok(Command::new(program).args(arguments).arg(path).output()?)
}

#[test]
fn the_unit_means_what_it_says() -> Result<()> {
    sandbox::run(NEEDS, || {
        let relay = workspace::program_dir().join("sixfold-relay").display().to_string();
        let unit = file(UNIT)?.replace("/usr/bin/sixfold-relay", &relay);
        let verify = |unit: &str| analyze(&["verify", "--man=no"], unit);
        let output = verify(&unit)?;
        ensure!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
        let typo = verify(&unit.replace("WatchdogSec", "WatchdgSec"))?;
        ensure!(said(&typo).contains("WatchdgSec"), "a typing error is not found: {}", said(&typo));
        Ok(())
    })
}

/// Where `config/relay.toml` says that sessions and images are kept, the service may write.
#[test]
fn what_is_kept_has_a_place() -> Result<()> {
    let (unit, config) = (file(UNIT)?, fs::read_to_string(workspace::root().join("config/relay.toml"))?);
    for (line, place) in
        [("StateDirectory=sixfold", "/var/lib/sixfold/"), ("CacheDirectory=sixfold", "/var/cache/sixfold")]
    {
        ensure!(unit.lines().any(|it| it == line), "{line}");
        ensure!(
            unit.lines().any(|it| it == line.replace("=sixfold", "Mode=0700")),
            "{line} is for all to read"
        );
        ensure!(config.contains(place), "config/relay.toml does not name {place}");
    }
    Ok(())
}

/// Tenths, as `systemd-analyze security` counts.
const EXPOSURE: &str = "--threshold=15";

#[test]
fn the_service_may_do_little() -> Result<()> {
    sandbox::run(NEEDS, || {
        let rate = |unit: &str| analyze(&["security", "--offline=true", "--no-pager", EXPOSURE], unit);
        let unit = file(UNIT)?;
        let output = rate(&unit)?;
        ensure!(output.status.success(), "{}", said(&output));
        let open: Vec<_> = unit.lines().filter(|line| !line.starts_with("Protect")).collect();
        ensure!(!rate(&open.join("\n"))?.status.success(), "the limit is never broken");
        Ok(())
    })
}

#[test]
fn keys_are_for_the_user_of_the_service() -> Result<()> {
    sandbox::run(NEEDS, || {
        let root = Path::new("/run/root");
        for (kind, program) in [("sysusers", "systemd-sysusers"), ("tmpfiles", "systemd-tmpfiles")] {
            let folder = root.join(format!("usr/lib/{kind}.d"));
            fs::create_dir_all(&folder)?;
            fs::create_dir_all(root.join("etc"))?;
            fs::write(folder.join("sixfold.conf"), file(&format!("sixfold.{kind}"))?)?;
            let mut command = Command::new(program);
            command.arg(format!("--root={}", root.display()));
            if kind == "tmpfiles" {
                command.arg("--create");
            }
            let output = command.output()?;
            ensure!(output.status.success(), "{program}: {}", said(&output));
        }
        let passwd = fs::read_to_string(root.join("etc/passwd"))?;
        let group = passwd.split(':').nth(3).context("no group in passwd")?.to_owned();
        ensure!(passwd.starts_with("sixfold:x:") && passwd.trim_end().ends_with("/nologin"), "{passwd}");
        let stat =
            Command::new("stat").args(["-c", "%a %u %g"]).arg(root.join("etc/sixfold/keys")).output()?;
        ensure!(said(&stat).trim() == format!("750 0 {group}"), "{}", said(&stat));
        Ok(())
    })
}
