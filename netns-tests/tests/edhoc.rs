//! Sessions that are agreed on by EDHOC: a lamp without TCP, from its key to its image; and aiocoap, with its own OSCORE.

use anyhow::{Result, ensure};
use sixfold_netns_tests::lamp::{FLASH, edhoc_key, equip, expect, expect_prepare, prepare_by_edhoc};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::RELAY;
use sixfold_netns_tests::{aiocoap, nginx};
use std::fs;

const IMAGE: usize = 20_000;

/// A relay that knows the credentials in these files, and serves nobody without a session.
fn configuration(netns: &Netns, known: &[&str]) -> Result<String> {
    edhoc_key(netns, "relay.key", "sixfold-relay")?;
    let lines: std::io::Result<String> = known.iter().map(fs::read_to_string).collect();
    fs::write("/run/devices", format!("# in the hall\n{}", lines?))?;
    Ok(format!("{CONFIG}\n[sessions]\nedhoc_key = \"/run/relay.key\"\nedhoc_devices = \"/run/devices\"\n"))
}

#[test]
fn a_lamp_without_tcp_gets_its_image_in_a_session() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd], || {
        let scene = Scene::create("")?;
        let netns = &scene.net.devices[0];
        let (lamp, stranger) = (edhoc_key(netns, "lamp", "lamp-7")?, edhoc_key(netns, "stranger", "lamp-8")?);
        let config = configuration(&scene.net.relay, &["/run/lamp.ccs"])?;
        let relay = Relay::start(&scene.net.relay, &config)?;
        equip(netns, IMAGE)?;
        let relay_credential = "/run/relay.key.ccs";
        expect_prepare(netns, &prepare_by_edhoc(&stranger, relay_credential), 29, "sessions.edhoc_devices")?;
        expect_prepare(netns, &prepare_by_edhoc(&lamp, "/run/stranger.ccs"), 28, "another credential")?;
        let prepare = prepare_by_edhoc(&lamp, relay_credential);
        let output = expect_prepare(netns, &prepare, 0, "a session with the relay")?;
        ensure!(output.contains("\"seconds\":null"), "{output}");
        ensure!(relay.log().contains("lamp-7"), "{}", relay.log());
        relay.reload(&(config + "allow_plain = false\n"))?;
        let fetch = ["fetch", "coap://[2001:db8:6::1]/fw/lamp.bin", "--output", "/run/plain"];
        expect(netns, "sixfold-device", &fetch, 6, "4.01")?;
        let output = expect(netns, "sixfold-device", &["boot", "--flash", FLASH], 0, "")?;
        ensure!(output.contains("sequence number 1, 20000 bytes"), "{output}");
        ensure!(relay.metric("sixfold_agreements_total{result=\"granted\"}")? == 1.0, "{}", relay.log());
        Ok(())
    })
}

#[test]
fn aiocoap_agrees_by_edhoc_and_fetches_in_its_session() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd, Peer::Aiocoap], || {
        let scene = Scene::create("")?;
        let netns = &scene.net.devices[0];
        let image = nginx::publish_image("small.bin", 1, IMAGE)?;
        let (meter, stranger) =
            (edhoc_key(netns, "meter", "meter-17")?, edhoc_key(netns, "stranger", "meter-18")?);
        let config = configuration(&scene.net.relay, &["/run/meter.ccs"])?;
        let relay = Relay::start(&scene.net.relay, &(config + "allow_plain = false\n"))?;
        let uri = format!("coap://{RELAY}/fw/small.bin");
        let ask = |key: &str| {
            aiocoap::request(netns, &uri, &["--edhoc", key, "--edhoc-peer", "/run/relay.key.ccs"])
        };
        let response = ask(&meter)?;
        ensure!(response.code == "2.05" && response.body == image, "{}\n{}", response.code, relay.log());
        ensure!(ask(&stranger).is_err(), "the relay does not know it");
        for (result, count) in [("granted", 1.0), ("untrusted", 1.0)] {
            let counted = relay.metric(&format!("sixfold_agreements_total{{result=\"{result}\"}}"))?;
            ensure!(counted == count, "{result}: {counted}\n{}", relay.log());
        }
        Ok(())
    })
}
