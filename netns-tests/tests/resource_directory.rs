//! The relay in the resource directory of aiocoap (RFC 9176).

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{aiocoap, sandbox, wait};
use std::process::Command;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Aiocoap];
const PATIENCE: Duration = Duration::from_secs(120);
const DIRECTORY: &str = "coap://[2001:db8:1::2]";
const KEYS: &str = "[resource_directory]\nuri = \"coap://[2001:db8:1::2]\"\nendpoint = \"router-1\"\n";

fn start(netns: &Netns) -> Result<Process> {
    let mut command = Command::new(Peer::Aiocoap.program().with_context(|| Peer::Aiocoap.remedy())?);
    command.args(["-m", "aiocoap.cli.rd", "--bind", "[2001:db8:1::2]"]);
    Process::start(netns, "directory", command)
}

/// What the directory knows: endpoints or resources.
fn look_up(netns: &Netns, what: &str) -> Result<String> {
    let response = aiocoap::request(netns, &format!("{DIRECTORY}/{what}-lookup/"), &[])?;
    Ok(String::from_utf8(response.body)?)
}

fn until_known(netns: &Netns, what: &str, words: &[&str]) -> Result<()> {
    wait::until_true(&format!("{words:?} in the directory"), PATIENCE, || {
        look_up(netns, what).is_ok_and(|links| words.iter().all(|word| links.contains(word)))
    })
}

#[test]
fn the_directory_knows_the_relay_for_as_long_as_it_serves() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let _directory = start(&scene.net.origin)?;
        let here = &scene.net.origin;
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{KEYS}"))?;
        until_known(here, "endpoint", &["ep=\"router-1\"", "base=\"coap://[2001:db8:6::1]\""])?;
        until_known(here, "resource", &["<coap://[2001:db8:6::1]/fw>", "rt=\"sixfold.route\""])?;
        // What it serves changes, and where it is said to be.
        let base = "base = \"coap://[2001:db8:1::1]\"\n";
        relay.reload(&format!("{}{KEYS}{base}", CONFIG.replace("/fw", "/firmware")))?;
        until_known(here, "resource", &["<coap://[2001:db8:1::1]/firmware>"])?;
        ensure!(!look_up(here, "resource")?.contains("/fw>"), "{}", look_up(here, "resource")?);
        ensure!(relay.stop()?.success());
        ensure!(look_up(here, "endpoint")?.is_empty(), "it said good-bye: {}", look_up(here, "endpoint")?);
        Ok(())
    })
}

#[test]
fn the_directory_learns_of_another_prefix_long_before_it_is_reminded() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let _directory = start(&scene.net.origin)?;
        let here = &scene.net.origin;
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{KEYS}"))?;
        until_known(here, "endpoint", &["base=\"coap://[2001:db8:6::1]\""])?;
        scene.net.relay.ip(
            "address delete 2001:db8:6::1/64 dev lowpan0\naddress add 2001:db8:7::1/64 dev lowpan0 nodad",
        )?;
        until_known(here, "endpoint", &["base=\"coap://[2001:db8:7::1]\""])?;
        Ok(())
    })
}

#[test]
fn a_directory_that_comes_late_is_found_and_devices_do_not_wait_for_it() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{KEYS}"))?;
        ensure!(relay.is_ready());
        wait::until_true("the first attempt", PATIENCE, || {
            scene.net.relay.sent_bytes("uplink").is_ok_and(|bytes| bytes > 0)
        })?;
        let _directory = start(&scene.net.origin)?;
        until_known(&scene.net.origin, "endpoint", &["ep=\"router-1\""])?;
        ensure!(relay.log().contains("registered"), "{}", relay.log());
        Ok(())
    })
}
