//! The image is replaced upstream again and again while devices fetch it.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::device::{self, Fetch};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{self, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{sandbox, wait};
use std::collections::BTreeSet;
use std::time::Duration;

const VERSIONS: u64 = 6;
const DEVICES_PER_VERSION: usize = 4;
const IMAGE_BYTES: usize = 48 << 10;

#[test]
fn no_device_ever_mixes_versions() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd], || {
        // Every new transfer revalidates, and the origin is slow: versions change in the middle of everything.
        let scene = Scene::with_devices(DEVICES_PER_VERSION, "limit_rate 96k;")?;
        let _relay = Relay::start(&scene.net.relay, &format!("{}max_age = \"0 s\"\n", relay::CONFIG))?;
        let mut versions = Vec::new();
        let mut fetches = Vec::new();
        for version in 0..VERSIONS {
            versions.push(nginx::publish_image("image.bin", version, IMAGE_BYTES)?);
            let sent_before = scene.net.origin.sent_bytes("uplink")?;
            let start = |(n, netns)| {
                device::fetch(netns, &format!("device{n}-{version}"), "/fw/image.bin", &["--szx", "1"])
            };
            let mut started = scene.net.devices.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
            wait::until_true("the moment for the next version", wait::SOON, || {
                let sent = scene.net.origin.sent_bytes("uplink").unwrap_or(sent_before) - sent_before;
                sent > IMAGE_BYTES as u64 / 2 || !started.iter_mut().any(Fetch::is_running)
            })?;
            fetches.append(&mut started);
        }
        let mut seen = BTreeSet::new();
        for fetch in fetches {
            let image = fetch.image(Duration::from_secs(120))?;
            let version = versions.iter().position(|version| *version == image);
            seen.insert(version.context("a device has bytes of no version")?);
        }
        ensure!(seen.len() >= 2, "no version was replaced in time for this test to see it: {seen:?}");
        Ok(())
    })
}
