//! The boot program with an IPv6 stack of its own: over TAP and TUN interfaces, and over the laboratory's air.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use sixfold_air::frame;
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_air::topology::NodeId;
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::lab::network::{Network, NodeSocket};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::nginx::{Nginx, Site};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::Relay;
use sixfold_netns_tests::{image, lamp, sandbox, wait, workspace};
use std::collections::HashMap;
use std::fs;

const FLASH: &str = "/run/flash.bin";
const RUNNING: &str = "/run/running.bin";
const STAR: &str = include_str!("../scenarios/star.toml");
const DEVICE: NodeId = NodeId(1);
const BOOT_PROGRAM: NodeId = NodeId(2);
const AIR_SOCKET: &str = "/run/d1.sock";

fn succeed(netns: &Netns, name: &str, arguments: &[&str]) -> Result<String> {
    lamp::expect(netns, name, arguments, 0, "")
}

const LAMP: [&str; 4] = ["--vendor", "example.com", "--class", "lamp"];

/// Publisher, origin and relay: all in the namespace that `interface` leads out of.
struct Source<'n> {
    netns: &'n Netns,
    _nginx: Nginx,
    _relay: Relay<'n>,
}

impl<'n> Source<'n> {
    fn create(netns: &'n Netns, interface: &str) -> Result<Self> {
        netns.ip("link set lo up\n address add 2001:db8:1::2/128 dev lo")?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        let nginx = Nginx::start(netns, &[Site { port: 443, identity: &identity, directives: "" }])?;
        let config = format!(
            "[listen]\ninterface = \"{interface}\"\n\n[[route]]\npath = \"/fw\"\norigin = \"https://origin.test/\"\n\
             ca_file = \"/run/ca/ca.pem\"\n"
        );
        let relay = Relay::start(netns, &config)?;
        lamp::make_keys(netns)?;
        lamp::create_flash(netns, FLASH, &["--slot-size", "4194304"])?;
        Ok(Self { netns, _nginx: nginx, _relay: relay })
    }

    /// Signs an image into nginx's folder.
    fn release(&self, sequence: u64, image: &[u8]) -> Result<()> {
        lamp::sign(self.netns, &format!("lamp-{sequence}.bin"), image, sequence, &lamp::KEY)
    }
}

/// What a main program does, in the namespace of the device or of whoever stands for it.
fn prepare(netns: &Netns, relay: &str, sequence: u64) -> Result<()> {
    let manifest = format!("/fw/lamp-{sequence}.bin.suit");
    let prepare = [
        "prepare",
        "--flash",
        FLASH,
        "--relay",
        relay,
        "--manifest",
        &manifest,
        "--key",
        "/run/key.pub",
        "--secret",
        "/run/secret",
        "--szx",
        "64",
    ];
    succeed(netns, "sixfold-device", &[&prepare[..], &LAMP].concat()).map(|_| ())
}

/// A signed image, and a ticket for it.
struct World<'n> {
    source: Source<'n>,
    image: Vec<u8>,
}

impl<'n> World<'n> {
    fn create(netns: &'n Netns, interface: &str, image_bytes: usize) -> Result<Self> {
        let source = Source::create(netns, interface)?;
        let image = image::image(3, image_bytes);
        source.release(1, &image)?;
        prepare(netns, &format!("coap://[fe80::1%25{interface}]"), 1)?;
        Ok(Self { source, image })
    }

    /// Boots over this link, is killed as soon as it is on its way, and goes on.
    fn updates_over(&self, link: &[&str], mut is_on_its_way: impl FnMut() -> bool) -> Result<()> {
        let netns = self.source.netns;
        let boot = [&["boot", "--flash", FLASH, "--extract", RUNNING], link].concat();
        let mut process = Process::start(netns, "boot", workspace::program("sixfold-device", &boot))?;
        wait::until_true("some chunks", wait::SOON, || is_on_its_way() || !process.is_running())?;
        process.signal(Signal::SIGKILL)?;
        process.wait(lamp::LIMIT)?;
        let kept = chunks(netns)?;
        ensure!((1..self.image.len().div_ceil(4096)).contains(&kept), "{kept} chunks when it was killed");
        succeed(netns, "sixfold-device", &boot)?;
        ensure!(fs::read(RUNNING)? == self.image, "other bytes run");
        Ok(())
    }
}

/// How many chunks are marked in flash.
fn chunks(netns: &Netns) -> Result<usize> {
    let shown = succeed(netns, "sixfold-device", &["flash", "show", FLASH])?;
    let line = shown.lines().find(|line| line.contains(" chunks of ")).with_context(|| shown.clone())?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}

fn over_an_interface(mode: &str) -> Result<()> {
    let netns = Netns::create("relay")?;
    netns.ip(&format!(
        "tuntap add dev boot0 mode {mode}
         link set boot0 up
         address add fe80::1/64 dev boot0 nodad"
    ))?;
    let world = World::create(&netns, "boot0", 2 << 20)?;
    let option = format!("--{mode}");
    let boot = ["boot", "--flash", FLASH, &option, "absent/name"];
    lamp::expect(&netns, "sixfold-device", &boot, 7, "absent/name")?;
    let to_the_device = || netns.sent_bytes("boot0").is_ok_and(|bytes| bytes > 100_000);
    world.updates_over(&[&option, "boot0"], to_the_device)
}

#[test]
fn a_boot_program_updates_over_a_tap_interface() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Tun], || over_an_interface("tap"))
}

#[test]
fn a_boot_program_updates_over_a_tun_interface() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Tun], || over_an_interface("tun"))
}

/// Through the radio laboratory: fragments, losses, and a kill.
#[test]
fn a_boot_program_updates_over_the_air() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd, Peer::Tun], || {
        let overrides = Overrides { devices: Some(1), loss: Some(0.05), ..Overrides::default() };
        let scenario = Scenario::read(STAR, &overrides)?;
        let frames = HashMap::from([(DEVICE, NodeSocket::Frames(AIR_SOCKET.into()))]);
        let network = Network::create(&scenario, 1, &frames, None)?;
        let border_router = network.netns(NodeId::BORDER_ROUTER).context("no border router")?;
        let world = World::create(border_router, "lowpan0", 24 << 10)?;
        let eui64: String = frame::eui64(DEVICE).iter().map(|byte| format!("{byte:02x}")).collect();
        // The border router's frames carry a chunk, and more.
        let to_the_device =
            || network.air.traffic().is_ok_and(|traffic| traffic.counters[0].frames > 4096 / 64 * 3);
        world.updates_over(&["--frames", AIR_SOCKET, "--eui64", &eui64], to_the_device)
    })
}

/// From one signed version to the next, all of it across the air: a main program prepares on the host's stack, a boot program with
/// a stack of its own does the rest. The air knows no node that is first the one and then the other, so there are two.
#[test]
fn a_device_runs_one_version_after_the_other_over_the_air() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd, Peer::Tun], || {
        let overrides = Overrides { devices: Some(2), loss: Some(0.02), ..Overrides::default() };
        let scenario = Scenario::read(STAR, &overrides)?;
        let frames = HashMap::from([(BOOT_PROGRAM, NodeSocket::Frames(AIR_SOCKET.into()))]);
        let network = Network::create(&scenario, 1, &frames, None)?;
        let border_router = network.netns(NodeId::BORDER_ROUTER).context("no border router")?;
        let device = network.netns(DEVICE).context("no device")?;
        let source = Source::create(border_router, "lowpan0")?;
        let eui64: String = frame::eui64(BOOT_PROGRAM).iter().map(|byte| format!("{byte:02x}")).collect();
        let link = ["--frames", AIR_SOCKET, "--eui64", &eui64];
        let sent = || -> Result<Vec<u64>> {
            Ok(network.air.traffic()?.counters.iter().map(|node| node.frames).collect())
        };
        for sequence in 1..=2 {
            let image = image::image(sequence, 9000 + sequence as usize);
            source.release(sequence, &image)?;
            let before = sent()?;
            prepare(device, "coap://[fe80::1%25air0]", sequence)?;
            let prepared = sent()?;
            ensure!(
                prepared[DEVICE.index()] > before[DEVICE.index()],
                "the main program sent nothing by air"
            );
            let boot = [&["boot", "--flash", FLASH, "--extract", RUNNING, "--json"], &link[..]].concat();
            let result: Value = serde_json::from_str(&succeed(device, "sixfold-device", &boot)?)?;
            ensure!(result["sequence"] == sequence, "{result}");
            ensure!(fs::read(RUNNING)? == image, "other bytes run");
            let booted = sent()?[BOOT_PROGRAM.index()] - prepared[BOOT_PROGRAM.index()];
            // A request for each block of 64 bytes.
            ensure!(booted >= 9000 / 64, "the boot program sent {booted} frames");
        }
        Ok(())
    })
}
