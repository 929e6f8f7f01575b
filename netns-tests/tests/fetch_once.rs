//! The main promise: however many devices ask, the origin is asked once.

use anyhow::{Result, ensure};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{self, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, sandbox};
use std::time::Duration;

const DEVICES: usize = 50;
const IMAGE_BYTES: usize = 96 << 10;

#[test]
fn fifty_devices_at_once_cost_the_origin_one_get() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd], || {
        // The origin needs 1.5 seconds for the image, so that the devices come while it is being fetched.
        let scene = Scene::with_devices(DEVICES, "limit_rate 64k;")?;
        let image = nginx::publish_image("image.bin", 1, IMAGE_BYTES)?;
        let relay = Relay::start(&scene.net.relay, &format!("{}max_age = \"1 h\"\n", relay::CONFIG))?;
        let start = |(n, netns)| device::fetch(netns, &format!("device{n}"), "/fw/image.bin", &[]);
        let fetches = scene.net.devices.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
        for fetch in fetches {
            ensure!(fetch.image(Duration::from_secs(120))? == image, "a device has wrong bytes");
        }
        let gets = nginx::wait_for_log(1)?;
        ensure!(
            gets[0].request == "GET /image.bin" && gets[0].status == 200 && gets[0].range.is_empty(),
            "{gets:?}"
        );
        ensure!(gets[0].body_bytes == IMAGE_BYTES as u64, "{gets:?}");
        ensure!(relay.metric("sixfold_origin_bytes_total")? == IMAGE_BYTES as f64, "{}", relay.metrics()?);
        Ok(())
    })
}
