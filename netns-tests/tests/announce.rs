//! The file that has avahi announce the relay, with a real avahi and real questions (RFC 6762, RFC 6763), which lead to a relay.

use anyhow::{Context, Result, bail, ensure};
use sixfold_netns_tests::coap_client::{self, Outcome};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{sandbox, wait, workspace};
use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::process::Command;
use std::time::Duration;

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const PATIENCE: Duration = Duration::from_secs(120);
/// No D-Bus, and on the device side alone.
const DAEMON: &str = "\
[server]
host-name=border-router
use-ipv4=no
use-ipv6=yes
enable-dbus=no
allow-interfaces=lowpan0
";

/// Types of records (RFC 1035 section 3.2.2, RFC 2782, RFC 3596).
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// A question, from an ordinary port, so that the answer comes to it alone (RFC 6762 §6.7).
fn question(name: &[String], kind: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes
}

/// The data of the first answer of this kind: where it begins in the message, and its length.
fn answer(message: &[u8], kind: u16) -> Option<(usize, usize)> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let (questions, answers) = (word(4)?, word(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = name(message, at)?.1 + 4;
    }
    for _ in 0..answers {
        let fixed = name(message, at)?.1;
        let length = word(fixed + 8)?.into();
        if word(fixed)? == kind {
            return Some((fixed + 10, length));
        }
        at = fixed + 10 + length;
    }
    None
}

/// The labels of a name, which may go on elsewhere (RFC 1035 section 4.1.4), and what comes behind it here.
fn name(message: &[u8], start: usize) -> Option<(Vec<String>, usize)> {
    let (mut labels, mut at, mut end) = (Vec::new(), start, None);
    // More than there are in any name, so that pointers in a circle end.
    for _ in 0..64 {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => return Some((labels, end.unwrap_or(at + 1))),
            0xc0.. => {
                end = end.or(Some(at + 2));
                at = (length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            }
            _ => {
                labels.push(String::from_utf8_lossy(message.get(at + 1..at + 1 + length)?).into_owned());
                at += 1 + length;
            }
        }
    }
    None
}

fn ask(netns: &Netns, name: &[String], kind: u16) -> Result<Option<Vec<u8>>> {
    netns.enter(|| {
        let index = fs::read_to_string("/proc/thread-self/net/if_inet6")?;
        let line = index.lines().find(|line| line.ends_with("wpan0")).context("no wpan0")?;
        let index = u32::from_str_radix(line.split_whitespace().nth(1).context("no index")?, 16)?;
        let socket = UdpSocket::bind("[::]:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.send_to(&question(name, kind), SocketAddrV6::new(GROUP, 5353, 0, index))?;
        let mut buffer = [0; 1500];
        Ok(socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()))
    })?
}

/// The same, until there is an answer: the message, and where its data begin and end.
fn resolve(netns: &Netns, name: &[String], kind: u16) -> Result<(Vec<u8>, usize, usize)> {
    wait::until(&format!("{name:?}, type {kind}"), PATIENCE, || {
        let message = ask(netns, name, kind).ok().flatten()?;
        let (start, length) = answer(&message, kind)?;
        (start + length <= message.len()).then_some((message, start, start + length))
    })
}

fn labels(name: &str) -> Vec<String> {
    name.split('.').map(ToOwned::to_owned).collect()
}

#[test]
fn a_device_that_asks_for_coap_finds_the_relay() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd, Peer::Avahi, Peer::CoapClient], || {
        // With a certificate authority, which the relay's configuration names.
        let scene = Scene::create("")?;
        let net = &scene.net;
        fs::create_dir_all("/run/avahi/services")?;
        fs::create_dir_all("/run/avahi-daemon")?;
        fs::write("/run/avahi/avahi-daemon.conf", DAEMON)?;
        let sample = workspace::root().join("config/avahi/sixfold-relay.service");
        fs::copy(sample, "/run/avahi/services/sixfold-relay.service")?;
        let mount = Command::new("mount").args(["--bind", "/run/avahi", "/etc/avahi"]).status()?;
        ensure!(mount.success(), "mount: {mount}");
        let mut command = Command::new(Peer::Avahi.program().with_context(|| Peer::Avahi.remedy())?);
        command.args(["--no-drop-root", "--no-chroot", "--no-rlimits", "-f", "/etc/avahi/avahi-daemon.conf"]);
        let _avahi = Process::start(&net.relay, "avahi", command)?;
        let device = &net.devices[0];
        let mut instances = Vec::new();
        for service in ["_coap._udp.local", "_sixfold._sub._coap._udp.local"] {
            let (message, start, _) = resolve(device, &labels(service), PTR)?;
            instances.push(name(&message, start).context("no name")?.0);
        }
        let instance = &instances[0];
        ensure!(
            instance[0] == "Sixfold relay on border-router" && instances[1] == *instance,
            "{instances:?}"
        );
        ensure!(ask(device, &labels("_other._udp.local"), PTR)?.is_none(), "only what is there is announced");

        // From the instance to the relay, as a client of DNS-SD goes (RFC 6763 section 5 and 6).
        let (message, start, _) = resolve(device, instance, SRV)?;
        let port = u16::from_be_bytes([message[start + 4], message[start + 5]]);
        let (host, _) = name(&message, start + 6).context("no host")?;
        let (message, start, end) = resolve(device, instance, TXT)?;
        let text = String::from_utf8(message[start + 1..end].to_vec())?;
        let path = text.strip_prefix("path=").with_context(|| text.clone())?;
        let (message, start, end) = resolve(device, &host, AAAA)?;
        let address = Ipv6Addr::from(<[u8; 16]>::try_from(&message[start..end])?);
        let zone = if address.is_unicast_link_local() { "%wpan0" } else { "" };
        let _relay = Relay::start(&net.relay, CONFIG)?;
        let uri = format!("coap://[{address}{zone}]:{port}{path}");
        let got = coap_client::request(device, &uri, &["-m", "get"])?;
        let Outcome::Body(links) = &got else { bail!("{uri}: {got:?}") };
        ensure!(String::from_utf8_lossy(links).contains("</fw>"), "{uri}: {got:?}");
        Ok(())
    })
}
