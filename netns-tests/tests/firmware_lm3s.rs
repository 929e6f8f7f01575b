//! The boot program on an emulated LM3S6965 board: smoltcp and Sixfold's IPv6 edge on Ethernet, SLAAC from a real router,
//! blocks from the real relay.

use anyhow::{Result, ensure};
use sixfold_netns_tests::image::image as random_bytes;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::qemu::Machine;
use sixfold_netns_tests::qemu::image::{self, Images};
use sixfold_netns_tests::qemu::record::{self, Record};
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::DEVICE_INTERFACE;
use sixfold_netns_tests::{nginx, sandbox};
use sixfold_profile::coap::Szx;
use sixfold_profile::ticket::Endpoint;
use std::net::Ipv6Addr;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Tun, Peer::QemuArm];
const RELAY: Endpoint = Endpoint { address: Ipv6Addr::new(0x2001, 0xdb8, 6, 0, 0, 0, 0, 1), port: 5683 };
/// The memory that stands in for flash: device-client/firmware/lm3s/src/flash.rs.
const FLASH: u32 = 0x2000_6000;
/// Neither whole pages nor whole words.
const IMAGE_BYTES: usize = 31_001;
/// How many chunks are whole between two resets, at most.
const MOST_CHUNKS: u8 = 12;

#[test]
fn an_image_comes_over_ethernet_whatever_the_resets() -> Result<()> {
    if let Images::Missing(what) = image::build()? {
        return sandbox::skip_or_fail("an_image_comes_over_ethernet_whatever_the_resets", &what);
    }
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let bytes = nginx::publish_image("image.bin", 1, IMAGE_BYTES)?;
        let _relay = Relay::start(&scene.net.relay, CONFIG)?;
        let mut machine = lm3s(&scene.net.relay)?;
        let record = Record::new(&bytes, RELAY, &["fw", "image.bin"], Szx::MAX)?;
        machine.program(FLASH, &record.in_flash())?;
        machine.run()?;
        let resets = reset_until_done(&mut machine, &record::hex(&record::digest(&bytes)))?;
        println!("{resets} resets");
        ensure!(resets >= 3, "{resets} resets are too few");
        Ok(())
    })
}

/// A board whose Ethernet is plugged into the devices' link.
fn lm3s(relay: &Netns) -> Result<Machine> {
    relay.ip(&format!(
        "tuntap add dev tap0 mode tap\nlink set tap0 mtu 1280 master {DEVICE_INTERFACE} up\n"
    ))?;
    let nic = ["-nic", "tap,ifname=tap0,script=no,downscript=no"];
    Machine::create(relay, "lm3s6965evb", &image::path("sixfold-lm3s.elf"), &nic)
}

/// Resets the machine after random numbers of chunks until it says the digest of the slot, which must be `expected`.
fn reset_until_done(machine: &mut Machine, expected: &str) -> Result<u32> {
    let mut moments = random_bytes(2, 64).into_iter().map(|byte| 1 + byte % MOST_CHUNKS);
    let (mut left, mut resets) = (moments.next(), 0);
    loop {
        let line = machine.serial.line()?;
        if let Some(digest) = line.strip_prefix("boot: the slot has SHA-256 ") {
            ensure!(digest == expected, "{digest} instead of {expected}");
            return Ok(resets);
        }
        ensure!(!line.contains("stopped"), "{line}");
        if line.ends_with("chunks") {
            left = left.map(|left| left.saturating_sub(1));
        }
        if left == Some(0) {
            machine.monitor.reset()?;
            resets += 1;
            left = moments.next();
        }
    }
}
