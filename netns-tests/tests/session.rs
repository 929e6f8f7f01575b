//! Sessions from end to end: a lamp agrees with a relay over TLS, its ticket has the keys, and its boot program fetches the image
//! through the relay with OSCORE, over resets too.

use anyhow::{Result, ensure};
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::lamp::{FLASH, configuration, equip, expect, expect_prepare, prepare};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::Relay;
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::scene::Scene;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
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
        ensure!(relay.metric(REQUIRED)? == 1.0, "{}", relay.log());
        let said = session(netns)?;
        ensure!(said.ends_with("; numbers are left") && !said.starts_with("0 of "), "{said}");
        Ok(())
    })
}
