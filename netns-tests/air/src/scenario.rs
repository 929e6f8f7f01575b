//! A scenario: everything that decides a run except the seed.
//!
//! [`Scenario::read`] makes one of the text of a TOML file; `netns-tests/scenarios/` has samples, which are the manual
//! of the format. Opening files is the program's business.

mod mistakes;
mod nodes;
mod overrides;
mod plan;
mod read;
mod reader;
mod values;

pub use mistakes::{Mistake, Mistakes};
pub use overrides::{Overrides, block_bytes_from_szx};
pub use read::MOST_IMAGES;

use crate::mac;
use crate::topology::Topology;
use sixfold_engine::Repair;
use std::time::Duration;

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// A name for reports.
    pub name: String,
    /// The channel and the MAC sublayer.
    pub radio: Radio,
    /// 6LoWPAN and addresses.
    pub network: Network,
    /// The nodes.
    pub topology: Topology,
    /// What the devices fetch.
    pub fetch: Fetch,
    /// The server behind the relay.
    pub origin: Origin,
    /// What goes wrong.
    pub disturbance: Disturbance,
}

impl Scenario {
    /// The mean loss over all directed links.
    pub fn mean_loss(&self) -> f64 {
        let links = self.topology.nodes.iter().filter(|node| node.parent.is_some());
        let (sum, count) = links
            .fold((0.0, 0_u32), |(sum, count), node| (sum + node.up.mean() + node.down.mean(), count + 2));
        if count > 0 { sum / f64::from(count) } else { 0.0 }
    }
}

/// The channel and the MAC sublayer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Radio {
    /// Unicast frames ask for an acknowledgement and are sent again without one. Linux does not by default.
    pub acknowledged: bool,
    /// Frames carry an auxiliary security header and a MIC-32.
    pub security: bool,
    /// Whether nodes sense the carrier before they send. mac802154_hwsim does not.
    pub csma: bool,
    /// `macMinBe` of the border router: the others have the standard's.
    pub border_router_min_be: u32,
    /// How many frames may wait at the border router.
    pub border_router_queue: usize,
    /// How many frames may wait at every other node.
    pub queue: usize,
}

impl Default for Radio {
    fn default() -> Self {
        Self {
            acknowledged: true,
            security: false,
            csma: true,
            border_router_min_be: mac::MIN_BE,
            border_router_queue: 256,
            queue: 32,
        }
    }
}

/// 6LoWPAN and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Which addresses of the border router and the devices are used.
    pub scope: Scope,
    /// How the lower half of addresses is made.
    pub interface_identifiers: InterfaceIdentifiers,
    /// After how long the fragments of an incomplete datagram are thrown away (RFC 4944 §5.3: at most 60 s).
    pub reassembly_timeout: Duration,
    /// How many datagrams a node can reassemble at once; the border router has 64 times as many.
    pub reassembly_buffers: usize,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            scope: Scope::LinkLocal,
            interface_identifiers: InterfaceIdentifiers::Private,
            reassembly_timeout: Duration::from_secs(60),
            reassembly_buffers: 4,
        }
    }
}

/// The scope of the addresses in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `fe80::/64`, which compresses well and goes one hop.
    LinkLocal,
    /// A unique local prefix. It stands in full in every datagram: there is no compression context.
    Global,
}

/// How interface identifiers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceIdentifiers {
    /// Stable and opaque (RFC 7217): 8 bytes in every header.
    Private,
    /// The devices' stable and opaque, the border router's from its EUI-64, as Linux makes the link-local address of a 6LoWPAN
    /// interface.
    PrivateDevices,
    /// From the EUI-64: elided when the frame's address says it already (RFC 6282 §3.2.2).
    Eui64,
}

/// What the devices fetch and when they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The size of the image in bytes.
    pub image_bytes: u32,
    /// The size of a block in bytes: 16, 32, … 1024.
    pub block_bytes: u16,
    /// How many different images there are. Devices of a link have them in turn; the first device of the first link has the
    /// first image, that of the second link the second.
    pub images: u32,
    /// How many bytes of memory a listening device has for it.
    pub listen_memory: usize,
    /// How the relay makes up for what listening devices lose.
    pub repair: Repair,
    /// The images are encrypted, and each boot program has the key. It is nothing to servers, and to other clients.
    pub encrypted: bool,
    /// Every device powers on at a random moment within this time.
    pub power_on_within: Duration,
    /// When the run ends, whoever is not done then.
    pub give_up_after: Duration,
    /// Our devices that got no answer begin again after this time, where they were; without it they give up.
    pub restart_after: Option<Duration>,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            image_bytes: 96 * 1024,
            block_bytes: 64,
            images: 1,
            listen_memory: 16 * 1024,
            repair: Repair::Parity,
            encrypted: false,
            power_on_within: Duration::from_secs(1),
            give_up_after: Duration::from_secs(6 * 3600),
            restart_after: None,
        }
    }
}

/// The origin server, as the relay sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// From the request to the first byte.
    pub delay: Duration,
    /// Bytes a second from then on.
    pub bytes_per_s: u32,
    /// For how long the image is fresh. The default is what the relay assumes of an origin that does not say.
    pub max_age: Duration,
}

impl Default for Origin {
    fn default() -> Self {
        Self { delay: Duration::from_millis(50), bytes_per_s: 1_000_000, max_age: Duration::from_secs(300) }
    }
}

/// What goes wrong while devices fetch. Which devices it hits is a matter of the seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disturbance {
    /// The share of the devices that power on late.
    pub late: f64,
    /// When the time begins within which they do.
    pub late_after: Duration,
    /// How long that time is.
    pub late_within: Duration,
    /// The share of the devices whose power fails once.
    pub reboots: f64,
    /// When the time begins within which it does.
    pub reboots_after: Duration,
    /// How long that time is.
    pub reboots_within: Duration,
    /// For how long they are off.
    pub off: Duration,
    /// How many requests a second each flooder sends.
    pub flood_per_s: u32,
}

impl Default for Disturbance {
    fn default() -> Self {
        Self {
            late: 0.0,
            late_after: Duration::from_secs(5),
            late_within: Duration::ZERO,
            reboots: 0.0,
            reboots_after: Duration::ZERO,
            reboots_within: Duration::from_secs(10),
            off: Duration::from_millis(500),
            flood_per_s: 10,
        }
    }
}
