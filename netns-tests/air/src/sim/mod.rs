//! A scenario in virtual time: the air, a server on the border router, and a client on every device.
//!
//! Nothing here waits: the clock jumps to whatever is due next.

mod agenda;
mod boot;
mod device;
mod flash;
mod fleet;
mod makings;
mod power;
mod relay;
mod target;

pub use device::Device;
pub use relay::Relay;

use crate::outcome::Outcome;
use crate::peers::TFTP_BLOCK_SIZE;
use crate::scenario::{Fetch, Scenario};
use crate::topology::Role;
use fleet::Fleet;
use target::target;

/// Who serves the image to the devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// The relay's engine, and devices with the device client's core, as `sixfold-device fetch` has it.
    Ours,
    /// The relay's engine, and devices that run the boot program's core over flash.
    Boot,
    /// The relay's engine, and devices that run the boot program's core over flash and hear what goes to their group.
    Fanout,
    /// The relay's engine, and clients with RFC 7252's defaults that know nothing of it.
    Legacy,
    /// A stateless block-wise server (RFC 7959) that answers at once, and clients with RFC 7252's defaults.
    Rfc7252,
    /// TFTP as RFC 1350 has it: 512 bytes in lock-step.
    Tftp,
    /// TFTP with the options of RFC 2347–2349: blocks of the scenario's size, time-out and size negotiated.
    TftpOptions,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Ours, Self::Boot, Self::Fanout, Self::Legacy, Self::Rfc7252, Self::Tftp, Self::TftpOptions];

    /// The name in reports and on the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Boot => "boot",
            Self::Fanout => "fanout",
            Self::Legacy => "legacy",
            Self::Rfc7252 => "rfc7252",
            Self::Tftp => "tftp",
            Self::TftpOptions => "tftp-options",
        }
    }

    /// The size of its blocks in bytes: the scenario's, but for TFTP, which knows one size only.
    pub const fn block_bytes(self, fetch: &Fetch) -> u16 {
        match self {
            Self::Tftp => TFTP_BLOCK_SIZE,
            _ => fetch.block_bytes,
        }
    }

    /// Whether it is the relay's engine.
    pub const fn is_relay(self) -> bool {
        matches!(self, Self::Ours | Self::Boot | Self::Fanout | Self::Legacy)
    }

    /// Whether its devices run the boot program's core.
    const fn is_boot(self) -> bool {
        matches!(self, Self::Boot | Self::Fanout)
    }

    /// Why it cannot run this scenario, if so: TFTP counts 65 535 blocks (RFC 1350 §5), and only the relay has several
    /// images and links, and something to defend.
    pub fn refuses(self, scenario: &Scenario) -> Option<String> {
        let (label, fetch) = (self.label(), &scenario.fetch);
        let block = self.block_bytes(fetch);
        let most = u32::from(block) * u32::from(u16::MAX);
        if matches!(self, Self::Tftp | Self::TftpOptions) && fetch.image_bytes >= most {
            return Some(format!(
                "{label} cannot carry {} bytes in blocks of {block}: it counts 65535 blocks; give a smaller image or larger blocks",
                fetch.image_bytes
            ));
        }
        let topology = &scenario.topology;
        let is_guest = |role| !matches!(role, Role::Forward | Role::Fetch);
        let has_guests = topology.nodes.iter().any(|node| is_guest(node.role));
        (!self.is_relay() && (fetch.images > 1 || has_guests || topology.roots().count() > 1)).then(|| {
            format!("{label} serves one image to its own devices on one link; give a server that is the relay's engine")
        })
    }
}

/// Runs a scenario until every device is done or has given up, or its time is over.
pub fn run(scenario: &Scenario, server: Server, seed: u64) -> Outcome {
    // A device lends its memory anew when its power comes back, which happens once at most.
    let listeners = if server == Server::Fanout { 2 * scenario.topology.fetchers().count() } else { 0 };
    let mut memory = vec![vec![0; scenario.fetch.listen_memory]; listeners];
    Fleet::new(scenario, server, seed, &mut memory).run()
}
