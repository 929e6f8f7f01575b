//! SIGTERM drains, SIGHUP reloads.

use anyhow::{Result, ensure};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, sandbox, wait};
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn sigterm_ends_the_relay_within_five_seconds_also_while_a_device_waits() -> Result<()> {
    sandbox::run(NEEDS, || {
        // The device's first block would take a quarter of an hour.
        let scene = Scene::create("limit_rate 1;")?;
        nginx::publish_image("image.bin", 1, 1_000_000)?;
        let relay = Relay::start(&scene.net.relay, CONFIG)?;
        let _fetch = device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?;
        wait::until_true("the device's request", wait::SOON, || {
            relay.metric("sixfold_cache_requests_total{result=\"miss\"}").is_ok_and(|requests| requests > 0.0)
        })?;
        let status = relay.stop()?;
        ensure!(status.success(), "{status}");
        Ok(())
    })
}

#[test]
fn sighup_keeps_the_cache_and_running_transfers() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("location /slow/ { limit_rate 20k; alias /run/nginx/www/; }")?;
        let image = nginx::publish_image("image.bin", 1, 50_000)?;
        let config = format!("{CONFIG}max_age = \"1 h\"\n");
        let relay = Relay::start(&scene.net.relay, &config)?;
        let fetch = |name: &str, path: &str| device::fetch(&scene.net.devices[0], name, path, &[]);
        ensure!(fetch("before", "/fw/image.bin")?.image(PATIENCE)? == image);
        let running = fetch("running", "/fw/slow/image.bin")?;

        let more = "\n[[route]]\npath = \"/more\"\norigin = \"https://origin.test/\"\nca_file = \"/run/ca/ca.pem\"\nmax_age = \"1 h\"\n";
        relay.reload(&(config + more))?;
        ensure!(fetch("more", "/more/image.bin")?.image(PATIENCE)? == image);
        ensure!(fetch("after", "/fw/image.bin")?.image(PATIENCE)? == image);
        ensure!(running.image(PATIENCE)? == image, "the running transfer");
        for path in ["GET /image.bin", "GET /slow/image.bin"] {
            nginx::wait_for_accesses(path, 1)?;
        }
        Ok(())
    })
}

#[test]
fn a_mistake_in_the_new_configuration_leaves_the_old_one_in_force() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 5_000)?;
        let relay = Relay::start(&scene.net.relay, CONFIG)?;
        relay.reload(&CONFIG.replace("path = ", "pth = "))?;
        ensure!(["pth", "relay.toml"].iter().all(|word| relay.log().contains(word)), "{}", relay.log());
        ensure!(
            device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?.image(PATIENCE)? == image
        );
        Ok(())
    })
}
