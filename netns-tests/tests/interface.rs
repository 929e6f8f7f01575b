//! The device side's interface comes late, goes, and comes back, as with agents that restart.

use anyhow::{Result, ensure};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, sandbox, wait};
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn an_interface_that_goes_and_comes_back_is_served_again() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 20_000)?;
        let relay = Relay::start(&scene.net.relay, CONFIG)?;
        let netns = &scene.net.devices[0];
        ensure!(device::fetch(netns, "before", "/fw/image.bin", &[])?.image(PATIENCE)? == image);
        for round in ["second", "third"] {
            scene.net.remove_device_interface()?;
            let during = device::fetch(netns, round, "/fw/image.bin", &[])?;
            scene.net.create_device_interface()?;
            ensure!(during.image(PATIENCE)? == image, "{round} interface");
        }
        ensure!(relay.is_ready());
        Ok(())
    })
}

#[test]
fn a_relay_that_starts_before_its_interface_serves_it_later() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 20_000)?;
        scene.net.remove_device_interface()?;
        let relay = Relay::start(&scene.net.relay, CONFIG)?;
        let up = "sixfold_interface_up{interface=\"lowpan0\"} ";
        let (status, ready) = relay.ask("/readyz")?;
        ensure!(status == 200 && ready.ends_with("not there, or not up: lowpan0\n"), "{status}: {ready}");
        ensure!(relay.metrics()?.contains(&format!("{up}0\n")), "{}", relay.metrics()?);
        let (_, said) = relay.command(&["status"])?;
        ensure!(said.contains("no socket is open; absent: lowpan0"), "{said}");
        scene.net.create_device_interface()?;
        let fetch = device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?;
        ensure!(fetch.image(PATIENCE)? == image);
        wait::until_true("the interface to count as there", PATIENCE, || {
            relay.metrics().is_ok_and(|metrics| metrics.contains(&format!("{up}1\n")))
        })?;
        ensure!(relay.ask("/readyz")? == (200, "ready\n".to_owned()));
        Ok(())
    })
}
