//! Many devices, one image, at once: the relay sends each block once to all of them, and each ends with the right image,
//! whatever happens to it meanwhile. A client that knows nothing of this gets its own answers.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use sixfold_netns_tests::coap_client::{self, output_file};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::{self, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::RELAY;
use sixfold_netns_tests::{image, lamp, sandbox, wait, workspace};
use std::fs;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const NEEDS_ALL: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::CoapClient, Peer::Tun];
const MEMBERS: usize = 5;
const BLOCK: usize = 64;
const BLOCKS: usize = 768;
/// Where one device after the other asks for each.
const FEW: usize = 100;
/// Ethernet, IPv6, UDP, and what a block has before its payload, at most.
const DATAGRAM: usize = 14 + 40 + 8 + 22 + BLOCK;
const SENT_TO_GROUP: &str = "sixfold_fanout_datagrams_total";

/// A relay that fans out, or not.
fn config(fanout: bool) -> String {
    format!("{}\n[[link]]\ninterface = \"lowpan0\"\nfanout = {fanout}\n", relay::CONFIG)
}

/// Signs an image of so many blocks for lamps into nginx's folder.
fn release(netns: &Netns, blocks: usize) -> Result<Vec<u8>> {
    let image = image::image(7, blocks * BLOCK - 3);
    lamp::make_keys(netns)?;
    lamp::sign(netns, "lamp.bin", &image, 1, &lamp::KEY)?;
    Ok(image)
}

/// Files of a device.
struct Lamp<'n> {
    netns: &'n Netns,
    flash: String,
    extracted: String,
}

impl<'n> Lamp<'n> {
    fn create(number: usize, netns: &'n Netns) -> Result<Self> {
        let lamp = Self {
            netns,
            flash: format!("/run/flash-{number}.bin"),
            extracted: format!("/run/running-{number}.bin"),
        };
        lamp::create_flash(netns, &lamp.flash, &["--slot-size", "131072"])?;
        Ok(lamp)
    }

    /// What it printed, and said.
    fn prepare(&self, more: &str) -> Result<(String, String)> {
        let prepare = lamp::prepare_with(&self.flash, &format!("--szx 64 {more}"));
        let prepare: Vec<&str> = prepare.iter().map(String::as_str).collect();
        lamp::run(self.netns, "sixfold-device", &prepare, 0)
    }

    fn boot(&self, name: &str, more: &[&str]) -> Result<Process> {
        let arguments = ["boot", "--flash", &self.flash, "--json", "--extract", &self.extracted];
        Process::start(
            self.netns,
            name,
            workspace::program("sixfold-device", &[&arguments[..], more].concat()),
        )
    }

    /// Waits for the right image; gives how many datagrams were heard in the group.
    fn ends_with(&self, image: &[u8], mut boot: Process) -> Result<u64> {
        let status = boot.wait(lamp::LIMIT)?;
        let said = boot.output() + &boot.log();
        ensure!(status.success(), "{status}: {said}");
        ensure!(fs::read(&self.extracted)? == image, "other bytes run");
        let result: Value = serde_json::from_str(&boot.output())?;
        result["heard"].as_u64().context(said)
    }
}

#[test]
fn blocks_leave_once_for_all_who_listen() -> Result<()> {
    sandbox::run(NEEDS_ALL, || {
        let scene = Scene::with_devices(MEMBERS + 1, "")?;
        let relay = Relay::start(&scene.net.relay, &config(true))?;
        let image = release(&scene.net.relay, BLOCKS)?;
        let (members, legacy) = scene.net.devices.split_at(MEMBERS);
        let mut lamps: Vec<_> =
            members.iter().enumerate().map(|(n, netns)| Lamp::create(n, netns)).collect::<Result<_>>()?;
        // The last one has a stack of its own, on a port of the relay's bridge.
        lamps.push(Lamp::create(MEMBERS, &members[0])?);
        scene.net.relay.ip("tuntap add dev tap0 mode tap\nlink set tap0 mtu 1280 master lowpan0 up")?;
        for lamp in &lamps {
            let (printed, said) = lamp.prepare("")?;
            let group = &serde_json::from_str::<Value>(&printed)?["group"];
            ensure!(group["address"] == "ff02::fd" && group["port"] == 61_616, "{printed}{said}");
            ensure!(said.contains("the relay sends it to the group [ff02::fd]:61616, Token "), "{said}");
        }
        lamps[MEMBERS].netns = &scene.net.relay;
        let link = |number| if number == MEMBERS { &["--tap", "tap0"][..] } else { &[] };
        let sent_before = scene.net.relay.sent_bytes("lowpan0")?;
        let unicast_before = relay.metric("sixfold_responses_total{code=\"2.05\"")?;

        let uri = format!("coap://{RELAY}/fw/lamp.bin");
        let start = |(number, lamp): (usize, &Lamp<'_>)| lamp.boot("boot", link(number));
        let mut boots: Vec<_> = lamps.iter().enumerate().map(start).collect::<Result<_>>()?;
        let mut client = coap_client::start(&legacy[0], "legacy", &uri, &["-N", "-b", "64"])?;
        // One loses power in the middle.
        wait::until_true("a third of the blocks", lamp::LIMIT, || {
            relay.metric(SENT_TO_GROUP).is_ok_and(|sent| sent >= BLOCKS as f64 / 3.0)
        })?;
        let killed = boots.remove(0);
        killed.signal(Signal::SIGKILL)?;
        drop(killed);
        boots.insert(0, lamps[0].boot("boot-again", &[])?);

        for (number, (lamp, boot)) in lamps.iter().zip(boots).enumerate() {
            let heard = lamp.ends_with(&image, boot)?;
            eprintln!("device {number} heard {heard}");
            // Who comes late gets what it missed alone. A stack of one's own needs seconds for its address.
            let least = if number == MEMBERS { 1 } else { BLOCKS / 2 };
            ensure!(number == 0 || heard >= least as u64, "device {number} heard {heard}");
        }
        let status = client.wait(lamp::LIMIT)?;
        ensure!(status.success() && fs::read(output_file("legacy"))? == image, "libcoap: {}", client.log());

        let to_group = relay.metric(SENT_TO_GROUP)?;
        let unicast = relay.metric("sixfold_responses_total{code=\"2.05\"")? - unicast_before;
        let sent = scene.net.relay.sent_bytes("lowpan0")? - sent_before;
        let text = format!("{to_group} to the group, {unicast} to one each, {sent} bytes");
        eprintln!("{text}");
        // Once to all, and what the one that was killed and the one that came late missed; to libcoap once more, or twice: it
        // sometimes asks again.
        ensure!((BLOCKS as f64..BLOCKS as f64 * 2.0).contains(&to_group), "{text}");
        ensure!(unicast >= BLOCKS as f64, "{text}");
        ensure!(sent < (5 * BLOCKS * DATAGRAM) as u64, "{text}, and not for {} devices", MEMBERS + 2);
        Ok(())
    })
}

#[test]
fn who_does_not_listen_is_served_as_before() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let relay = Relay::start(&scene.net.relay, &config(true))?;
        let image = release(&scene.net.relay, FEW)?;
        let lamp = Lamp::create(0, &scene.net.devices[0])?;
        let (printed, said) = lamp.prepare("--no-group")?;
        ensure!(serde_json::from_str::<Value>(&printed)?["group"].is_null(), "{printed}");
        ensure!(!said.contains("group"), "{said}");
        ensure!(lamp.ends_with(&image, lamp.boot("boot", &[])?)? == 0);

        // With a group in the ticket, the boot program can still do without.
        let lamp = Lamp::create(1, &scene.net.devices[0])?;
        lamp.prepare("")?;
        ensure!(lamp.ends_with(&image, lamp.boot("boot-deaf", &["--no-listen"])?)? == 0);
        ensure!(relay.metric(SENT_TO_GROUP)? == 0.0, "nobody asked for a stream");
        Ok(())
    })
}

#[test]
fn where_the_relay_does_not_fan_out_there_is_no_group() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let relay = Relay::start(&scene.net.relay, &config(false))?;
        let image = release(&scene.net.relay, FEW)?;
        let lamp = Lamp::create(0, &scene.net.devices[0])?;
        let (printed, said) = lamp.prepare("")?;
        ensure!(serde_json::from_str::<Value>(&printed)?["group"].is_null(), "{printed}");
        for words in ["no group: the relay answers 4.06 Not Acceptable", "[[link]]", "unicast"] {
            ensure!(said.contains(words), "{words}: {said}");
        }
        ensure!(lamp.ends_with(&image, lamp.boot("boot", &[])?)? == 0);

        // The ticket of a link that fanned out once: the member asks, and is answered as everybody.
        relay.reload(&config(true))?;
        let lamp = Lamp::create(1, &scene.net.devices[0])?;
        let (_, said) = lamp.prepare("")?;
        ensure!(said.contains("sends it to the group"), "{said}");
        relay.reload(&config(false))?;
        ensure!(lamp.ends_with(&image, lamp.boot("boot-member", &[])?)? < FEW as u64);
        Ok(())
    })
}
