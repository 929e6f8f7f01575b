//! The origin server dies half-way through a transfer and comes back.

use anyhow::{Result, ensure};
use sixfold_netns_tests::device::{self, Fetch};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{self, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{sandbox, wait};
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const IMAGE_BYTES: usize = 512 << 10;
const HALF: u64 = IMAGE_BYTES as u64 / 2;

/// A device is fetching, and the origin has died after about half of the image.
fn interrupted(scene: &mut Scene) -> Result<Fetch> {
    let fetch = device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?;
    let sent_before = scene.net.origin.sent_bytes("uplink")?;
    wait::until_true("half of the image", wait::SOON, || {
        scene.net.origin.sent_bytes("uplink").is_ok_and(|sent| sent - sent_before > HALF)
    })?;
    scene.kill_nginx()?;
    Ok(fetch)
}

#[test]
fn a_broken_transfer_goes_on_where_it_stopped() -> Result<()> {
    sandbox::run(NEEDS, || {
        let mut scene = Scene::create("limit_rate 128k;")?;
        let image = nginx::publish_image("image.bin", 1, IMAGE_BYTES)?;
        let _relay = Relay::start(&scene.net.relay, relay::CONFIG)?;
        let fetch = interrupted(&mut scene)?;
        scene.start_nginx("")?;
        ensure!(fetch.image(Duration::from_secs(120))? == image, "the device has wrong bytes");
        // The first GET is not in the log, because nginx was killed before it was done.
        let log = nginx::wait_for_log(1)?;
        ensure!(log[0].status == 206, "not resumed with one Range: {log:#?}");
        let from: u64 = log[0].range.trim_start_matches("bytes=").trim_end_matches('-').parse()?;
        ensure!(from > 0 && log[0].body_bytes == IMAGE_BYTES as u64 - from, "{log:?}");
        ensure!(!log[0].if_range.is_empty(), "Range without If-Range: {log:?}");
        Ok(())
    })
}

#[test]
fn an_image_replaced_while_the_origin_was_away_starts_over() -> Result<()> {
    sandbox::run(NEEDS, || {
        let mut scene = Scene::create("limit_rate 128k;")?;
        nginx::publish_image("image.bin", 1, IMAGE_BYTES)?;
        let _relay = Relay::start(&scene.net.relay, relay::CONFIG)?;
        let fetch = interrupted(&mut scene)?;
        let new = nginx::publish_image("image.bin", 2, IMAGE_BYTES)?;
        scene.start_nginx("")?;
        ensure!(fetch.image(Duration::from_secs(120))? == new, "the device does not have the new image");
        let log = nginx::wait_for_log(1)?;
        ensure!(log[0].status == 200, "{log:#?}");
        Ok(())
    })
}
