//! What the hosts of a run are made of.

use crate::address::address;
use crate::frame;
use crate::host::{Client, Host};
use crate::peers::{
    CoapClient, CoapServer, Flooder, TFTP_PORT, TftpClient, TftpOptions, TftpServer, image_name,
};
use crate::random::Random;
use crate::scenario::{Origin, Scenario, Scope};
use crate::sim::boot::{BootDevice, Prepared, Told};
use crate::sim::{Device, Relay, Server};
use crate::topology::{NodeId, Role};
use bytes::Bytes;
use sixfold_engine::{Fanout, LinkConfig};
use sixfold_oscore::Keystream;
use sixfold_profile::coap::Szx;
use sixfold_profile::ticket::ContentKey;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::rc::Rc;
use std::sync::Arc;

const COAP_PORT: u16 = 5683;
/// The port of the relay that members of groups are told.
const STREAM_PORT: u16 = 61_616;
/// The first of the ports that systems hand out (RFC 6335 §6).
const CLIENT_PORT: u16 = 49_152;
/// What boot loaders usually ask for.
const TFTP_TIMEOUT_S: u8 = 5;
/// Of all images that are encrypted.
const CONTENT_KEY: ContentKey<'static> = ContentKey { key: &[0x4b; 16], iv: &[0; 16] };
/// The stream of a run's randomness that images are made of.
const IMAGE_STREAM: u64 = 2;

/// What all clients of a run are made of.
pub(super) struct Makings<'s> {
    kind: Server,
    /// As the origin has them.
    pub(super) images: Vec<Arc<[u8]>>,
    szx: Szx,
    /// For boot programs: for each link, for each image.
    prepared: Vec<Vec<Option<Rc<Prepared>>>>,
    /// Which image is the next device's, for each link.
    next: Vec<u32>,
    /// Memory for listening: two for each device.
    memory: std::slice::IterMut<'s, Vec<u8>>,
}

impl<'s> Makings<'s> {
    pub(super) fn new(scenario: &Scenario, kind: Server, seed: u64, memory: &'s mut [Vec<u8>]) -> Self {
        let szx = Szx::from_size(usize::from(scenario.fetch.block_bytes)).unwrap_or(Szx::B64);
        let plain = images(scenario, seed);
        let content_key = scenario.fetch.encrypted.then_some(CONTENT_KEY);
        let images: Vec<_> = plain.iter().map(|image| published(image, content_key)).collect();
        let etags = if kind.is_boot() { etags(scenario, &images) } else { Vec::new() };
        let prepared = |root: NodeId| -> Vec<_> {
            let of = |(number, etag): (u32, &Option<Vec<u8>>)| {
                let relay = server_endpoint(scenario, kind, root);
                let told = Told { relay, group: fanout(scenario), etag: etag.as_deref()?, content_key };
                Prepared::new(&told, number, plain.get(number as usize)?, szx).map(Rc::new)
            };
            (0..).zip(&etags).map(of).collect()
        };
        let roots = scenario.topology.roots().filter(|_| kind.is_boot());
        Self {
            kind,
            prepared: roots.map(prepared).collect(),
            next: (0..).take(scenario.topology.roots().count()).collect(),
            images,
            szx,
            memory: memory.iter_mut(),
        }
    }

    pub(super) fn client(
        &mut self,
        scenario: &Scenario,
        node: NodeId,
        random: &mut Random,
    ) -> Box<dyn Client + 's> {
        let role = scenario.topology.node(node).role;
        let link = scenario.topology.node(node).link as usize;
        let root = scenario.topology.roots().nth(link).unwrap_or(NodeId::BORDER_ROUTER);
        let (local, server) =
            (endpoint(scenario, node, CLIENT_PORT), server_endpoint(scenario, self.kind, root));
        let number = self.next[link] % scenario.fetch.images;
        self.next[link] += 1;
        let (image, szx) = (self.images[number as usize].clone(), self.szx);
        let coap_client = |image, random: &mut Random| {
            CoapClient::new(local, server, image, szx, random.split()).of(image_name(number))
        };
        match (role, self.kind) {
            (Role::Flood, _) => {
                let blocks = image.len().div_ceil(szx.size()) as u32;
                Box::new(Flooder::new(
                    local,
                    server,
                    blocks,
                    szx,
                    scenario.disturbance.flood_per_s,
                    random.split(),
                ))
            }
            (Role::Mute, _) => Box::new(coap_client(image, random).mute()),
            (Role::Legacy, _) | (_, Server::Legacy | Server::Rfc7252) => Box::new(coap_client(image, random)),
            (_, Server::Boot | Server::Fanout) => {
                let prepared = self.prepared[link][number as usize].clone();
                let memory = self.memory.by_ref().take(2).map(Vec::as_mut_slice).collect();
                Box::new(BootDevice::new(local, server, prepared, memory, random.split()))
            }
            (_, Server::Ours) => {
                let restart_after = scenario.fetch.restart_after;
                Box::new(Device::new(local, server, number, image, szx, restart_after, random.split()))
            }
            (_, Server::Tftp) => Box::new(TftpClient::new(local, server, image, TftpOptions::default())),
            (_, Server::TftpOptions) => {
                let options = TftpOptions {
                    block_size: Some(scenario.fetch.block_bytes),
                    timeout: Some(TFTP_TIMEOUT_S),
                    transfer_size: Some(0),
                };
                Box::new(TftpClient::new(local, server, image, options))
            }
        }
    }
}

/// What the origin has of an image.
fn published(image: &Arc<[u8]>, key: Option<ContentKey<'_>>) -> Arc<[u8]> {
    let Some(ContentKey { key, iv }) = key else { return image.clone() };
    let mut bytes = image.to_vec();
    Keystream::new(key, iv).apply(0, &mut bytes);
    bytes.into()
}

/// The images of a run: random bytes, so that none can pass for another.
fn images(scenario: &Scenario, seed: u64) -> Vec<Arc<[u8]>> {
    let mut random = Random::new(seed, IMAGE_STREAM);
    let mut image = || (0..scenario.fetch.image_bytes).map(|_| random.bits() as u8).collect();
    (0..scenario.fetch.images).map(|_| image()).collect()
}

fn endpoint(scenario: &Scenario, node: NodeId, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address(&scenario.network, node), port, 0, 0)
}

fn server_endpoint(scenario: &Scenario, kind: Server, root: NodeId) -> SocketAddrV6 {
    let port = match kind {
        Server::Tftp | Server::TftpOptions => TFTP_PORT,
        Server::Fanout => STREAM_PORT,
        _ => COAP_PORT,
    };
    endpoint(scenario, root, port)
}

/// How the relay fans out: link-local groups go one hop.
fn fanout(scenario: &Scenario) -> Fanout {
    let one_hop = Fanout { repair: scenario.fetch.repair, ..Fanout::default() };
    match scenario.network.scope {
        Scope::LinkLocal => one_hop,
        Scope::Global => {
            let group = Ipv6Addr::new(0xff03, 0, 0, 0, 0, 0, 0, 0xfd);
            Fanout { group, hop_limit: 64, ..one_hop }
        }
    }
}

/// How the relay paces its links: it knows the radio of the border router.
fn link(scenario: &Scenario) -> LinkConfig {
    let min_be = u8::try_from(scenario.radio.border_router_min_be).unwrap_or(u8::MAX);
    let radio = sixfold_engine::Radio { min_be, ..sixfold_engine::Radio::default() };
    let eui64 = Some(frame::eui64(NodeId::BORDER_ROUTER));
    LinkConfig { radio, eui64, fanout: Some(fanout(scenario)), ..LinkConfig::default() }
}

/// The ETag of each image, as a main program learns it from the relay before its device reboots.
fn etags(scenario: &Scenario, images: &[Arc<[u8]>]) -> Vec<Option<Vec<u8>>> {
    let images: Vec<Bytes> = images.iter().map(|image| Bytes::copy_from_slice(image)).collect();
    let local = server_endpoint(scenario, Server::Fanout, NodeId::BORDER_ROUTER);
    let relay = || Relay::new(vec![local], images.clone(), Origin::default(), link(scenario), [0; 32]);
    (0..).take(images.len()).map(|number| relay().etag(number)).collect()
}

/// The server of a run, at all radios of the border router.
pub(super) fn server(
    scenario: &Scenario,
    kind: Server,
    images: &[Arc<[u8]>],
    random: &mut Random,
) -> Box<dyn Host> {
    let local = server_endpoint(scenario, kind, NodeId::BORDER_ROUTER);
    let image = images[0].clone();
    match kind {
        Server::Ours | Server::Boot | Server::Fanout | Server::Legacy => {
            let roots = scenario.topology.roots();
            let locals = roots.map(|root| server_endpoint(scenario, kind, root)).collect();
            let images = images.iter().map(|image| Bytes::copy_from_slice(image)).collect();
            Box::new(Relay::new(locals, images, scenario.origin, link(scenario), random.seed()))
        }
        Server::Rfc7252 => Box::new(CoapServer::new(local, image, Szx::MAX)),
        Server::Tftp | Server::TftpOptions => {
            Box::new(TftpServer::new(local, image, kind == Server::TftpOptions))
        }
    }
}
