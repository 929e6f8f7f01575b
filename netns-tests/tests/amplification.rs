//! No amplifier, on the wire: ten thousand addresses, each in a network of its own and none of them shown to be live, ask a relay for
//! all that might get a long answer, and its groups too. What every one of them gets is measured against what it sent.

use anyhow::{Context, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sixfold_air::host::Datagram;
use sixfold_air::udp;
use sixfold_netns_tests::lab::tun::Tun;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, nginx, sandbox, wait};
use sixfold_profile::coap::{Code, Message, Type, Writer, option, params};
use std::collections::HashMap;
use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Tun];

/// Where forged packets come in, and answers to them go out.
const INTERFACE: &str = "attack0";
const RELAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 6, 0, 0, 0, 0, 1);
const GROUPS: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd), Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xfd)];

const SOURCES: u16 = 10_000;
/// Requests of each.
const EACH: u16 = 3;
/// Sources between two questions whether the relay has taken all so far.
const BATCH: u16 = 100;
/// Batches between two devices that fetch an image meanwhile.
const FETCH_EVERY: u16 = 20;
/// The source of these questions.
const PROBE: u16 = 0xffff;

/// The tables of all these sources, in bytes, are no larger than this.
const MEMORY: u64 = 16 << 20;

/// What is sent and received, of UDP alone and with its headers.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    sent: usize,
    received: usize,
    packets_sent: usize,
    packets_received: usize,
}

impl Traffic {
    fn factor(self) -> f64 {
        self.received as f64 / self.sent as f64
    }
}

/// Sources, and what they sent and received.
struct Flood {
    tun: Tun,
    traffic: HashMap<Ipv6Addr, Traffic>,
    /// The Message ID of the latest empty message that the probe got.
    pong: Option<u16>,
}

/// An address in the Nth network of somewhere else.
fn source(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xbad, n, 0, 0, 0, 1)
}

impl Flood {
    fn create(netns: &Netns) -> Result<Self> {
        let tun = Tun::create(netns, INTERFACE)?;
        netns.ip(&format!("link set {INTERFACE} up\nroute add 2001:db8:bad::/48 dev {INTERFACE}"))?;
        Ok(Self { tun, traffic: HashMap::new(), pong: None })
    }

    fn send(&mut self, n: u16, to: Ipv6Addr, payload: &[u8]) -> Result<()> {
        let from = SocketAddrV6::new(source(n), 10_000, 0, 0);
        let packet =
            udp::packet(&Datagram { from, to: SocketAddrV6::new(to, 5683, 0, 0), payload: payload.to_vec() });
        ensure!(self.tun.send(&packet), "the system does not take packets");
        let traffic = self.traffic.entry(source(n)).or_default();
        traffic.sent += payload.len();
        traffic.packets_sent += packet.len();
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        let mut packet = [0; 2048];
        while let Some(length) = self.tun.receive(&mut packet)? {
            let packet = &packet[..length];
            let Some(datagram) = udp::datagram(packet) else { continue };
            let traffic = self.traffic.entry(*datagram.to.ip()).or_default();
            traffic.received += datagram.payload.len();
            traffic.packets_received += packet.len();
            let message = Message::parse(&datagram.payload).ok();
            if *datagram.to.ip() == source(PROBE)
                && let Some(message) = message.filter(|message| message.message_type == Type::Reset)
            {
                self.pong = Some(message.message_id);
            }
        }
        Ok(())
    }

    fn wait(&self, limit: Duration) -> Result<()> {
        let mut ready = [PollFd::new(self.tun.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::try_from(limit)?)?;
        Ok(())
    }

    /// Waits until the relay has taken everything so far, which it does in order: a CoAP ping (RFC 7252 §4.3).
    fn settle(&mut self, message_id: u16) -> Result<()> {
        let [high, low] = message_id.to_be_bytes();
        self.send(PROBE, RELAY, &[0x40, 0, high, low])?;
        let start = Instant::now();
        while self.pong != Some(message_id) {
            ensure!(start.elapsed() < wait::SOON, "the relay does not answer");
            self.wait(Duration::from_millis(100))?;
            self.receive()?;
        }
        Ok(())
    }
}

/// One kind of request.
struct Kind {
    name: &'static str,
    to: Ipv6Addr,
    message_type: Type,
    code: Code,
    token: usize,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

fn kind(name: &'static str, options: &[(u16, &[u8])]) -> Kind {
    let options = options.iter().map(|&(number, value)| (number, value.to_vec())).collect();
    let (message_type, code) = (Type::Confirmable, Code::GET);
    Kind { name, to: RELAY, message_type, code, token: 1, options, payload: Vec::new() }
}

/// All that might get a long answer, and what others have been made amplifiers with.
fn kinds() -> Vec<Kind> {
    let (path, image): (u16, &[(u16, &[u8])]) =
        (option::URI_PATH, &[(option::URI_PATH, b"fw"), (option::URI_PATH, b"image.bin")]);
    let core: &[(u16, &[u8])] = &[(path, b".well-known"), (path, b"core")];
    let edhoc: &[(u16, &[u8])] = &[(path, b".well-known"), (path, b"edhoc")];
    let of_image = |name, after: &[(u16, &[u8])]| kind(name, &[image, after].concat());
    let observe: &[(u16, &[u8])] = &[(option::OBSERVE, b"")];
    let to_group =
        |name, group, options| Kind { to: group, message_type: Type::NonConfirmable, ..kind(name, options) };
    vec![
        of_image("the largest block", &[(option::BLOCK2, &[6])]),
        of_image("an image, NON", &[]).non(),
        Kind { token: 8, ..of_image("an image and its size", &[(option::SIZE2, b"")]) },
        of_image("blocks at once", &[(option::Q_BLOCK2, &[6])]),
        of_image("an old Echo value", &[(option::ECHO, &[1; 8])]),
        kind("notifications", &[observe, image].concat()),
        kind("discovery", core),
        kind("a forward proxy", &[(option::PROXY_URI, b"https://origin.test/image.bin")]),
        kind("what is not there", &[(path, b"fw"), (path, b"x")]),
        kind("an option that nobody knows", &[image, &[(2049, b"")]].concat()),
        Kind { code: Code::POST, ..of_image("a method that is not allowed", &[]) },
        Kind {
            code: Code::POST,
            payload: vec![7; 20],
            ..kind("a session that is not there", &[(option::OSCORE, &[9, 1, 7])])
        },
        Kind { code: Code::POST, payload: vec![3, 2, 0x58], ..kind("EDHOC", edhoc) },
        to_group("discovery of a link's group", GROUPS[0], core),
        to_group("discovery of a site's group", GROUPS[1], core),
        to_group("an image of a group", GROUPS[1], image),
    ]
}

impl Kind {
    fn non(self) -> Self {
        Self { message_type: Type::NonConfirmable, ..self }
    }

    /// Whether it is answered at all.
    fn is_answered(&self) -> bool {
        self.name != "an image of a group"
    }

    fn datagram(&self, message_id: u16) -> Result<Vec<u8>> {
        let mut buffer = [0; 256];
        let token = [7; 8];
        let mut writer =
            Writer::new(&mut buffer, self.message_type, self.code, message_id, &token[..self.token])
                .map_err(|_| anyhow::anyhow!("a Token that is too long"))?;
        for (number, value) in &self.options {
            writer.option(*number, value).map_err(|_| anyhow::anyhow!("options of {}", self.name))?;
        }
        let length = writer.payload(&self.payload).map_err(|_| anyhow::anyhow!("{}", self.name))?;
        Ok(buffer[..length].to_vec())
    }
}

/// What a process has in memory, in bytes.
fn resident(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes << 10)
}

fn has_joined(netns: &Netns) -> bool {
    let table = netns.enter(|| fs::read_to_string("/proc/thread-self/net/igmp6")).ok().and_then(Result::ok);
    let groups = GROUPS.map(|group| format!("{:032x}", group.to_bits()));
    let is_member = |group: &String| {
        table
            .iter()
            .flat_map(|table| table.lines())
            .any(|line| line.contains(INTERFACE) && line.contains(group))
    };
    groups.iter().all(is_member)
}

#[test]
fn ten_thousand_forged_sources_get_three_times_what_they_sent_at_most() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 60_000)?;
        let mut flood = Flood::create(&scene.net.relay)?;
        let config = CONFIG.replace("interface = \"lowpan0\"\n", "")
            + "[proxy]\nforward = [\"https://origin.test/\"]\n";
        let relay = Relay::start(&scene.net.relay, &config)?;
        wait::until_true("the groups to be joined", wait::SOON, || has_joined(&scene.net.relay))?;
        let fetch = |name: &str| device::fetch(&scene.net.devices[0], name, "/fw/image.bin", &[]);
        ensure!(fetch("first")?.image(wait::SOON)? == image, "an honest device, before");
        flood.settle(0)?;
        let before = resident(relay.id())?;

        let kinds = kinds();
        for batch in 0..SOURCES / BATCH {
            let honest = (batch % FETCH_EVERY == 0).then(|| fetch(&format!("honest{batch}"))).transpose()?;
            for n in batch * BATCH..(batch + 1) * BATCH {
                let kind = &kinds[usize::from(n) % kinds.len()];
                for message_id in 0..EACH {
                    flood.send(n, kind.to, &kind.datagram(message_id)?)?;
                }
                flood.receive()?;
            }
            flood.settle(batch + 1)?;
            if let Some(honest) = honest {
                ensure!(honest.image(wait::SOON)? == image, "an honest device, meanwhile");
            }
        }
        let grown = resident(relay.id())?.saturating_sub(before);
        // Groups are answered after their leisure; and what is sent again would be by then.
        let end = Instant::now() + 2 * params::DEFAULT_LEISURE;
        while Instant::now() < end {
            flood.wait(Duration::from_millis(100))?;
            flood.receive()?;
        }

        flood.traffic.remove(&source(PROBE));
        ensure!(flood.traffic.len() == usize::from(SOURCES), "{} addresses", flood.traffic.len());
        let (mut all, mut of_kinds) = (Traffic::default(), vec![Traffic::default(); kinds.len()]);
        for n in 0..SOURCES {
            let one = flood.traffic[&source(n)];
            let kind = usize::from(n) % kinds.len();
            ensure!(one.received <= 3 * one.sent, "{}: {one:?}", kinds[kind].name);
            ensure!(one.packets_received <= 3 * one.packets_sent, "{}: {one:?}", kinds[kind].name);
            for sum in [&mut all, &mut of_kinds[kind]] {
                sum.sent += one.sent;
                sum.received += one.received;
                sum.packets_sent += one.packets_sent;
                sum.packets_received += one.packets_received;
            }
        }
        for (kind, traffic) in kinds.iter().zip(&of_kinds) {
            println!(
                "{:<32} {:>8} bytes sent, {:>8} received: {:.2}",
                kind.name,
                traffic.sent,
                traffic.received,
                traffic.factor()
            );
            ensure!((traffic.received > 0) == kind.is_answered(), "{}: {traffic:?}", kind.name);
        }
        let with_headers = all.packets_received as f64 / all.packets_sent as f64;
        println!(
            "amplification {:.2}, with IP and UDP headers {with_headers:.2}; {grown} bytes more memory",
            all.factor()
        );
        ensure!(all.factor() <= 3.0 && with_headers <= 3.0, "{all:?}");
        ensure!(grown <= MEMORY, "{grown} bytes more memory");
        Ok(())
    })
}
