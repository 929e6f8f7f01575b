//! The file that has avahi announce the relay, with a real avahi and a real question (RFC 6762, RFC 6763).

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::topology::Topology;
use sixfold_netns_tests::{sandbox, wait, workspace};
use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::process::Command;
use std::time::Duration;

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const PATIENCE: Duration = Duration::from_secs(30);
/// No D-Bus, and on the device side alone.
const DAEMON: &str = "\
[server]
host-name=border-router
use-ipv4=no
use-ipv6=yes
enable-dbus=no
allow-interfaces=lowpan0
";

/// A question for the names of this service, from an ordinary port, so that the answer comes to it alone (RFC 6762 §6.7).
fn question(service: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in service {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 12, 0, 1]);
    bytes
}

fn ask(netns: &Netns, service: &[&str]) -> Result<Option<Vec<u8>>> {
    netns.enter(|| {
        let index = fs::read_to_string("/proc/thread-self/net/if_inet6")?;
        let line = index.lines().find(|line| line.ends_with("wpan0")).context("no wpan0")?;
        let index = u32::from_str_radix(line.split_whitespace().nth(1).context("no index")?, 16)?;
        let socket = UdpSocket::bind("[::]:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.send_to(&question(service), SocketAddrV6::new(GROUP, 5353, 0, index))?;
        let mut buffer = [0; 1500];
        Ok(socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()))
    })?
}

#[test]
fn a_device_that_asks_for_coap_finds_the_relay() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Avahi], || {
        let net = Topology::create(1)?;
        fs::create_dir_all("/run/avahi/services")?;
        fs::create_dir_all("/run/avahi-daemon")?;
        fs::write("/run/avahi/avahi-daemon.conf", DAEMON)?;
        let sample = workspace::root().join("config/avahi/sixfold-relay.service");
        fs::copy(sample, "/run/avahi/services/sixfold-relay.service")?;
        let mount = Command::new("mount").args(["--bind", "/run/avahi", "/etc/avahi"]).status()?;
        ensure!(mount.success(), "mount: {mount}");
        let mut command = Command::new(Peer::Avahi.program().context(Peer::Avahi.remedy())?);
        command.args(["--no-drop-root", "--no-chroot", "--no-rlimits", "-f", "/etc/avahi/avahi-daemon.conf"]);
        let _avahi = Process::start(&net.relay, "avahi", command)?;
        for service in [&["_coap", "_udp", "local"][..], &["_sixfold", "_sub", "_coap", "_udp", "local"]] {
            let answer = wait::until(&format!("{service:?}"), PATIENCE, || {
                ask(&net.devices[0], service).ok().flatten()
            })?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            ensure!(text.contains("Sixfold relay on border-router"), "{text:?}");
        }
        ensure!(
            ask(&net.devices[0], &["_other", "_udp", "local"])?.is_none(),
            "only what is there is announced"
        );
        Ok(())
    })
}
