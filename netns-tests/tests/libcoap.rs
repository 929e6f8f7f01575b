//! libcoap's client against the relay.
//!
//! The client of libcoap 4.3.1 loses a blockwise body whose first block comes as a separate response to a Confirmable
//! request ("large body receive internal issue"). The relay answers separately when the origin takes its time, so the
//! tests with Confirmable requests let a device fetch the image first.

use anyhow::{Result, ensure};
use sixfold_netns_tests::coap_client::{self, Outcome, output_file};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::RELAY;
use sixfold_netns_tests::{device, sandbox, wait, workspace};
use std::fs;
use std::process::Command;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::CoapClient];

fn ask(scene: &Scene, path: &str, options: &[&str]) -> Result<Outcome> {
    coap_client::request(&scene.net.devices[0], &format!("coap://{RELAY}{path}"), options)
}

/// Brings an image into the relay's cache.
fn warm(scene: &Scene, path: &str) -> Result<()> {
    device::fetch(&scene.net.devices[0], "device", path, &[])?.image(Duration::from_secs(120))?;
    Ok(())
}

fn ensure_error(outcome: &Outcome, code: &str) -> Result<()> {
    ensure!(
        matches!(outcome, Outcome::Error(text) if text.starts_with(code)),
        "{outcome:?} instead of {code}"
    );
    Ok(())
}

#[test]
fn libcoap_fetches_whole_images_at_every_block_size() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let small = nginx::publish_image("small.bin", 1, 3_001)?;
        let large = nginx::publish_image("large.bin", 2, 100_000)?;
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}max_age = \"1 h\"\n"))?;
        warm(&scene, "/fw/small.bin")?;
        warm(&scene, "/fw/large.bin")?;
        ensure!(ask(&scene, "/fw/small.bin", &["-b", "16"])? == Outcome::Body(small), "blocks of 16 bytes");
        for size in ["64", "256", "1024"] {
            ensure!(
                ask(&scene, "/fw/large.bin", &["-b", size])? == Outcome::Body(large.clone()),
                "blocks of {size} bytes"
            );
        }
        ensure!(
            ask(&scene, "/fw/large.bin", &[])? == Outcome::Body(large.clone()),
            "the relay's own block size"
        );
        ensure!(ask(&scene, "/fw/large.bin", &["-N"])? == Outcome::Body(large), "Non-confirmable requests");
        nginx::wait_for_log(2)?;
        Ok(())
    })
}

#[test]
fn libcoap_waits_for_a_slow_origin() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("limit_rate 10k;")?;
        let image = nginx::publish_image("image.bin", 1, 30_000)?;
        let _relay = Relay::start(&scene.net.relay, CONFIG)?;
        ensure!(ask(&scene, "/fw/image.bin", &["-N", "-b", "256"])? == Outcome::Body(image));
        Ok(())
    })
}

#[test]
fn libcoap_uses_the_relay_as_a_forward_proxy() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 30_000)?;
        let config = format!("{CONFIG}\n[proxy]\nforward = [\"https://origin.test/\"]\n");
        let _relay = Relay::start(&scene.net.relay, &config)?;
        warm(&scene, "/fw/image.bin")?;
        let proxy = format!("coap://{RELAY}");
        let through_proxy = |uri| coap_client::request(&scene.net.devices[0], uri, &["-P", &proxy]);
        ensure!(through_proxy("https://origin.test/image.bin")? == Outcome::Body(image));
        ensure_error(&through_proxy("https://elsewhere.test/image.bin")?, "5.05")
    })
}

#[test]
fn libcoap_discovers_and_is_told_errors() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        nginx::publish_image("image.bin", 1, 2_000)?;
        let _relay = Relay::start(&scene.net.relay, CONFIG)?;
        warm(&scene, "/fw/image.bin")?;
        let Outcome::Body(links) = ask(&scene, "/.well-known/core", &[])? else { anyhow::bail!("no links") };
        let links = String::from_utf8(links)?;
        ensure!(links.contains("</fw/image.bin>") && links.contains("sz=2000"), "{links}");
        ensure_error(&ask(&scene, "/fw/none.bin", &[])?, "4.04")?;
        ensure_error(&ask(&scene, "/elsewhere/image.bin", &[])?, "4.04")?;
        ensure_error(&ask(&scene, "/fw/image.bin", &["-m", "delete"])?, "4.05")?;
        ensure_error(&ask(&scene, "/fw/image.bin", &["-m", "post", "-e", "x"])?, "4.05")
    })
}

/// libcoap knows OSCORE since 4.3.2, where it was built with it (`-E`): the client that Debian 12 has was not. When this fails,
/// libcoap can be a peer of sessions: let it fetch in one here, and say so in docs/sessions.md.
#[test]
fn libcoap_of_this_system_knows_no_oscore() -> Result<()> {
    let Some(program) = Peer::CoapClient.program() else {
        return sandbox::skip_or_fail("libcoap_of_this_system_knows_no_oscore", &Peer::CoapClient.remedy());
    };
    // Without arguments it says how it is used.
    let output = Command::new(program).output()?;
    let usage = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(usage.contains("-P scheme://"), "this is not its usage: {usage}");
    let knows = usage.to_lowercase().contains("oscore") || usage.contains("[-E");
    ensure!(
        !knows,
        "this libcoap has OSCORE: make it a peer of sessions, and correct docs/sessions.md: {usage}"
    );
    let page = fs::read_to_string(workspace::root().join("docs/sessions.md"))?;
    ensure!(page.contains("`libcoap_of_this_system_knows_no_oscore`"), "docs/sessions.md does not say so");
    Ok(())
}

#[test]
fn libcoap_observes_a_new_version() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        nginx::publish("manifest.txt", b"version one")?;
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}max_age = \"1 s\"\n"))?;
        let uri = format!("coap://{RELAY}/fw/manifest.txt");
        let _observer = coap_client::start(&scene.net.devices[0], "observer", &uri, &["-s", "40"])?;
        let received =
            |text: &str| fs::read_to_string(output_file("observer")).is_ok_and(|seen| seen.ends_with(text));
        wait::until_true("the first representation", wait::SOON, || received("version one"))?;
        nginx::publish("manifest.txt", b"version two")?;
        wait::until_true("the notification", wait::SOON, || received("version two"))
    })
}
