//! aiocoap's client against the relay: the same as libcoap's, and the options that libcoap's client does not show.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::aiocoap::{self, Response};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::RELAY;
use sixfold_netns_tests::wait::SOON;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Aiocoap];

fn ask(scene: &Scene, path: &str, arguments: &[&str]) -> Result<Response> {
    aiocoap::request(&scene.net.devices[0], &format!("coap://{RELAY}{path}"), arguments)
}

#[test]
fn aiocoap_fetches_whole_images_at_every_block_size() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let small = nginx::publish_image("small.bin", 1, 3_001)?;
        let large = nginx::publish_image("large.bin", 2, 100_000)?;
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}max_age = \"1 h\"\n"))?;
        let response = ask(&scene, "/fw/small.bin", &["--szx", "0"])?;
        ensure!(response.code == "2.05" && response.body == small, "blocks of 16 bytes: {}", response.code);
        for szx in ["2", "4", "6"] {
            let response = ask(&scene, "/fw/large.bin", &["--szx", szx])?;
            ensure!(response.code == "2.05" && response.body == large, "SZX {szx}: {}", response.code);
        }
        ensure!(ask(&scene, "/fw/large.bin", &[])?.body == large, "the relay's own block size");
        nginx::wait_for_log(2)?;
        Ok(())
    })
}

#[test]
fn aiocoap_sees_etag_max_age_and_content_format_and_validates() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("expires 1h;")?;
        nginx::publish("manifest.json", b"{}")?;
        let _relay = Relay::start(&scene.net.relay, CONFIG)?;
        let response = ask(&scene, "/fw/manifest.json", &[])?;
        let max_age = response.max_age.context("no Max-Age")?;
        ensure!((3500..=3600).contains(&max_age), "Max-Age {max_age}");
        ensure!(response.content_format == Some(50), "{:?}", response.content_format);
        let etag = response.etag.context("no ETag")?;
        ensure!((2..=16).contains(&etag.len()), "{etag}");
        let valid = ask(&scene, "/fw/manifest.json", &["--etag", &etag])?;
        ensure!(valid.code == "2.03" && valid.body.is_empty() && valid.etag == Some(etag), "{valid:?}");
        ensure!(ask(&scene, "/fw/manifest.json", &["--etag", "00"])?.code == "2.05");
        ensure!(ask(&scene, "/fw/manifest.json", &["--accept", "60"])?.code == "4.06");
        Ok(())
    })
}

#[test]
fn aiocoap_uses_the_relay_as_a_forward_proxy() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 30_000)?;
        let config = format!("{CONFIG}\n[proxy]\nforward = [\"https://origin.test/\"]\n");
        let _relay = Relay::start(&scene.net.relay, &config)?;
        let response = ask(&scene, "", &["--proxy-uri", "https://origin.test/image.bin"])?;
        ensure!(response.code == "2.05" && response.body == image, "{}", response.code);
        let refused = ask(&scene, "", &["--proxy-uri", "https://elsewhere.test/image.bin"])?;
        ensure!(refused.code == "5.05", "{}", refused.code);
        Ok(())
    })
}

#[test]
fn aiocoap_discovers_and_is_told_errors() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        nginx::publish_image("image.bin", 1, 2_000)?;
        let _relay = Relay::start(&scene.net.relay, CONFIG)?;
        ask(&scene, "/fw/image.bin", &[])?;
        let core = ask(&scene, "/.well-known/core", &[])?;
        let links = String::from_utf8(core.body)?;
        ensure!(core.content_format == Some(40), "{:?}", core.content_format);
        ensure!(links.contains("</fw/image.bin>") && links.contains("sz=2000"), "{links}");
        for (path, arguments, code) in [
            ("/fw/none.bin", &[] as &[&str], "4.04"),
            ("/elsewhere/image.bin", &[], "4.04"),
            ("/fw/image.bin", &["--method", "PUT"], "4.05"),
            ("", &["--proxy-uri", "https://origin.test/image.bin"], "5.05"),
        ] {
            let response = ask(&scene, path, arguments)?;
            ensure!(response.code == code, "{path} {arguments:?}: {} instead of {code}", response.code);
        }
        Ok(())
    })
}

#[test]
fn aiocoap_observes_a_new_version() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let old = nginx::publish_image("image.bin", 1, 5_000)?;
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}max_age = \"1 s\"\n"))?;
        let uri = format!("coap://{RELAY}/fw/image.bin");
        let mut observer = aiocoap::start(&scene.net.devices[0], "observer", &uri, &["--observe"])?;
        let first = observer.wait_for(0, SOON)?;
        ensure!(first.code == "2.05" && first.body == old, "{}", first.code);
        let new = nginx::publish_image("image.bin", 2, 6_000)?;
        let second = observer.wait_for(1, SOON)?;
        ensure!(second.code == "2.05" && second.body == new && second.etag != first.etag, "{}", second.code);
        Ok(())
    })
}
