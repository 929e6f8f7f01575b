//! `kill -9` at any moment leaves a spool that the next relay serves from.

use anyhow::{Result, ensure};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, sandbox, wait};
use std::fs;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const SPOOL: &str = "/run/spool";
const PATIENCE: Duration = Duration::from_secs(120);

fn config() -> String {
    format!("{CONFIG}max_age = \"1 h\"\n\n[cache]\ndisk = {{ path = \"{SPOOL}\", limit = \"16 MiB\" }}\n")
}

fn spooled_bytes() -> u64 {
    let entries = fs::read_dir(SPOOL).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[test]
fn after_kill_9_the_spool_stands_in_for_the_origin() -> Result<()> {
    sandbox::run(NEEDS, || {
        let mut scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 200_000)?;
        fs::create_dir(SPOOL)?;
        let relay = Relay::start(&scene.net.relay, &config())?;
        ensure!(
            device::fetch(&scene.net.devices[0], "first", "/fw/image.bin", &[])?.image(PATIENCE)? == image
        );
        wait::until_true("the image on disk", wait::SOON, || spooled_bytes() >= 200_000)?;
        relay.kill()?;
        scene.kill_nginx()?;
        let _relay = Relay::start(&scene.net.relay, &config())?;
        ensure!(
            device::fetch(&scene.net.devices[0], "second", "/fw/image.bin", &[])?.image(PATIENCE)? == image
        );
        Ok(())
    })
}

#[test]
fn kill_9_in_the_middle_of_a_transfer_costs_only_time() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("limit_rate 300k;")?;
        let image = nginx::publish_image("image.bin", 1, 300_000)?;
        fs::create_dir(SPOOL)?;
        let fetch = device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?;
        for fifth in 1..5 {
            let relay = Relay::start(&scene.net.relay, &config())?;
            let before = scene.net.origin.sent_bytes("uplink")?;
            wait::until_true("a part of the image", wait::SOON, || {
                let sent = scene.net.origin.sent_bytes("uplink").unwrap_or(before) - before;
                sent > fifth * 60_000 || spooled_bytes() >= 300_000
            })?;
            relay.kill()?;
        }
        let _relay = Relay::start(&scene.net.relay, &config())?;
        ensure!(fetch.image(PATIENCE)? == image);
        Ok(())
    })
}
