//! A lamp that agrees on a session: its release, its flash and its command lines.

use crate::ca::{Ca, Identity};
use crate::netns::Netns;
use crate::process::Process;
use crate::{image, nginx, relay, workspace};
use anyhow::{Result, ensure};
use std::fs;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// Its flash.
pub const FLASH: &str = "/run/flash.bin";
const PORT: &str = "tls://[2001:db8:6::1]:9684";

fn run(netns: &Netns, name: &str, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(workspace::program_dir().join(name));
    command.args(arguments);
    let mut process = Process::start(netns, name, command)?;
    let status = process.wait(LIMIT)?;
    Ok((status.code(), process.output(), process.log()))
}

/// Runs a program, which has to end with `code` and to say this in its log; what it printed.
pub fn expect(netns: &Netns, name: &str, arguments: &[&str], code: i32, says: &str) -> Result<String> {
    let (ended, output, log) = run(netns, name, arguments)?;
    ensure!(ended == Some(code) && log.contains(says), "{arguments:?}: {ended:?}\n{output}{log}");
    Ok(output)
}

/// Keys, flash and a release for lamps, of so many bytes.
pub fn equip(netns: &Netns, bytes: usize) -> Result<()> {
    release(netns, bytes)?;
    expect(netns, "sixfold-device", &["flash", "create", FLASH, "--slot-size", "524288"], 0, "")?;
    Ok(())
}

/// Keys and a release for lamps, of so many bytes: its image.
pub fn release(netns: &Netns, bytes: usize) -> Result<Vec<u8>> {
    let image = image::image(3, bytes);
    fs::write("/run/lamp.bin", &image)?;
    fs::write("/run/secret", [7; 32])?;
    expect(netns, "sixfold-publish", &["keygen", "/run/key"], 0, "")?;
    let what = ["--vendor", "example.com", "--class", "lamp", "--sequence", "1", "--output", nginx::ROOT];
    let sign = [&["sign", "/run/lamp.bin", "--key", "/run/key"], &what[..]].concat();
    expect(netns, "sixfold-publish", &sign, 0, "")?;
    Ok(image)
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
