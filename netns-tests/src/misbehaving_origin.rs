//! An HTTPS origin server that breaks its promises, see `peers/misbehaving_origin.py`.

use crate::ca::Identity;
use crate::netns::Netns;
use crate::peer::Peer;
use crate::process::Process;
use crate::{wait, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::net::{Ipv6Addr, TcpStream};
use std::process::Command;

/// The port it listens on.
pub const PORT: u16 = 9443;

/// A running origin server that is not to be trusted.
#[derive(Debug)]
pub struct MisbehavingOrigin {
    process: Process,
}

impl MisbehavingOrigin {
    /// Starts it with the file that all its paths pretend to serve.
    pub fn start(netns: &Netns, identity: &Identity, body: &[u8]) -> Result<Self> {
        const BODY: &str = "/run/misbehaving-origin-body";
        fs::write(BODY, body)?;
        let mut command = Command::new(Peer::Aiocoap.program().with_context(|| Peer::Aiocoap.remedy())?);
        command.arg(workspace::root().join("netns-tests/peers/misbehaving_origin.py"));
        command.arg(PORT.to_string()).args([&identity.certificate, &identity.key]).arg(BODY);
        let process = Process::start(netns, "misbehaving-origin", command)?;
        wait::until_true("the misbehaving origin to listen", wait::SOON, || {
            let connected = netns.enter(|| TcpStream::connect((Ipv6Addr::LOCALHOST, PORT)));
            connected.is_ok_and(|stream| stream.is_ok())
        })?;
        Ok(Self { process })
    }

    /// The requests so far: path and Range header.
    pub fn requests(&self) -> Vec<String> {
        self.process.output().lines().map(str::to_owned).collect()
    }
}
