//! sixfold-relay as a process, with its configuration, metrics and log.

use crate::netns::Netns;
use crate::process::Process;
use crate::wait;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// A configuration with one route: `/fw` is the nginx at `https://origin.test/`. More keys of the route, or more
/// tables, may be appended.
pub const CONFIG: &str = "\
[listen]
interface = \"lowpan0\"

[[route]]
path = \"/fw\"
origin = \"https://origin.test/\"
ca_file = \"/run/ca/ca.pem\"
";

const ADMIN: (Ipv6Addr, u16) = (Ipv6Addr::LOCALHOST, 9683);

/// A running relay.
#[derive(Debug)]
pub struct Relay<'a> {
    netns: &'a Netns,
    file: PathBuf,
    process: Process,
}

impl<'a> Relay<'a> {
    /// Starts `sixfold-relay serve` and waits until it is ready.
    pub fn start(netns: &'a Netns, config: &str) -> Result<Self> {
        Self::start_as(netns, "relay", config)
    }

    /// The same in another environment: names and values.
    pub fn start_with(
        netns: &'a Netns,
        name: &str,
        config: &str,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let mut command = Command::new("env");
        command.args(environment.iter().map(|(name, value)| format!("{name}={value}")));
        command.arg(program());
        Self::start_program(netns, name, config, command)
    }

    /// The same for one of several: `name` is for its files.
    pub fn start_as(netns: &'a Netns, name: &str, config: &str) -> Result<Self> {
        Self::start_program(netns, name, config, Command::new(program()))
    }

    fn start_program(netns: &'a Netns, name: &str, config: &str, mut command: Command) -> Result<Self> {
        let file = Path::new("/run").join(format!("{name}.toml"));
        fs::write(&file, config)?;
        command.args(["serve", "--config"]).arg(&file);
        let mut relay = Self { netns, file, process: Process::start(netns, name, command)? };
        wait::until_true("the relay to be ready", wait::SOON, || {
            relay.is_ready() || !relay.process.is_running()
        })?;
        ensure!(relay.process.is_running(), "the relay ended:\n{}", relay.log());
        Ok(relay)
    }

    /// Whether `/readyz` answers 200.
    pub fn is_ready(&self) -> bool {
        self.ask("/readyz").is_ok_and(|(status, _)| status == 200)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.output() + &self.process.log()
    }

    /// The sum of all samples whose name and labels start with `series`: `sixfold_responses_total{code="2.05"`, say.
    pub fn metric(&self, series: &str) -> Result<f64> {
        let samples = self.metrics()?;
        Ok(samples.lines().filter(|line| line.starts_with(series)).filter_map(sample_value).sum())
    }

    /// All metrics in the text format.
    pub fn metrics(&self) -> Result<String> {
        let (status, text) = self.ask("/metrics")?;
        ensure!(status == 200, "/metrics answered {status}");
        Ok(text)
    }

    /// The page at `path` of the admin server: status and body.
    pub fn ask(&self, path: &str) -> Result<(u16, String)> {
        ask(self.netns, path)
    }

    /// Runs the relay's program beside it, as an operator would: exit code, and what it printed.
    pub fn command(&self, arguments: &[&str]) -> Result<(i32, String)> {
        command(self.netns, arguments)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes another configuration, sends SIGHUP, and waits until the relay has taken or refused it.
    pub fn reload(&self, config: &str) -> Result<()> {
        let count = || {
            let log = self.log();
            ["configuration reloaded", "configuration not reloaded"].map(|said| log.matches(said).count())
        };
        let before = count();
        fs::write(&self.file, config)?;
        self.process.signal(Signal::SIGHUP)?;
        wait::until_true("the reload", wait::SOON, || count() != before)
    }

    /// `kill -9`.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// SIGTERM; gives the exit status, which must come within 5 seconds, and some more for a busy machine.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(Duration::from_secs(5 + 10))
    }
}

fn program() -> PathBuf {
    workspace::program_dir().join("sixfold-relay")
}

/// Runs `sixfold-relay` to its end: exit code, and what it printed.
pub fn command(netns: &Netns, arguments: &[&str]) -> Result<(i32, String)> {
    let mut command = Command::new(program());
    let output = netns.enter(|| command.args(arguments).output())??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().context("ended by a signal")?;
    Ok((code, text(&output.stdout) + &text(&output.stderr)))
}

/// The page at `path` of the admin server of a relay in this namespace: status and body.
pub fn ask(netns: &Netns, path: &str) -> Result<(u16, String)> {
    netns.enter(|| http_get(ADMIN, path))?
}

/// Status and body. HTTP/1.0: no server answers that in chunks.
pub(crate) fn http_get(server: (Ipv6Addr, u16), path: &str) -> Result<(u16, String)> {
    let mut connection = TcpStream::connect(server)?;
    connection.set_read_timeout(Some(wait::SOON))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: [::1]\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    parse_answer(&answer).context("not an HTTP answer")
}

fn parse_answer(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn sample_value(line: &str) -> Option<f64> {
    line.rsplit(' ').next()?.parse().ok()
}
