//! The servers under test: started alone on their core, measured from outside, ended with the value.

use super::device::contexts as contexts_of;
use super::exchange::Resource;
use super::load::Load;
use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use sixfold_profile::coap::Szx;
use std::fs::{self, Permissions};
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The core of the server; the load has the other.
pub(super) const SERVER_CORE: usize = 0;
/// The core of the load.
pub(super) const LOAD_CORE: usize = 1;

const LIBCOAP: &str = "coap-server-notls";
const LIBCOAP_CLIENT: &str = "coap-client-notls";
const START_LIMIT: Duration = Duration::from_secs(10);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// The bound.
    Echo,
    /// sixfold-relay.
    Relay,
    /// sixfold-relay, in sessions.
    Protected,
    /// libcoap's coap-server-notls.
    Libcoap,
}

impl Kind {
    /// The name in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Echo => "udp echo",
            Self::Relay => "sixfold-relay",
            Self::Protected => "  in a session",
            Self::Libcoap => "libcoap",
        }
    }
}

/// Where the programs are, and where the relay's image comes from.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// This program: it is the echo too.
    pub(super) bench: PathBuf,
    /// sixfold-relay.
    pub(super) relay: PathBuf,
    /// The HTTP origin of the relay.
    pub(super) origin: SocketAddr,
    /// How many sessions a relay knows that has some.
    pub(super) sessions: usize,
}

/// A running server.
pub(super) struct Server {
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
    directory: TempDir,
}

impl Programs {
    /// Is this server there to be measured? If not: why, and what to do.
    pub(super) fn missing(&self, kind: Kind) -> Option<String> {
        match kind {
            Kind::Echo => None,
            Kind::Relay | Kind::Protected if self.relay.exists() => None,
            Kind::Relay | Kind::Protected => {
                Some(format!("there is no {}: build sixfold-relay, or say --relay", self.relay.display()))
            }
            Kind::Libcoap if on_path(LIBCOAP) && on_path(LIBCOAP_CLIENT) => None,
            Kind::Libcoap => Some(format!("{LIBCOAP} is not installed: apt-get install libcoap3-bin")),
        }
    }

    /// Starts a server on its core and waits until it serves `resource`, whole.
    pub(super) fn start(&self, kind: Kind, resource: &Resource, szx: Szx) -> Result<Server> {
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()?));
        let directory = tempfile::tempdir()?;
        let mut command = match kind {
            Kind::Echo => self.echo(address, szx),
            Kind::Relay => self.relay(address, directory.path(), "")?,
            Kind::Protected => {
                let contexts = directory.path().join("contexts.toml");
                fs::write(&contexts, contexts_of(self.sessions))?;
                fs::set_permissions(&contexts, Permissions::from_mode(0o600))?;
                let store = directory.path().join("kept/sessions");
                fs::create_dir(directory.path().join("kept"))?;
                let sessions = format!("\n[sessions]\nstore = {store:?}\ncontexts = {contexts:?}\n");
                self.relay(address, directory.path(), &sessions)?
            }
            Kind::Libcoap => libcoap(address),
        };
        let log = fs::File::create(directory.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        pin(SERVER_CORE)?;
        let child = command.spawn().with_context(|| format!("start {}", kind.name()));
        pin(LOAD_CORE)?;
        let mut server = Server { child: child?, address, directory };
        if kind == Kind::Libcoap {
            server.put(resource)?;
        }
        server
            .wait_until_served(resource, szx)
            .with_context(|| format!("{}: {}", kind.name(), server.log()))?;
        Ok(server)
    }

    fn echo(&self, address: SocketAddr, szx: Szx) -> Command {
        let mut command = Command::new(&self.bench);
        command.args(["echo", &address.to_string(), &szx.size().to_string()]);
        command
    }

    fn relay(&self, address: SocketAddr, directory: &Path, more: &str) -> Result<Command> {
        let config = format!(
            "[listen]\ncoap = [\"{address}\"]\n\n[[route]]\npath = \"/\"\norigin = \"http://{}/\"\n\
             allow_http = true\n\n[cache]\nmemory = \"64 MiB\"\n\n[limits]\nclient_rate = 0\n\n[admin]\nlisten = \"\"\n{more}",
            self.origin
        );
        let file = directory.join("relay.toml");
        fs::File::create(&file)?.write_all(config.as_bytes())?;
        let mut command = Command::new(&self.relay);
        command.args(["serve", "--config"]).arg(file);
        Ok(command)
    }
}

fn libcoap(address: SocketAddr) -> Command {
    let mut command = Command::new(LIBCOAP);
    command.args(["-A", &address.ip().to_string(), "-p", &address.port().to_string(), "-d", "4"]);
    command
}

impl Server {
    /// CPU time used so far by all threads.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let statistics = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += statistics.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory, in bytes.
    pub(super) fn rss(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Gives libcoap's server the body, by Block1, as its own client does.
    fn put(&self, resource: &Resource) -> Result<()> {
        let body = self.directory.path().join("body");
        fs::write(&body, &resource.body)?;
        let url = format!("coap://{}/{}", self.address, resource.path.join("/"));
        let end = Instant::now() + START_LIMIT;
        loop {
            let status = Command::new(LIBCOAP_CLIENT)
                .args(["-m", "put", "-b", "1024", "-B", "5", "-f"])
                .arg(&body)
                .arg(&url)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            if status.success() {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{LIBCOAP_CLIENT} cannot PUT {url}");
        }
    }

    fn wait_until_served(&mut self, resource: &Resource, szx: Szx) -> Result<()> {
        let fetched = Load::new(self.address, resource, szx, 1)?.fetch_once();
        match (fetched, self.child.try_wait()?) {
            (Err(_), Some(status)) => bail!("ended with {status}"),
            (fetched, _) => fetched,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Binds this thread, and with it the programs that it starts, to one core.
pub(super) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores).with_context(|| format!("bind to core {core}"))
}

fn free_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
