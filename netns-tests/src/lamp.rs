//! A lamp: its release, its flash and its command lines, with a session or without.

use crate::ca::{Ca, Identity};
use crate::netns::Netns;
use crate::process::Process;
use crate::{image, nginx, relay, workspace};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long one of its programs may run.
pub const LIMIT: Duration = Duration::from_secs(300);
/// Signs with the key of [`make_keys`].
pub const KEY: [&str; 2] = ["--key", "/run/key"];
/// Its flash.
pub const FLASH: &str = "/run/flash.bin";
const PORT: &str = "tls://[2001:db8:6::1]:9684";

/// Runs a program to its end, which has to have this exit code; what it printed, and what it said on standard error.
pub fn run(netns: &Netns, name: &str, arguments: &[&str], code: i32) -> Result<(String, String)> {
    let mut process = Process::start(netns, name, workspace::program(name, arguments))?;
    let ended = process.wait(LIMIT)?.code();
    let (output, log) = (process.output(), process.log());
    ensure!(ended == Some(code), "{name} {arguments:?}: {ended:?}\n{output}{log}");
    Ok((output, log))
}

/// The same, where it also has to say this on standard error; what it printed.
pub fn expect(netns: &Netns, name: &str, arguments: &[&str], code: i32, says: &str) -> Result<String> {
    let (output, log) = run(netns, name, arguments, code)?;
    ensure!(log.contains(says), "{name} {arguments:?} does not say {says:?}\n{output}{log}");
    Ok(output)
}

/// Keys, flash and a release for lamps, of so many bytes.
pub fn equip(netns: &Netns, bytes: usize) -> Result<()> {
    release(netns, bytes)?;
    create_flash(netns, FLASH, &["--slot-size", "524288"])
}

/// Empty flash, of this geometry.
pub fn create_flash(netns: &Netns, file: &str, geometry: &[&str]) -> Result<()> {
    run(netns, "sixfold-device", &[&["flash", "create", file], geometry].concat(), 0).map(|_| ())
}

/// Keys and a release for lamps, of so many bytes: its image.
pub fn release(netns: &Netns, bytes: usize) -> Result<Vec<u8>> {
    let image = image::image(3, bytes);
    make_keys(netns)?;
    sign(netns, "lamp.bin", &image, 1, &KEY)?;
    Ok(image)
}

/// The publisher's key in `/run/key`, and a device's secret in `/run/secret`.
pub fn make_keys(netns: &Netns) -> Result<()> {
    fs::write("/run/secret", [7; 32])?;
    run(netns, "sixfold-publish", &["keygen", "/run/key"], 0).map(|_| ())
}

/// Signs an image for lamps into nginx's folder. `how` has the words for the key, [`KEY`] mostly, and others.
pub fn sign(netns: &Netns, name: &str, image: &[u8], sequence: u64, how: &[&str]) -> Result<()> {
    let file = Path::new("/run").join(name);
    fs::write(&file, image)?;
    let (file, sequence) = (file.to_str().context("a path in UTF-8")?, sequence.to_string());
    let what =
        ["--vendor", "example.com", "--class", "lamp", "--sequence", &sequence, "--output", nginx::ROOT];
    run(netns, "sixfold-publish", &[&["sign", file], how, &what].concat(), 0).map(|_| ())
}

/// A key for EDHOC, `/run/FILE`, of somebody with this name; its credential is in `/run/FILE.ccs`.
pub fn edhoc_key(netns: &Netns, file: &str, name: &str) -> Result<String> {
    let path = format!("/run/{file}");
    expect(netns, "sixfold-publish", &["keygen", &path, "--algorithm", "edhoc", "--name", name], 0, "")?;
    Ok(path)
}

/// `sixfold-device prepare` of a lamp that trusts the relays of `ca`.
pub fn prepare(ca: &Ca, device: &Identity) -> Vec<String> {
    let files = [
        ("--session-ca", ca.certificate()),
        ("--session-certificate", &device.certificate),
        ("--session-key", &device.key),
    ];
    let files = files.map(|(option, path)| format!("{option} {}", path.display()));
    prepare_with(FLASH, &format!("--session {PORT} {}", files.join(" ")))
}

/// The same of a lamp with this key, which agrees by EDHOC with the relay of this credential.
pub fn prepare_by_edhoc(key: &str, relay: &str) -> Vec<String> {
    prepare_with(FLASH, &edhoc(key, relay))
}

/// The words for a session by EDHOC.
pub fn edhoc(key: &str, relay: &str) -> String {
    let credentials = format!("--session-key {key} --session-credential {key}.ccs --session-relay {relay}");
    format!("--session coap://[2001:db8:6::1] {credentials}")
}

/// `sixfold-device prepare` of a lamp, with these words behind it.
pub fn prepare_with(flash: &str, more: &str) -> Vec<String> {
    let lamp = [
        "prepare --json --relay coap://[2001:db8:6::1] --manifest /fw/lamp.bin.suit --key /run/key.pub",
        "--vendor example.com --class lamp --secret /run/secret --flash",
        flash,
        more,
    ];
    lamp.join(" ").split_whitespace().map(str::to_owned).collect()
}

/// The same of `sixfold-device`.
pub fn expect_prepare(netns: &Netns, arguments: &[String], code: i32, says: &str) -> Result<String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    expect(netns, "sixfold-device", &arguments, code, says)
}

/// A relay whose session port has a certificate of `site` for this address, and lets the devices of `site` in.
pub fn configuration(site: &Ca, address: &str) -> Result<String> {
    let own = site.issue(&[address])?;
    let [certificate, key, ca] = [&own.certificate, &own.key, site.certificate()].map(|path| path.display());
    Ok(format!(
        "{}[sessions]\nlisten = \"[::]:9684\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nclient_ca = \"{ca}\"\n",
        relay::CONFIG
    ))
}
