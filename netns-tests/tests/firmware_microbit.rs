//! The boot program on an emulated micro:bit: its flash, its serial line to the real relay, and its power.

use anyhow::{Context, Result, ensure};
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_air::topology::NodeId;
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::image::image as random_bytes;
use sixfold_netns_tests::lab::network::{Network, NodeSocket};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::nginx::{self, Nginx, Site};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::qemu::Machine;
use sixfold_netns_tests::qemu::image::{self, Images};
use sixfold_netns_tests::qemu::link::{self, Carried, PacketLink};
use sixfold_netns_tests::qemu::record::{self, Record, SLOT, SLOT_BYTES};
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::DEVICE_INTERFACE;
use sixfold_oscore::{Derived, Secret};
use sixfold_profile::coap::Szx;
use sixfold_profile::ticket::{Endpoint, MAX_TICKET, Numbers, Session};
use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Tun, Peer::QemuArm];
const RELAY: Endpoint = Endpoint { address: link::RELAY, port: 5683 };
/// Neither whole pages nor whole words.
const IMAGE_BYTES: usize = 61_237;
/// Four blocks a chunk, two packets a block.
const BLOCK_BYTES: usize = 256;
/// More than twice the packets of a chunk: there is progress, and chunks are cut in two.
const MOST_PACKETS_BETWEEN_RESETS: u8 = 24;
/// Of the moments of resets.
const SEED: u64 = 1;
const AIR_SOCKET: &str = "/run/d1.sock";

/// Runs `body` where machines, images and peers are to be had.
fn run<F: FnOnce() -> Result<()>>(test: &str, body: F) -> Result<()> {
    match image::build()? {
        Images::Built => sandbox::run(NEEDS, body),
        Images::Missing(what) => sandbox::skip_or_fail(test, &what),
    }
}

/// The main program of a version, and bytes that follow it up to the size of an image.
fn main_program(version: u64) -> Result<Vec<u8>> {
    let mut bytes = fs::read(image::path(&format!("sixfold-microbit-app-{version}.bin")))?;
    bytes.extend(random_bytes(version, IMAGE_BYTES - bytes.len()));
    Ok(bytes)
}

/// What a main program says of itself.
fn identity(version: u64, slot: &[u8]) -> String {
    format!("app: version {version}, {} bytes, SHA-256 {}", slot.len(), record::hex(&record::digest(slot)))
}

/// A micro:bit from the factory, with version 1 in its slot; and what that one says.
fn microbit(netns: &Netns) -> Result<(Machine, String)> {
    let mut machine = Machine::create(netns, "microbit", &image::path("sixfold-microbit.elf"), &[])?;
    let mut slot = main_program(1)?;
    machine.program(SLOT, &slot)?;
    // QEMU's flash is zeros where nothing was written.
    slot.resize(SLOT_BYTES, 0);
    machine.run()?;
    Ok((machine, identity(1, &slot)))
}

fn expect(machine: &mut Machine, lines: &[&str]) -> Result<()> {
    lines.iter().try_for_each(|expected| {
        let line = machine.serial.line()?;
        ensure!(line == *expected, "{line:?} instead of {expected:?}");
        Ok(())
    })
}

const NO_TICKET: [&str; 2] = ["boot", "boot: there is no ticket: run prepare"];

#[test]
fn without_a_whole_ticket_the_old_image_starts() -> Result<()> {
    run("without_a_whole_ticket_the_old_image_starts", || {
        let netns = Netns::create("relay")?;
        let (mut machine, old) = microbit(&netns)?;
        let image = main_program(2)?;
        let record = Record::new(&image, RELAY, &["fw", "image.bin"], Szx::MAX)?;
        expect(&mut machine, &[NO_TICKET[0], NO_TICKET[1], &old])?;
        for parts in 0..record.parts() {
            record.install(&mut machine.serial, parts)?;
            machine.monitor.reset()?;
            expect(&mut machine, &["boot"])?;
            let refusal = machine.serial.line()?;
            ensure!(refusal.contains("run prepare"), "{parts} parts: {refusal}");
            expect(&mut machine, &[&old])?;
        }
        Ok(())
    })
}

/// One update, and what it took.
struct Update {
    packets: u32,
    resets: u32,
}

/// Lets the machine update itself until a main program starts, which must be `expected`; resets it at random moments.
fn update(machine: &mut Machine, link: &PacketLink, expected: &str, seed: u64) -> Result<Update> {
    let mut moments =
        random_bytes(seed, 4096).into_iter().map(|byte| byte % (MOST_PACKETS_BETWEEN_RESETS + 1));
    let mut delays = random_bytes(seed + 1, 4096).into_iter();
    let mut left = moments.next();
    let mut update = Update { packets: 0, resets: 0 };
    loop {
        match link.carry(&mut machine.serial)? {
            Carried::Line(line) if line.starts_with("app: ") => {
                ensure!(line == expected, "{line:?} instead of {expected:?}");
                return Ok(update);
            }
            Carried::Line(line) => {
                ensure!(!line.contains("stopped") && !line.contains("no image"), "{line}");
            }
            Carried::Up | Carried::Down => {
                update.packets += 1;
                left = left.map(|left| left.saturating_sub(1));
            }
        }
        if left == Some(0) {
            // A packet does not start an erasure or a digest alone: some time later is in the middle of either. How much later
            // does not matter to what must be true.
            thread::sleep(Duration::from_micros(u64::from(delays.next().unwrap_or_default()) * 150));
            machine.monitor.reset()?;
            update.resets += 1;
            left = moments.next();
        }
    }
}

/// The origin, a micro:bit, and the serial line between it and whichever relay runs.
struct Rig {
    machine: Machine,
    link: PacketLink,
    scene: Scene,
}

/// A micro:bit whose version 1 has prepared an update to `image`, and was told to restart.
fn prepared(image: &[u8]) -> Result<Rig> {
    let scene = Scene::create("")?;
    let link = PacketLink::create(&scene.net.relay)?;
    let (mut machine, old) = microbit(&scene.net.relay)?;
    expect(&mut machine, &[NO_TICKET[0], NO_TICKET[1], &old])?;
    let szx = Szx::from_size(BLOCK_BYTES).context("block size")?;
    let record = Record::new(image, RELAY, &["fw", "image.bin"], szx)?;
    record.install(&mut machine.serial, record.parts())?;
    machine.serial.send(b"R")?;
    Ok(Rig { machine, link, scene })
}

/// What the relay and the board agreed on: the relay reads it from a file.
const CONTEXT: &str = "\
[[context]]
name = \"microbit\"
recipient_id = \"6d31\"
sender_id = \"\"
master_secret = \"0102030405060708090a0b0c0d0e0f10\"
master_salt = \"9e7ca92223786340\"
";

fn agreed() -> Result<Derived> {
    let master_secret: [u8; 16] = std::array::from_fn(|n| n as u8 + 1);
    let secret = Secret {
        master_secret: &master_secret,
        master_salt: b"\x9e\x7c\xa9\x22\x23\x78\x63\x40",
        id_context: None,
    };
    Ok(Derived::new(secret, b"m1", b"")?)
}

/// What a ticket has of it. There is no way on without it.
fn session(agreed: &Derived) -> Session<'_> {
    let keys = agreed.parameters();
    Session {
        sender_id: keys.sender_id,
        recipient_id: keys.recipient_id,
        sender_key: keys.sender_key,
        recipient_key: keys.recipient_key,
        common_iv: keys.common_iv,
        numbers: Numbers { first: 0, exponent: 30 },
        plain_allowed: false,
    }
}

/// A relay that serves nobody without a session.
fn guarded_relay(netns: &Netns) -> Result<Relay<'_>> {
    fs::write("/run/contexts.toml", CONTEXT)?;
    fs::set_permissions("/run/contexts.toml", fs::Permissions::from_mode(0o600))?;
    fs::create_dir_all("/run/sessions")?;
    let config = CONFIG.replace(DEVICE_INTERFACE, link::INTERFACE);
    let sessions = "[sessions]\nallow_plain = false\nstore = \"/run/sessions/store\"\ncontexts = \"/run/contexts.toml\"\n";
    Relay::start(netns, &format!("{config}\n{sessions}"))
}

/// Each restart takes the next numbers, and the relay refuses any that it has seen.
#[test]
fn a_protected_update_survives_resets_at_any_moment() -> Result<()> {
    run("a_protected_update_survives_resets_at_any_moment", || {
        let image = main_program(2)?;
        let scene = Scene::create("")?;
        nginx::publish("image.bin", &image)?;
        let relay = guarded_relay(&scene.net.relay)?;
        let link = PacketLink::create(&scene.net.relay)?;
        let (mut machine, old) = microbit(&scene.net.relay)?;
        expect(&mut machine, &[NO_TICKET[0], NO_TICKET[1], &old])?;
        let (szx, agreed) = (Szx::from_size(BLOCK_BYTES).context("block size")?, agreed()?);
        let record = Record::with_session(&image, RELAY, &["fw", "image.bin"], szx, session(&agreed))?;
        record.install(&mut machine.serial, record.parts())?;
        machine.serial.send(b"R")?;
        let taken = update(&mut machine, &link, &identity(2, &image), SEED)?;
        println!("{} packets, {} resets", taken.packets, taken.resets);
        ensure!(taken.resets >= 30, "{} resets are too few", taken.resets);
        // Nothing came without protection, nothing twice, and nothing with other keys.
        let refused = relay.metric("sixfold_session_refused_total")?;
        ensure!(refused == 0.0, "{refused} requests were refused: {}", relay.metrics()?);
        Ok(())
    })
}

fn relay(netns: &Netns) -> Result<Relay<'_>> {
    Relay::start(netns, &CONFIG.replace(DEVICE_INTERFACE, link::INTERFACE))
}

#[test]
fn resets_at_any_moment_end_with_the_right_image() -> Result<()> {
    run("resets_at_any_moment_end_with_the_right_image", || {
        let image = main_program(2)?;
        let Rig { mut machine, link, scene } = prepared(&image)?;
        nginx::publish("image.bin", &image)?;
        let _relay = relay(&scene.net.relay)?;
        let new = identity(2, &image);
        let taken = update(&mut machine, &link, &new, SEED)?;
        println!("{} packets, {} resets", taken.packets, taken.resets);
        ensure!(taken.resets >= 30, "{} resets are too few", taken.resets);
        // From now on the image starts without the network. The last of the resets may have come after the image had started: then
        // it has begun to start again.
        machine.monitor.reset()?;
        expect(&mut machine, &["boot"])?;
        loop {
            match machine.serial.line()? {
                line if line == new => return Ok(()),
                line => ensure!(line == "boot", "{line:?} instead of {new:?}"),
            }
        }
    })
}

/// SLIP over the serial line, and from there 6LoWPAN over the laboratory's air, which loses frames.
#[test]
fn an_update_crosses_the_air_of_the_laboratory() -> Result<()> {
    run("an_update_crosses_the_air_of_the_laboratory", || {
        let overrides = Overrides { devices: Some(1), loss: Some(0.02), ..Overrides::default() };
        let scenario = Scenario::read(include_str!("../scenarios/star.toml"), &overrides)?;
        let sockets = HashMap::from([(NodeId(1), NodeSocket::Packets(AIR_SOCKET.into()))]);
        let network = Network::create(&scenario, SEED, &sockets, None)?;
        let netns = network.netns(NodeId::BORDER_ROUTER).context("no border router")?;
        let link = PacketLink::join(AIR_SOCKET.as_ref(), "/run/microbit.sock".as_ref())?;
        let (mut machine, old) = microbit(netns)?;
        expect(&mut machine, &[NO_TICKET[0], NO_TICKET[1], &old])?;
        // Its first pages are those of the factory's: what crosses the air is little enough for a test.
        let image = main_program(2)?;
        netns.ip("link set lo up\n address add 2001:db8:1::2/128 dev lo")?;
        let identity_of_origin = Ca::create("ca")?.issue(&["origin.test"])?;
        let site = Site { port: 443, identity: &identity_of_origin, directives: "" };
        let origin = Nginx::start(netns, &[site])?;
        nginx::publish("image.bin", &image)?;
        let record = Record::new(&image, RELAY, &["fw", "image.bin"], Szx::MAX)?;
        record.install(&mut machine.serial, record.parts())?;
        machine.serial.send(b"R")?;
        let _relay = Relay::start(netns, CONFIG)?;
        let taken = update(&mut machine, &link, &identity(2, &image), SEED)?;
        let frames = network.air.traffic()?.counters[0].frames;
        println!("{} packets, {} resets, {frames} frames", taken.packets, taken.resets);
        ensure!(taken.resets > 0 && frames > u64::from(taken.packets), "fragments and resets");
        drop(origin);
        Ok(())
    })
}

#[test]
fn bytes_that_were_not_signed_never_start() -> Result<()> {
    run("bytes_that_were_not_signed_never_start", || {
        let image = main_program(2)?;
        let Rig { mut machine, link, scene } = prepared(&image)?;
        let mut forged = image.clone();
        // Behind what both versions have in common: chunks that are right already are not fetched.
        forged[IMAGE_BYTES / 2] ^= 1;
        nginx::publish("image.bin", &forged)?;
        let forger = relay(&scene.net.relay)?;
        for _ in 0..2 {
            until_it_sleeps(&mut machine, &link)?;
            machine.monitor.reset()?;
        }
        forger.kill()?;
        nginx::publish("image.bin", &image)?;
        let _relay = relay(&scene.net.relay)?;
        update(&mut machine, &link, &identity(2, &image), SEED).map(|_| ())
    })
}

/// Until the boot program gives up for a while; no main program may start.
fn until_it_sleeps(machine: &mut Machine, link: &PacketLink) -> Result<()> {
    loop {
        match link.carry(&mut machine.serial)? {
            Carried::Line(line) if line.starts_with("boot: sleeps") => return Ok(()),
            Carried::Line(line) => ensure!(!line.starts_with("app"), "{line}"),
            Carried::Up | Carried::Down => {}
        }
    }
}

/// Where the first record is: ticket, journal and chunk index.
const RECORD: u32 = 0x7000;
/// RAM: device-client/firmware/microbit/src/layout.rs. There are no statics, so that the stack may take all of it.
const RAM: Range<u32> = 0x2000_0000..0x2000_4000;
/// Half of it: what the boot program may use. A quarter is lent for listening; in the other are its buffers, IPv6 and the console.
const MOST_RAM: usize = 8 * 1024;
/// What RAM is filled with in the factory.
const PAINT: u8 = 0xa5;
/// Chunks that are fetched before somebody looks: each is hashed, and the first came after the ticket was read.
const CHUNKS: usize = 8;

#[test]
fn the_boot_program_leaves_half_of_the_ram() -> Result<()> {
    run("the_boot_program_leaves_half_of_the_ram", || {
        let scene = Scene::create("")?;
        let link = PacketLink::create(&scene.net.relay)?;
        let image = main_program(2)?;
        nginx::publish("image.bin", &image)?;
        let _relay = guarded_relay(&scene.net.relay)?;
        let mut machine =
            Machine::create(&scene.net.relay, "microbit", &image::path("sixfold-microbit.elf"), &[])?;
        machine.program(RAM.start, &vec![PAINT; RAM.len()])?;
        let szx = Szx::from_size(BLOCK_BYTES).context("block size")?;
        // With a session, which takes most.
        let agreed = agreed()?;
        let record = Record::with_session(&image, RELAY, &["fw", "image.bin"], szx, session(&agreed))?;
        machine.program(RECORD, &record.in_flash())?;
        machine.run()?;
        until_chunks(&mut machine, &link, CHUNKS)?;
        let memory = machine.monitor.memory(RAM)?;
        let untouched = memory.iter().take_while(|byte| **byte == PAINT).count();
        let used = memory.len() - untouched;
        println!("the boot program used {used} bytes of RAM, its buffers included");
        // The ticket's buffer alone is on the stack: less would mean that nothing was painted, or run.
        ensure!(used > MAX_TICKET, "{used} bytes of RAM are too few to be true");
        ensure!(used <= MOST_RAM, "{used} bytes of RAM are more than {MOST_RAM}");
        Ok(())
    })
}

fn until_chunks(machine: &mut Machine, link: &PacketLink, mut chunks: usize) -> Result<()> {
    while chunks > 0 {
        if let Carried::Line(line) = link.carry(&mut machine.serial)? {
            ensure!(!line.starts_with("app") && !line.contains("stopped"), "{line}");
            chunks -= usize::from(line.ends_with("chunks"));
        }
    }
    Ok(())
}
