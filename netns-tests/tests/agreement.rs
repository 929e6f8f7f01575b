//! A device and a relay agree on a session, as the programs that people install: certificates from files, TCP over a network, a
//! ticket in flash, a name in the relay's log.

use anyhow::{Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::ca::{Ca, Identity};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::{self, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{image, nginx, sandbox, workspace};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const LIMIT: Duration = Duration::from_secs(60);
const FLASH: &str = "/run/flash.bin";
const PORT: &str = "tls://[2001:db8:6::1]:9684";

fn run(netns: &Netns, name: &str, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(workspace::program_dir().join(name));
    command.args(arguments);
    let mut process = Process::start(netns, name, command)?;
    let status = process.wait(LIMIT)?;
    Ok((status.code(), process.output(), process.log()))
}

fn expect(netns: &Netns, name: &str, arguments: &[&str], code: i32, says: &str) -> Result<String> {
    let (ended, output, log) = run(netns, name, arguments)?;
    ensure!(ended == Some(code) && log.contains(says), "{arguments:?}: {ended:?}\n{output}{log}");
    Ok(output)
}

/// Keys, flash and a release for lamps.
fn equip(netns: &Netns) -> Result<()> {
    let folder = Path::new("/run/lamp.bin");
    fs::write(folder, image::image(3, 5000))?;
    fs::write("/run/secret", [7; 32])?;
    expect(netns, "sixfold-publish", &["keygen", "/run/key"], 0, "")?;
    let what = ["--vendor", "example.com", "--class", "lamp", "--sequence", "1", "--output", nginx::ROOT];
    let sign = [&["sign", "/run/lamp.bin", "--key", "/run/key"], &what[..]].concat();
    expect(netns, "sixfold-publish", &sign, 0, "")?;
    expect(netns, "sixfold-device", &["flash", "create", FLASH, "--slot-size", "131072"], 0, "")?;
    Ok(())
}

/// `sixfold-device prepare` of a lamp that trusts the relays of `ca`.
fn prepare(ca: &Ca, device: &Identity) -> Vec<String> {
    let lamp = [
        "prepare --json --flash /run/flash.bin --relay coap://[2001:db8:6::1] --manifest /fw/lamp.bin.suit",
        "--key /run/key.pub --vendor example.com --class lamp --secret /run/secret --session",
        PORT,
    ];
    let files = [
        ("--session-ca", ca.certificate()),
        ("--session-certificate", &device.certificate),
        ("--session-key", &device.key),
    ];
    let files = files.map(|(option, path)| format!("{option} {}", path.display()));
    let line = [lamp.join(" "), files.join(" ")].join(" ");
    line.split_whitespace().map(str::to_owned).collect()
}

fn expect_prepare(netns: &Netns, arguments: &[String], code: i32, says: &str) -> Result<String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    expect(netns, "sixfold-device", &arguments, code, says)
}

/// A relay whose session port has a certificate of `site` for this address, and lets the devices of `site` in.
fn configuration(site: &Ca, address: &str) -> Result<String> {
    let own = site.issue(&[address])?;
    let [certificate, key, ca] = [&own.certificate, &own.key, site.certificate()].map(|path| path.display());
    Ok(format!(
        "{}[sessions]\nlisten = \"[::]:9684\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nclient_ca = \"{ca}\"\n",
        relay::CONFIG
    ))
}

#[test]
fn prepare_leaves_a_session_in_the_ticket_that_the_relay_knows() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let site = Ca::create("site")?;
        let relay = Relay::start(&scene.net.relay, &configuration(&site, "2001:db8:6::1")?)?;
        let netns = &scene.net.devices[0];
        equip(netns)?;
        let lamp = site.issue_device("lamp-7.example")?;
        let output = expect_prepare(netns, &prepare(&site, &lamp), 0, "a session with the relay, for ")?;
        let result: Value = serde_json::from_str(&output)?;
        let id = result["session"]["id"].as_str().unwrap_or_default();
        ensure!(id.len() == 10, "{result}");
        let shown = expect(netns, "sixfold-publish", &["inspect", FLASH], 0, "")?;
        ensure!(shown.contains(&format!("Sender ID '{id}', Recipient ID ''")), "{shown}");
        ensure!(relay.metric("sixfold_agreements_total{result=\"granted\"}")? == 1.0, "{}", relay.log());
        ensure!(relay.log().contains("device=\"lamp-7.example\""), "{}", relay.log());
        Ok(())
    })
}

#[test]
fn whoever_has_the_wrong_certificate_is_told_so_and_gets_no_ticket() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let (site, other) = (Ca::create("site")?, Ca::create("other")?);
        let relay = Relay::start(&scene.net.relay, &configuration(&site, "2001:db8:6::1")?)?;
        let netns = &scene.net.devices[0];
        equip(netns)?;
        let (lamp, stranger) = (site.issue_device("lamp")?, other.issue_device("stranger")?);
        expect_prepare(netns, &prepare(&site, &stranger), 29, "sessions.client_ca")?;
        expect_prepare(netns, &prepare(&other, &lamp), 28, "the relay's certificate is not trusted")?;
        let names = ["--session-name".to_owned(), "elsewhere.test".to_owned()];
        expect_prepare(netns, &[&prepare(&site, &lamp)[..], &names].concat(), 28, "is not trusted")?;
        let closed = prepare(&site, &lamp).into_iter().map(|word| word.replace(":9684", ":9685"));
        expect_prepare(netns, &closed.collect::<Vec<_>>(), 30, "the connection to the session port")?;
        expect(netns, "sixfold-device", &["boot", "--flash", FLASH], 20, "prepare first")?;
        for result in ["untrusted", "distrusted"] {
            let counted = relay.metric(&format!("sixfold_agreements_total{{result=\"{result}\"}}"))?;
            ensure!(counted > 0.0, "{result}: {}", relay.log());
        }
        Ok(())
    })
}
