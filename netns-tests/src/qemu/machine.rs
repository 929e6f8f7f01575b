//! A running `qemu-system-arm`, and its three connections.

use super::{DebugPort, Monitor, SerialLine};
use crate::netns::Netns;
use crate::process::Terminated;
use crate::{peer, wait};
use anyhow::{Context, Result, ensure};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// A machine. It ends when this is dropped.
#[derive(Debug)]
pub struct Machine {
    /// Its first UART.
    pub serial: SerialLine,
    /// Its power, so to speak.
    pub monitor: Monitor,
    debug_port: Option<DebugPort>,
    _process: Terminated,
}

impl Machine {
    /// A machine of QEMU's type `board` with `program` where it starts; it does not run yet. `arguments` go to QEMU,
    /// which finds its interfaces in `netns`.
    pub fn create(netns: &Netns, board: &str, program: &Path, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [serial, monitor, debug] = ["serial", "monitor", "debug"].map(|name| folder.path().join(name));
        let [serial_end, monitor_end, debug_end] =
            [UnixListener::bind(&serial)?, UnixListener::bind(&monitor)?, UnixListener::bind(&debug)?];
        let mut command = Command::new("qemu-system-arm");
        command.env("PATH", peer::search_path()).args(["-machine", board, "-display", "none", "-S"]);
        command.arg("-kernel").arg(program).args(arguments);
        for (option, name, path) in
            [("-serial", "serial", &serial), ("-qmp", "monitor", &monitor), ("-gdb", "debug", &debug)]
        {
            command.arg("-chardev").arg(format!("socket,id={name},path={}", path.display()));
            match option {
                "-qmp" => command.args(["-mon", "chardev=monitor,mode=control"]),
                _ => command.arg(option).arg(format!("chardev:{name}")),
            };
        }
        command.stdin(Stdio::null());
        let child = netns.enter(move || command.spawn())?.context("qemu-system-arm did not start")?;
        let mut process = Terminated(child);
        let serial = SerialLine::new(accept(&serial_end, &mut process)?)?;
        let debug_port = Some(DebugPort::new(accept(&debug_end, &mut process)?)?);
        let monitor = Monitor::new(accept(&monitor_end, &mut process)?)?;
        Ok(Self { serial, monitor, debug_port, _process: process })
    }

    /// Writes memory, flash too, as a programmer in the factory does.
    pub fn program(&mut self, address: u32, bytes: &[u8]) -> Result<()> {
        self.debug_port.as_mut().context("the machine runs already")?.write(address, bytes)
    }

    /// Lets it run. The debug port is let go.
    pub fn run(&mut self) -> Result<()> {
        self.debug_port = None;
        self.monitor.execute("cont")
    }
}

fn accept(listener: &UnixListener, process: &mut Terminated) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    let connected = wait::until("qemu-system-arm to connect", wait::SOON, || match listener.accept() {
        Ok((stream, _)) => Some(Some(stream)),
        Err(_) => (!matches!(process.0.try_wait(), Ok(None))).then_some(None),
    })?;
    ensure!(connected.is_some(), "qemu-system-arm ended at once: its reason is on standard error");
    let stream = connected.context("no connection")?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(wait::SOON))?;
    Ok(stream)
}
