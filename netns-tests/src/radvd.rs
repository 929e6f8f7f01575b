//! radvd: announces a prefix on the device side, as a border router does.

use crate::netns::Netns;
use crate::peer::Peer;
use crate::process::Process;
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

const CONFIG: &str = "/run/radvd.conf";

/// A running radvd.
#[derive(Debug)]
pub struct Radvd {
    _process: Process,
}

impl Radvd {
    /// Announces `prefix` on `interface`, also when the interface comes later or comes back. `options` are radvd's, for
    /// the interface.
    pub fn start(netns: &Netns, interface: &str, prefix: &str, options: &str) -> Result<Self> {
        fs::write(
            CONFIG,
            format!(
                "interface {interface} {{
    IgnoreIfMissing on;
    AdvSendAdvert on;
    MinRtrAdvInterval 3;
    {options}
    AdvLinkMTU 1280;
    prefix {prefix} {{ AdvOnLink on; AdvAutonomous on; }};
}};
"
            ),
        )?;
        netns.sysctl("ipv6/conf/all/forwarding", "1")?;
        let mut command = Command::new(Peer::Radvd.program().with_context(|| Peer::Radvd.remedy())?);
        command.args([
            "--nodaemon",
            "--logmethod",
            "stderr",
            "--pidfile",
            "/run/radvd.pid",
            "--config",
            CONFIG,
        ]);
        Ok(Self { _process: Process::start(netns, "radvd", command)? })
    }
}
