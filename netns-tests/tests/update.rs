//! Whole updates over a network: the publisher signs, nginx serves, the relay caches, a device prepares, loses power, boots,
//! and runs the next version.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::{self, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{image, lamp, nginx, sandbox, wait, workspace};
use std::fs;
use std::path::Path;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const IMAGE_BYTES: usize = 96 << 10;
/// So much that six kills come before the last chunk: some 30 000 requests of 80 bytes and more, for blocks of 64.
const LARGE_IMAGE_BYTES: usize = 2 << 20;
const BYTES_BETWEEN_KILLS: u64 = 200_000;
const FLASH: &str = "/run/flash.bin";

/// What is fetched once is fresh for the whole test.
fn lasting() -> String {
    format!("{}max_age = \"1 h\"\n", relay::CONFIG)
}

/// Signs an image for lamps into nginx's folder.
fn release(netns: &Netns, image: &[u8], name: &str, sequence: u64) -> Result<()> {
    lamp::sign(netns, name, image, sequence, &lamp::KEY)
}

/// What a lamp says of itself, and asks of the relay.
fn lamp_words<'a>(manifest: &'a str, class: &'a str) -> Vec<&'a str> {
    lamp_that_trusts(&["--key", "/run/key.pub"], manifest, class)
}

fn lamp_that_trusts<'a>(whom: &[&'a str], manifest: &'a str, class: &'a str) -> Vec<&'a str> {
    let rest = [
        "--flash",
        FLASH,
        "--relay",
        "coap://[2001:db8:6::1]",
        "--manifest",
        manifest,
        "--vendor",
        "example.com",
        "--class",
        class,
        "--secret",
        "/run/secret",
    ];
    [whom, &rest].concat()
}

fn expect(netns: &Netns, arguments: &[&str], code: i32, says: &str) -> Result<String> {
    lamp::expect(netns, "sixfold-device", arguments, code, says)
}

/// Keys, a secret, and flash with a factory's image.
fn equip(netns: &Netns, geometry: &[&str]) -> Result<()> {
    lamp::make_keys(netns)?;
    let slot = if geometry.contains(&"--slot-size") { &[][..] } else { &["--slot-size", "131072"] };
    lamp::create_flash(netns, FLASH, &[slot, geometry].concat())
}

fn updates_from_version_to_version(geometry: &[&str]) -> Result<()> {
    let scene = Scene::create("")?;
    let _relay = Relay::start(&scene.net.relay, &lasting())?;
    let netns = &scene.net.devices[0];
    equip(netns, geometry)?;
    expect(netns, &["boot", "--flash", FLASH], 20, "prepare first")?;
    for (sequence, slot) in [(1, "B"), (2, "A"), (3, "B")] {
        let name = format!("lamp-{sequence}.bin");
        let image = image::image(sequence, IMAGE_BYTES + 1001);
        release(netns, &image, &name, sequence)?;
        let manifest = format!("/fw/{name}.suit");
        expect(netns, &[&["prepare"], &lamp_words(&manifest, "lamp")[..]].concat(), 0, "")?;
        let extracted = "/run/running.bin";
        let output = expect(netns, &["boot", "--flash", FLASH, "--json", "--extract", extracted], 0, "")?;
        let result: Value = serde_json::from_str(&output)?;
        ensure!(result["sequence"] == sequence && result["slot"] == slot, "{result}");
        ensure!(fs::read(extracted)? == image, "other bytes run");
        let again = [&["prepare"], &lamp_words(&manifest, "lamp")[..]].concat();
        expect(netns, &again, 0, "the device runs this image already")?;
    }
    // The origin sent each image, and what belongs to it, once.
    let log = nginx::wait_for_log(6)?;
    ensure!(log.iter().all(|access| access.status == 200), "{log:#?}");
    Ok(())
}

#[test]
fn a_device_with_one_slot_runs_one_version_after_the_other() -> Result<()> {
    sandbox::run(NEEDS, || updates_from_version_to_version(&[]))
}

#[test]
fn a_device_with_two_slots_runs_one_version_after_the_other() -> Result<()> {
    sandbox::run(NEEDS, || updates_from_version_to_version(&["--two-slots"]))
}

/// Encrypted once, cached once, and read by who has a key.
#[test]
fn an_encrypted_image_is_cached_as_it_is_and_runs_decrypted() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let _relay = Relay::start(&scene.net.relay, &lasting())?;
        let netns = &scene.net.devices[0];
        equip(netns, &[])?;
        for key in ["/run/lamp.kek", "/run/other.kek"] {
            lamp::run(netns, "sixfold-publish", &["keygen", key, "--algorithm", "a128kw"], 0)?;
        }
        let image = image::image(7, IMAGE_BYTES + 77);
        lamp::sign(netns, "lamp.bin", &image, 1, &["--key", "/run/key", "--encrypt", "/run/lamp.kek"])?;
        ensure!(fs::read(Path::new(nginx::ROOT).join("lamp.bin"))? != image, "it is not encrypted");
        let words = lamp_words("/fw/lamp.bin.suit", "lamp");
        let prepare = |keys: &[&'static str]| [&["prepare"], &words[..], keys].concat();
        expect(netns, &prepare(&[]), 31, "the image is encrypted")?;
        expect(netns, &prepare(&["--decrypt-with", "/run/other.kek"]), 31, "the image is encrypted")?;
        expect(netns, &prepare(&["--decrypt-with", "/run/lamp.kek"]), 0, "")?;
        expect(netns, &["boot", "--flash", FLASH, "--extract", "/run/running.bin"], 0, "")?;
        ensure!(fs::read("/run/running.bin")? == image, "other bytes run");
        nginx::wait_for_accesses("GET /lamp.bin", 1)?;
        Ok(())
    })
}

#[test]
fn killed_at_any_moment_a_boot_program_goes_on() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let relay = Relay::start(&scene.net.relay, relay::CONFIG)?;
        let netns = &scene.net.devices[0];
        equip(netns, &["--slot-size", "2097152"])?;
        let image = image::image(9, LARGE_IMAGE_BYTES);
        release(netns, &image, "lamp.bin", 1)?;
        let small_blocks = ["--szx", "64"];
        let prepare = [&["prepare"], &lamp_words("/fw/lamp.bin.suit", "lamp")[..], &small_blocks].concat();
        expect(netns, &prepare, 0, "")?;
        let under_way = relay.metric("sixfold_transfers_active")?;
        ensure!(under_way == 0.0, "prepare asks for the first block alone: {under_way} transfers");
        let marked = || -> Result<usize> {
            let shown = expect(netns, &["flash", "show", FLASH], 0, "")?;
            let line = shown.lines().find(|line| line.contains(" chunks of ")).context(shown.clone())?;
            Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
        };
        for kill in 1..=6 {
            let boot = workspace::program("sixfold-device", &["boot", "--flash", FLASH]);
            let mut process = Process::start(netns, "boot", boot)?;
            let before = netns.sent_bytes("wpan0")?;
            wait::until_true("some requests", wait::SOON, || {
                netns.sent_bytes("wpan0").is_ok_and(|sent| sent > before + BYTES_BETWEEN_KILLS)
                    || !process.is_running()
            })?;
            ensure!(process.is_running(), "kill {kill}: it had finished before\n{}", process.output());
            process.signal(Signal::SIGKILL)?;
            let status = process.wait(lamp::LIMIT)?;
            ensure!(!status.success() && status.code().is_none(), "kill {kill}: it had finished before");
        }
        let (before, all) = (marked()?, image.len().div_ceil(4096));
        ensure!((1..all).contains(&before), "{before} chunks of {all} after the last kill");
        let output = expect(netns, &["boot", "--flash", FLASH, "--extract", "/run/running.bin"], 0, "")?;
        ensure!(output.contains("sequence number 1"), "{output}");
        ensure!(fs::read("/run/running.bin")? == image, "other bytes run");
        Ok(())
    })
}

#[test]
fn update_finds_the_relay_by_itself() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let _relay = Relay::start(&scene.net.relay, relay::CONFIG)?;
        let netns = &scene.net.devices[0];
        equip(netns, &[])?;
        release(netns, &image::image(4, 5000), "lamp.bin", 1)?;
        let arguments = [
            "update",
            "--flash",
            FLASH,
            "--discover",
            "wpan0",
            "--interface",
            "wpan0",
            "--manifest",
            "/fw/lamp.bin.suit",
            "--key",
            "/run/key.pub",
            "--vendor",
            "example.com",
            "--class",
            "lamp",
            "--secret",
            "/run/secret",
        ];
        let output = expect(netns, &arguments, 0, "")?;
        ensure!(output.contains("sequence number 1, 5000 bytes"), "{output}");
        Ok(())
    })
}

#[test]
fn what_is_not_for_this_device_is_refused() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let _relay = Relay::start(&scene.net.relay, relay::CONFIG)?;
        let netns = &scene.net.devices[0];
        equip(netns, &[])?;
        release(netns, &image::image(5, 5000), "lamp-5.bin", 5)?;
        release(netns, &image::image(6, 200_000), "large.bin", 6)?;
        release(netns, &image::image(7, 5000), "lamp-7.bin", 7)?;
        let prepare = |manifest: &str, class: &str, code, says: &str| {
            expect(netns, &[&["prepare"], &lamp_words(manifest, class)[..]].concat(), code, says)
        };
        prepare("/fw/nowhere.suit", "lamp", 3, "no such resource")?;
        prepare("/fw/lamp-5.bin", "lamp", 8, "neither a SUIT envelope nor")?;
        prepare("/fw/lamp-5.bin.suit", "kettle", 13, "another class")?;
        prepare("/fw/large.bin.suit", "lamp", 15, "the slot only 131072")?;
        prepare("/fw/lamp-7.bin.suit", "lamp", 0, "")?;
        prepare("/fw/lamp-5.bin.suit", "lamp", 14, "7 was accepted before")?;
        lamp::run(netns, "sixfold-publish", &["keygen", "/run/other"], 0)?;
        fs::copy("/run/other.pub", "/run/key.pub")?;
        prepare("/fw/lamp-7.bin.suit", "lamp", 9, "not trusted")?;
        Ok(())
    })
}

/// What happens to files between the publisher and the device, and what a publisher's tool has to be forced to.
#[test]
fn what_does_not_belong_together_is_refused() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let _relay = Relay::start(&scene.net.relay, relay::CONFIG)?;
        let netns = &scene.net.devices[0];
        equip(netns, &["--two-slots"])?;
        let prepare = |manifest: &str, code, says: &str| {
            expect(netns, &[&["prepare"], &lamp_words(manifest, "lamp")[..]].concat(), code, says)
        };
        let image = image::image(5, 5000);
        let key = ["--key", "/run/key"];
        lamp::sign(netns, "small.bin", &image, 1, &[&key[..], &["--chunk-size", "1024"]].concat())?;
        prepare("/fw/small.bin.suit", 16, "sign with --chunk-size 4096")?;
        lamp::sign(netns, "else.bin", &image, 1, &[&key[..], &["--uri", "coap://elsewhere/x"]].concat())?;
        prepare("/fw/else.bin.suit", 19, "not on the relay")?;
        release(netns, &image, "short.bin", 1)?;
        nginx::publish("short.bin", &image[..4999])?;
        prepare("/fw/short.bin.suit", 18, "5000 were signed")?;
        let mut index = fs::read(Path::new(nginx::ROOT).join("short.bin.suit"))?;
        let mut forged = index.clone();
        *index.last_mut().context("an envelope ends with its index")? ^= 1;
        let signature = forged.windows(2).position(|head| head == [0x58, 0x40]).context("a signature")? + 2;
        forged[signature] ^= 1;
        nginx::publish("index", &index)?;
        prepare("/fw/index", 17, "the chunk index is not the one that was signed")?;
        nginx::publish("forged", &forged)?;
        prepare("/fw/forged", 22, "the signature is not by key")?;

        release(netns, &image, "lamp-2.bin", 2)?;
        prepare("/fw/lamp-2.bin.suit", 0, "")?;
        expect(netns, &["boot", "--flash", FLASH], 0, "")?;
        lamp::sign(netns, "other-2.bin", &image[1..], 2, &[&key[..], &["--force"]].concat())?;
        prepare("/fw/other-2.bin.suit", 25, "sign with a higher number")?;
        Ok(())
    })
}

#[test]
fn a_release_that_is_signed_with_certificates_is_prepared_unless_they_are_not_good() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let _relay = Relay::start(&scene.net.relay, relay::CONFIG)?;
        let netns = &scene.net.devices[0];
        equip(netns, &[])?;
        let (ca, other) = (Ca::create("publishers")?, Ca::create("others")?);
        let text = |path: &Path| path.to_str().context("a path in UTF-8").map(str::to_owned);
        let image = image::image(8, 5000);
        for (name, signer) in [("good.bin", ca.issue_signer()?), ("late.bin", ca.issue_expired_signer()?)] {
            let (key, chain) = (text(&signer.key)?, text(&signer.certificate)?);
            lamp::sign(netns, name, &image, 1, &["--cms-key", &key, "--cms-chain", &chain])?;
        }
        let (anchor, stranger) = (text(ca.certificate())?, text(other.certificate())?);
        fs::write("/run/nobody.crl", ca.revocation_list(false)?)?;
        fs::write("/run/revoked.crl", ca.revocation_list(true)?)?;
        fs::write("/run/others.crl", other.revocation_list(false)?)?;
        let prepare = |whom: &[&str], manifest: &str, code, says: &str| {
            expect(netns, &[&["prepare"], &lamp_that_trusts(whom, manifest, "lamp")[..]].concat(), code, says)
        };
        let good = "/fw/good.bin.p7s";
        prepare(&["--anchor", &stranger], good, 9, "no trust anchor")?;
        prepare(&["--anchor", &anchor], "/fw/late.bin.p7s", 10, "expired")?;
        prepare(&["--anchor", &anchor, "--crl", "/run/revoked.crl"], good, 11, "revoked")?;
        prepare(&["--anchor", &anchor, "--crl", "/run/others.crl"], good, 23, "no revocation list")?;
        prepare(&["--anchor", &anchor, "--crl", "/run/nobody.crl"], good, 0, "")?;
        expect(netns, &["boot", "--flash", FLASH, "--extract", "/run/running.bin"], 0, "")?;
        ensure!(fs::read("/run/running.bin")? == image, "other bytes run");
        Ok(())
    })
}
