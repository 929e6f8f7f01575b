//! The device side's interface comes late, goes, and comes back, as with agents that restart.

use anyhow::{Result, ensure};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, sandbox};
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
        let _relay = Relay::start(&scene.net.relay, CONFIG)?;
        scene.net.create_device_interface()?;
        let fetch = device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?;
        ensure!(fetch.image(PATIENCE)? == image);
        Ok(())
    })
}
