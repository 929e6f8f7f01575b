//! Origins that cannot be trusted, fail, or break their promises: the device learns it by a code, the operator by log
//! and metrics, and no wrong byte is served.

use anyhow::{Result, ensure};
use sixfold_netns_tests::aiocoap::{self, Response};
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::image::image;
use sixfold_netns_tests::misbehaving_origin::MisbehavingOrigin;
use sixfold_netns_tests::nginx::{self, Nginx, Site};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::{RELAY, Topology};
use sixfold_netns_tests::{device, sandbox};
use std::time::{Duration, Instant};

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Aiocoap];

/// Settings that make a relay give up soon.
const IMPATIENT: &str = "\n[origin]\nheaders_timeout = \"1 s\"\nretries = 2\nretry_delay = \"100 ms\"\n";

/// What a device is told, and under which `outcome` the metrics count it.
struct Fault {
    path: &'static str,
    code: &'static str,
    diagnostic: &'static str,
    outcome: &'static str,
}

impl Fault {
    fn check(&self, net: &Topology, relay: &Relay<'_>) -> Result<()> {
        let Self { path, code, diagnostic, outcome } = self;
        let series = format!("sixfold_origin_requests_total{{outcome=\"{outcome}\"}}");
        let before = relay.metric(&series)?;
        let response = aiocoap::request(&net.devices[0], &format!("coap://{RELAY}{path}"), &[])?;
        let text = String::from_utf8_lossy(&response.body);
        ensure!(response.code == *code, "{path}: {} {text} instead of {code}", response.code);
        ensure!(text.contains(diagnostic), "{path}: {text:?} does not say {diagnostic:?}");
        ensure!(relay.metric(&series)? > before, "{path}: not counted as {outcome}\n{}", relay.metrics()?);
        let named = |line: &str| line.contains("image.bin") && line.contains(outcome);
        ensure!(relay.log().lines().any(named), "{path}: the log does not name it");
        Ok(())
    }
}

fn route(path: &str, origin: &str, ca: &str) -> String {
    format!("\n[[route]]\npath = \"{path}\"\norigin = \"{origin}\"\nca_file = \"/run/ca/{ca}.pem\"\n")
}

#[test]
fn certificates_that_do_not_fit_are_refused() -> Result<()> {
    sandbox::run(NEEDS, || {
        let net = Topology::create(1)?;
        let ca = Ca::create("ca")?;
        Ca::create("other")?;
        let (good, expired) = (ca.issue(&["origin.test"])?, ca.issue_expired(&["origin.test"])?);
        let site = |port, identity| Site { port, identity, directives: "" };
        let _nginx = Nginx::start(&net.origin, &[site(443, &good), site(8443, &expired), site(8444, &good)])?;
        let image = nginx::publish_image("image.bin", 1, 5000)?;
        let config = CONFIG.to_owned()
            + &route("/other-ca", "https://origin.test:8444/", "other")
            + &route("/expired", "https://origin.test:8443/", "ca")
            + &route("/other-name", "https://wrong.test/", "ca");
        let relay = Relay::start(&net.relay, &config)?;
        for path in ["/other-ca/image.bin", "/expired/image.bin", "/other-name/image.bin"] {
            Fault { path, code: "5.02", diagnostic: "certificate", outcome: "certificate" }
                .check(&net, &relay)?;
        }
        ensure!(nginx::access_log()?.is_empty(), "a request went to an origin that is not trusted");
        ensure!(
            device::fetch(&net.devices[0], "device", "/fw/image.bin", &[])?
                .image(Duration::from_secs(120))?
                == image
        );
        Ok(())
    })
}

#[test]
fn errors_and_redirects_of_the_origin_are_told_by_their_codes() -> Result<()> {
    sandbox::run(NEEDS, || {
        let directives = "
            location /500/ { return 500; }
            location /503/ { return 503; }
            location /403/ { return 403; }
            location /foreign/ { return 302 https://elsewhere.test/image.bin; }
            location /plain/ { return 302 http://origin.test/image.bin; }
            location /loop/ { return 302 /loop/image.bin; }
            location /moved/ { return 302 /image.bin; }";
        let scene = Scene::create(directives)?;
        let image = nginx::publish_image("image.bin", 1, 5000)?;
        let relay = Relay::start(&scene.net.relay, &(CONFIG.to_owned() + IMPATIENT))?;
        let fault = |path, code, diagnostic, outcome| Fault { path, code, diagnostic, outcome };
        for fault in [
            fault("/fw/500/image.bin", "5.00", "500", "server_error"),
            fault("/fw/503/image.bin", "5.03", "503", "server_error"),
            fault("/fw/403/image.bin", "4.03", "403", "client_error"),
            fault("/fw/none/image.bin", "4.04", "404", "client_error"),
            fault("/fw/foreign/image.bin", "5.02", "redirect", "redirect"),
            fault("/fw/plain/image.bin", "5.02", "redirect", "redirect"),
            fault("/fw/loop/image.bin", "5.02", "redirect", "redirect"),
        ] {
            fault.check(&scene.net, &relay)?;
        }
        let hosts: Vec<_> = nginx::access_log()?.into_iter().map(|access| access.host).collect();
        ensure!(hosts.iter().all(|host| host == "origin.test"), "a redirect was followed to {hosts:?}");
        let moved = device::fetch(&scene.net.devices[0], "device", "/fw/moved/image.bin", &[])?;
        ensure!(moved.image(Duration::from_secs(120))? == image);
        Ok(())
    })
}

/// A relay before a misbehaving origin at `/bad`, and before a good one at `/fw`.
fn with_misbehaving_origin(
    body: &[u8],
    settings: &str,
    test: impl FnOnce(&Scene, &MisbehavingOrigin, &Relay<'_>) -> Result<()>,
) -> Result<()> {
    let scene = Scene::create("")?;
    let bad = MisbehavingOrigin::start(&scene.net.origin, &scene.identity, body)?;
    let config = CONFIG.to_owned() + &route("/bad", "https://origin.test:9443/", "ca") + settings;
    let relay = Relay::start(&scene.net.relay, &config)?;
    test(&scene, &bad, &relay)
}

fn ask(scene: &Scene, path: &str, arguments: &[&str]) -> Result<Response> {
    aiocoap::request(&scene.net.devices[0], &format!("coap://{RELAY}{path}"), arguments)
}

#[test]
fn a_body_that_never_completes_ends_in_an_error() -> Result<()> {
    sandbox::run(NEEDS, || {
        with_misbehaving_origin(&image(1, 20_000), IMPATIENT, |scene, bad, relay| {
            let mut fetch = device::fetch(&scene.net.devices[0], "device", "/bad/truncated/image.bin", &[])?;
            let status = fetch.wait(Duration::from_secs(120))?;
            ensure!(!status.success(), "half an image was taken for a whole one");
            ensure!(fetch.printed().contains("5.02"), "{}", fetch.printed());
            let ranges = bad.requests().iter().filter(|request| request.contains("bytes=10000-")).count();
            ensure!(ranges >= 2, "not resumed again: {:?}", bad.requests());
            ensure!(
                relay.metric("sixfold_origin_requests_total{outcome=\"interrupted\"}")? > 0.0,
                "{}",
                relay.metrics()?
            );
            ensure!(relay.log().contains("truncated/image.bin"), "the log does not name it");
            Ok(())
        })
    })
}

#[test]
fn a_range_that_does_not_fit_is_refused() -> Result<()> {
    sandbox::run(NEEDS, || {
        with_misbehaving_origin(&image(1, 20_000), IMPATIENT, |scene, _bad, relay| {
            for path in ["/bad/misfit/image.bin", "/bad/changed/image.bin"] {
                let name = path.replace('/', "-");
                let mut fetch = device::fetch(&scene.net.devices[0], &name, path, &[])?;
                let status = fetch.wait(Duration::from_secs(120))?;
                ensure!(!status.success(), "{path}: two versions were mixed");
                ensure!(fetch.printed().contains("5.02"), "{path}: {}", fetch.printed());
            }
            let counted = relay.metric("sixfold_origin_requests_total{outcome=\"mismatch\"}")?;
            ensure!(counted >= 2.0, "{}", relay.metrics()?);
            Ok(())
        })
    })
}

#[test]
fn bytes_beyond_the_content_length_never_reach_a_device() -> Result<()> {
    sandbox::run(NEEDS, || {
        let body = image(1, 20_000);
        with_misbehaving_origin(&body, "", |scene, bad, _relay| {
            let response = ask(scene, "/bad/short/image.bin", &[])?;
            ensure!(response.code == "2.05" && response.body == body[..10_000], "{}", response.code);
            // What follows on that connection is not taken for the answer to the next request.
            let next = ask(scene, "/bad/none/image.bin", &[])?;
            ensure!(next.code == "4.04", "{} {:?}", next.code, bad.requests());
            Ok(())
        })
    })
}

#[test]
fn an_origin_that_does_not_answer_is_a_gateway_timeout() -> Result<()> {
    sandbox::run(NEEDS, || {
        with_misbehaving_origin(&image(1, 20), IMPATIENT, |scene, _bad, relay| {
            let path = "/bad/silent/image.bin";
            Fault { path, code: "5.04", diagnostic: "timed out", outcome: "timed_out" }
                .check(&scene.net, relay)
        })
    })
}

#[test]
fn a_slow_origin_delays_only_its_own_images() -> Result<()> {
    sandbox::run(NEEDS, || {
        let slow_image = image(2, 18);
        with_misbehaving_origin(&slow_image.clone(), "", |scene, _bad, _relay| {
            let image = nginx::publish_image("image.bin", 1, 50_000)?;
            let netns = &scene.net.devices[0];
            let started = Instant::now();
            let slow = device::fetch(netns, "slow", "/bad/trickle/image.bin", &["--szx", "0"])?;
            let fast = device::fetch(netns, "fast", "/fw/image.bin", &[])?;
            ensure!(fast.image(Duration::from_secs(15))? == image);
            let fast_took = started.elapsed();
            ensure!(slow.image(Duration::from_secs(120))? == slow_image);
            ensure!(fast_took < started.elapsed() / 2, "the fast image took {fast_took:?}");
            Ok(())
        })
    })
}
