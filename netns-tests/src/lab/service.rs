//! What the border router serves: sixfold-relay, and behind it an HTTPS origin with one image.

use crate::lab::network::Network;
use crate::netns::Netns;
use crate::relay::Relay;
use crate::topology::DEVICE_INTERFACE;
use anyhow::{Context, Result};
use bytes::Bytes;
use sixfold_air::topology::NodeId;
use sixfold_demo::origin::{self, DemoOrigin};
use std::fs;
use tokio::runtime::Runtime;

/// The path of the image on the relay.
pub const PATH: &str = "/fw/image";
const CA_FILE: &str = "/run/origin-ca.pem";

/// A running relay with its origin.
#[derive(Debug)]
pub struct Service<'n> {
    /// First, so that it ends before its origin does.
    relay: Relay<'n>,
    origin: DemoOrigin,
    _runtime: Runtime,
}

impl<'n> Service<'n> {
    /// Serves `image` from the border router, until dropped.
    pub fn start(network: &'n Network, image: Bytes) -> Result<Self> {
        let border_router = network.netns(NodeId::BORDER_ROUTER).context("no border router")?;
        let runtime = Runtime::new()?;
        let origin = border_router.enter(|| runtime.block_on(origin::start(image)))??;
        let relay = start_relay(border_router, &origin)?;
        Ok(Self { relay, origin, _runtime: runtime })
    }

    /// Confirmable messages that the relay has sent once more.
    pub fn retransmissions(&self) -> Result<u64> {
        Ok(self.relay.metric("sixfold_retransmitted_responses_total")? as u64)
    }

    /// Bytes of image that the origin has sent.
    pub fn origin_bytes(&self) -> u64 {
        self.origin.body_bytes()
    }
}

fn start_relay<'n>(border_router: &'n Netns, origin: &DemoOrigin) -> Result<Relay<'n>> {
    fs::write(CA_FILE, origin.ca_pem())?;
    // A TUN device does not say what radio is behind it, as on a Thread border router: the link is named, and is paced as
    // `sixfold_air::sim`'s is.
    let config = format!(
        "[listen]
interface = \"{DEVICE_INTERFACE}\"

[[link]]
interface = \"{DEVICE_INTERFACE}\"

[[route]]
path = \"/fw\"
origin = \"{}\"
ca_file = \"{CA_FILE}\"
",
        origin.url()
    );
    Relay::start(border_router, &config)
}
