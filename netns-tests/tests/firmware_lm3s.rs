//! The boot program on an emulated LM3S6965 board: smoltcp and Sixfold's IPv6 edge on Ethernet, SLAAC from a real router,
//! blocks from the real relay.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::image::image as random_bytes;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::qemu::Machine;
use sixfold_netns_tests::qemu::image::{self, Images};
use sixfold_netns_tests::qemu::record::{self, Record};
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::DEVICE_INTERFACE;
use sixfold_netns_tests::{lamp, nginx, sandbox, workspace};
use sixfold_profile::coap::Szx;
use sixfold_profile::ticket::{Endpoint, Group};
use std::fs;
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

/// The first bytes of the image's ETag, which the relay tells those who ask.
fn ask_for_group(netns: &Netns) -> Result<(Endpoint, Vec<u8>)> {
    let printed = lamp::expect_prepare(netns, &lamp::prepare_with(lamp::FLASH, "--szx 64"), 0, "")?;
    let group = &serde_json::from_str::<Value>(&printed)?["group"];
    let text = |field: &str| group[field].as_str().context("no group");
    let port = group["port"].as_u64().context("no port")?;
    let token = text("token")?;
    let token = (0..token.len()).step_by(2).map(|at| u8::from_str_radix(&token[at..at + 2], 16));
    let endpoint = Endpoint { address: text("address")?.parse()?, port: port.try_into()? };
    Ok((endpoint, token.collect::<Result<_, _>>()?))
}

/// smoltcp's multicast, and the core's part in a group, beside those of Linux.
#[test]
fn a_board_and_a_linux_device_hear_the_same_stream() -> Result<()> {
    if let Images::Missing(what) = image::build()? {
        return sandbox::skip_or_fail("a_board_and_a_linux_device_hear_the_same_stream", &what);
    }
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let bytes = random_bytes(1, IMAGE_BYTES);
        let device = &scene.net.devices[0];
        lamp::make_keys(device)?;
        lamp::sign(device, "lamp.bin", &bytes, 1, &lamp::KEY)?;
        let relay =
            Relay::start(&scene.net.relay, &format!("{CONFIG}\n[[link]]\ninterface = \"lowpan0\"\n"))?;
        lamp::create_flash(device, lamp::FLASH, &["--slot-size", "65536"])?;
        let (endpoint, token) = ask_for_group(device)?;
        let group = Group { endpoint, token: &token };
        // As `prepare` does it: members ask at the port that the stream comes from.
        let relay_endpoint = Endpoint { port: endpoint.port, ..RELAY };
        let record = Record::with_group(&bytes, relay_endpoint, &["fw", "lamp.bin"], Szx::B64, Some(group))?;
        let mut machine = lm3s(&scene.net.relay)?;
        machine.program(FLASH, &record.in_flash())?;
        let unicast_before = relay.metric("sixfold_responses_total{code=\"2.05\"")?;
        machine.run()?;
        // The board begins alone, and asks for each block. With the second member the stream begins.
        while !machine.serial.line()?.ends_with("chunks") {}
        let boot = ["boot", "--flash", lamp::FLASH, "--extract", "/run/running.bin", "--json"];
        let mut boot = Process::start(device, "boot", workspace::program("sixfold-device", &boot))?;
        let expected = record::hex(&record::digest(&bytes));
        loop {
            let line = machine.serial.line()?;
            ensure!(!line.contains("stopped"), "{line}");
            if let Some(digest) = line.strip_prefix("boot: the slot has SHA-256 ") {
                ensure!(digest == expected, "{digest} instead of {expected}");
                break;
            }
        }
        ensure!(boot.wait(lamp::LIMIT)?.success(), "{}", boot.log());
        ensure!(fs::read("/run/running.bin")? == bytes, "other bytes run");
        let heard = serde_json::from_str::<Value>(&boot.output())?["heard"].as_f64().unwrap_or_default();
        let unicast = relay.metric("sixfold_responses_total{code=\"2.05\"")? - unicast_before;
        let text = format!("Linux heard {heard} in the group, {unicast} went to one alone");
        eprintln!("{text}");
        // Without a group it would be all blocks twice.
        let blocks = IMAGE_BYTES.div_ceil(64) as f64;
        ensure!(heard > blocks / 2.0 && unicast < blocks, "{text}");
        Ok(())
    })
}
