//! Sessions from end to end: a lamp agrees with a relay over TLS, its ticket has the keys, and its boot program fetches the image
//! through the relay with OSCORE, over resets too.

use anyhow::{Result, ensure};
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::lamp::{FLASH, configuration, equip, expect, expect_prepare, prepare};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::scene::Scene;
use std::fs;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const PLAIN_IMAGE: usize = 20_000;
/// With blocks of 1024 bytes, more than the numbers of one reservation.
const IMAGE: usize = 400 << 10;
const REQUIRED: &str = "sixfold_session_refused_total{reason=\"required\"}";

/// What `sixfold-publish inspect` says of the session.
fn session(netns: &Netns) -> Result<String> {
    let shown = expect(netns, "sixfold-publish", &["inspect", FLASH], 0, "")?;
    let line = shown.lines().find_map(|line| line.strip_prefix("session "));
    Ok(line.unwrap_or_default().trim().to_owned())
}

#[test]
fn an_image_comes_through_a_session_over_resets() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let site = Ca::create("site")?;
        let config = configuration(&site, "2001:db8:6::1")?;
        let relay = Relay::start(&scene.net.relay, &config)?;
        let netns = &scene.net.devices[0];
        equip(netns, IMAGE)?;
        expect_prepare(
            netns,
            &prepare(&site, &site.issue_device("lamp-7.example")?),
            0,
            "a session with the relay",
        )?;
        ensure!(session(netns)?.starts_with("0 of "), "{}", session(netns)?);
        // From now on nothing is served without a session.
        relay.reload(&(config + "allow_plain = false\n"))?;
        let fetch = ["fetch", "coap://[2001:db8:6::1]/fw/lamp.bin", "--output", "/run/plain"];
        expect(netns, "sixfold-device", &fetch, 6, "4.01")?;
        // Two that end at once: each reserves numbers, and uses one or none of them.
        for _ in 0..2 {
            expect(netns, "sixfold-device", &["boot", "--flash", FLASH, "--timeout", "0.001"], 4, "")?;
        }
        let output = expect(netns, "sixfold-device", &["boot", "--flash", FLASH], 0, "")?;
        ensure!(output.contains("sequence number 1, 409600 bytes"), "{output}");
        let (_, named) = relay.ask("/metrics/devices")?;
        ensure!(named.contains("sixfold_device_sessions{device=\"lamp-7.example\"} 1\n"), "{named}");
        ensure!(named.contains("sixfold_device_heard_seconds{device=\"lamp-7.example\"} "), "{named}");
        ensure!(relay.metric(REQUIRED)? == 1.0, "{}", relay.log());
        let said = session(netns)?;
        ensure!(said.ends_with("; numbers are left") && !said.starts_with("0 of "), "{said}");
        Ok(())
    })
}

/// What a forward proxy fetches is named by Proxy-Scheme and Uri-*, which are outside of what is protected (RFC 8613 §4.1.3.2), and paths
/// are inside.
#[test]
fn an_image_comes_through_a_forward_proxy_in_a_session() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let site = Ca::create("site")?;
        let proxy = "[proxy]\nforward = [\"https://origin.test/\"]\n";
        let config = configuration(&site, "2001:db8:6::1")?;
        let relay = Relay::start(&scene.net.relay, &format!("{config}{proxy}"))?;
        let netns = &scene.net.devices[0];
        equip(netns, IMAGE)?;
        let mut lamp = prepare(&site, &site.issue_device("lamp-7.example")?);
        for word in &mut lamp {
            if word == "/fw/lamp.bin.suit" {
                "https://origin.test/lamp.bin.suit".clone_into(word);
            }
        }
        expect_prepare(netns, &lamp, 0, "a session with the relay")?;
        let ticket = expect(netns, "sixfold-publish", &["inspect", FLASH], 0, "")?;
        ensure!(ticket.contains("origin.test"), "{ticket}");
        relay.reload(&format!("{config}allow_plain = false\n{proxy}"))?;
        let through = ["--proxy", "coap://[2001:db8:6::1]", "--output", "/run/plain"];
        let fetch = [&["fetch", "https://origin.test/lamp.bin"], &through[..]].concat();
        expect(netns, "sixfold-device", &fetch, 6, "4.01")?;
        let output = expect(netns, "sixfold-device", &["boot", "--flash", FLASH], 0, "")?;
        ensure!(output.contains("sequence number 1, 409600 bytes"), "{output}");
        ensure!(relay.metric(REQUIRED)? == 1.0, "the boot program asked in plain: {}", relay.log());
        let elsewhere = ["fetch", "https://elsewhere.test/lamp.bin"];
        expect(netns, "sixfold-device", &[&elsewhere, &through[..]].concat(), 6, "5.05")?;
        ensure!(session(netns)?.ends_with("; numbers are left"), "{}", session(netns)?);
        Ok(())
    })
}

/// A relay may ask whoever has no session to show that it is there, also on its own link (RFC 9175 §2.3): what the main program asks,
/// and what the boot program does, in plain.
#[test]
fn devices_without_a_session_show_that_they_are_there() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}[security]\necho = \"always\"\n"))?;
        let netns = &scene.net.devices[0];
        equip(netns, PLAIN_IMAGE)?;
        // So short a request leaves no room for even a small block: it is asked for a value that comes back (4.01 and Echo).
        let short = nginx::publish_image("a", 5, PLAIN_IMAGE)?;
        let fetch = ["fetch", "coap://[2001:db8:6::1]/fw/a", "--output", "/run/plain"];
        expect(netns, "sixfold-device", &fetch, 0, "")?;
        ensure!(fs::read("/run/plain")? == short, "other bytes");
        ensure!(relay.metric("sixfold_responses_total{code=\"4.01\"}")? == 1.0, "{}", relay.metrics()?);
        let lamp = "prepare --json --flash /run/flash.bin --relay coap://[2001:db8:6::1] --manifest /fw/lamp.bin.suit \
                    --key /run/key.pub --vendor example.com --class lamp --secret /run/secret";
        expect(netns, "sixfold-device", &lamp.split_whitespace().collect::<Vec<_>>(), 0, "")?;
        let output = expect(netns, "sixfold-device", &["boot", "--flash", FLASH], 0, "")?;
        ensure!(output.contains("sequence number 1, 20000 bytes"), "{output}");
        Ok(())
    })
}

/// So does whoever has a session, in the session: an address is live when it brings the value back itself, and the boot program does.
#[test]
fn devices_in_a_session_show_that_they_are_there() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let site = Ca::create("site")?;
        let config = configuration(&site, "2001:db8:6::1")?;
        let relay = Relay::start(&scene.net.relay, &format!("{config}[security]\necho = \"always\"\n"))?;
        let netns = &scene.net.devices[0];
        equip(netns, PLAIN_IMAGE)?;
        let lamp = prepare(&site, &site.issue_device("lamp-7.example")?);
        expect_prepare(netns, &lamp, 0, "a session with the relay")?;
        relay.reload(&format!("{config}allow_plain = false\n[security]\necho = \"always\"\n"))?;
        let output = expect(netns, "sixfold-device", &["boot", "--flash", FLASH], 0, "")?;
        ensure!(output.contains("sequence number 1, 20000 bytes"), "{output}");
        // Asked once, and then served.
        let asked = relay.metric("sixfold_session_refused_total{reason=\"freshness\"}")?;
        ensure!(asked == 1.0, "{asked} questions: {}", relay.metrics()?);
        ensure!(relay.metric(REQUIRED)? == 0.0, "the boot program asked in plain: {}", relay.log());
        Ok(())
    })
}
