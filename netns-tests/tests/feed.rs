//! The indices that make a feed of a folder of OpenWrt packages, and their signatures, by the word of others: sha256sum, gzip,
//! OpenBSD's signify, OpenSSL and a reader of apk's format.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::packed::{ARCHITECTURE, Feed, read_apk, script};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::run;
use sixfold_netns_tests::sandbox::skip_or_fail;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &[u8] = b"\x7fELF a program";

/// What is said of each package in an index of opkg.
fn stanzas(text: &str) -> Result<Vec<BTreeMap<&str, &str>>> {
    text.trim_end()
        .split("\n\n")
        .map(|stanza| stanza.lines().map(|line| line.split_once(": ").context(line.to_owned())).collect())
        .collect()
}

#[test]
fn the_index_of_opkg_says_what_is_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let feed = Feed::write(folder.path(), PROGRAM)?;
    let text = fs::read_to_string(feed.folder().join("Packages"))?;
    ensure!(run(Command::new("gzip").arg("-dc").arg(feed.folder().join("Packages.gz")))? == text);
    let listed = stanzas(&text)?;
    let names: Vec<_> = listed.iter().map(|about| (about["Package"], about["Architecture"])).collect();
    ensure!(names == [("luci-app-sixfold", "all"), ("sixfold", ARCHITECTURE)], "{names:?}");
    for about in listed {
        let file = feed.folder().join(about["Filename"]);
        ensure!(file == feed.ipk(about["Package"], about["Architecture"]), "{about:?}");
        ensure!(about["Size"] == fs::metadata(&file)?.len().to_string(), "{about:?}");
        ensure!(run(Command::new("sha256sum").arg(&file))?.starts_with(about["SHA256sum"]), "{about:?}");
    }
    Ok(())
}

#[test]
fn the_index_of_apk_says_what_is_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let feed = Feed::write(folder.path(), PROGRAM)?;
    let index = read_apk(&feed.folder().join("packages.adb"), folder.path())?;
    let listed = index["packages"].as_array().context("packages")?;
    ensure!(listed.len() == 2, "{index}");
    for (about, name) in listed.iter().zip(["luci-app-sixfold", "sixfold"]) {
        let file = feed.apk(name);
        let package = read_apk(&file, &folder.path().join(name))?;
        let mut expected = package["info"].clone();
        expected["file-size"] = fs::metadata(&file)?.len().into();
        ensure!(*about == expected, "{about}\n{expected}");
    }
    Ok(())
}

/// Older usign digests some lengths wrongly, and its router would refuse a good signature: OpenWrt's own indices avoid them too.
#[test]
fn the_index_of_opkg_has_no_length_that_older_routers_digest_wrongly() -> Result<()> {
    let program = "
import sys
sys.dont_write_bytecode = True
import ipk
class Package:
    name = version = license = section = architecture = user = 'x'
    depends = []
    epoch = 0
    def __init__(self, length): self.description = 'x' * length
    def size(self): return 1
for length in range(1, 257):
    print(len(ipk.index([(Package(length), 'x.ipk', b'')])))
";
    let folder = script("package.py");
    let folder = folder.parent().context("no folder")?;
    let printed = run(Command::new("python3").args(["-c", program]).env("PYTHONPATH", folder))?;
    let lengths: Vec<u32> = printed.lines().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(lengths.len() == 256);
    // The message is padded as if 64 bytes, of the key and the signature, were before it: FIPS 180-4, 5.1.2.
    let wrong: Vec<_> = lengths.iter().filter(|length| matches!((64 + **length) % 128, 110 | 111)).collect();
    ensure!(wrong.is_empty(), "{wrong:?}");
    Ok(())
}

/// An operator's keys: for opkg by signify, for apk by OpenSSL.
fn make_keys(folder: &Path) -> Result<()> {
    let signify = Peer::Signify.program().with_context(|| Peer::Signify.remedy())?;
    run(Command::new(signify).args(["-G", "-n", "-p", "feed.pub", "-s", "feed.sec"]).current_dir(folder))?;
    let [private, public] = ["feed.pem", "feed-public.pem"];
    let make = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private];
    run(Command::new("openssl").args(make).current_dir(folder))?;
    let publish = ["ec", "-in", private, "-pubout", "-out", public];
    run(Command::new("openssl").args(publish).current_dir(folder)).map(|_| ())
}

fn sign(keys: &Path, opkg: &str, apk: &str, feed: &Feed) -> Result<Output> {
    let python = Peer::Cryptography.program().with_context(|| Peer::Cryptography.remedy())?;
    let mut command = Command::new(python);
    command.arg(script("sign.py")).args(["--opkg", opkg, "--apk", apk]).arg(feed.folder());
    Ok(command.current_dir(keys).output()?)
}

/// Whether signify finds that `Packages` is what was signed.
fn signify_agrees(keys: &Path, feed: &Feed) -> Result<bool> {
    let mut command = Command::new(Peer::Signify.program().with_context(|| Peer::Signify.remedy())?);
    command.args(["-V", "-q", "-p"]).arg(keys.join("feed.pub"));
    command.arg("-m").arg(feed.folder().join("Packages")).arg("-x").arg(feed.folder().join("Packages.sig"));
    Ok(command.status()?.success())
}

/// Whether OpenSSL finds the same of what the reader says was signed of apk's index.
fn openssl_agrees(keys: &Path, feed: &Feed) -> Result<bool> {
    let parts = keys.join("parts");
    read_apk(&feed.folder().join("packages.adb"), &parts)?;
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha512", "-verify"]).arg(keys.join("feed-public.pem"));
    command.arg("-signature").arg(parts.join("signature")).arg(parts.join("signed"));
    Ok(command.output()?.status.success())
}

/// The first 16 bytes of the digest of the public key's point, the last 65 bytes of its DER (RFC 5480, section 2.2).
fn key_identity(keys: &Path) -> Result<Vec<u8>> {
    let program = "openssl ec -pubin -in feed-public.pem -outform DER 2>/dev/null | tail -c 65 | sha512sum | head -c 32";
    let digest = run(Command::new("sh").args(["-c", program]).current_dir(keys))?;
    (0..16).map(|n| Ok(u8::from_str_radix(digest.get(2 * n..2 * n + 2).context("digest")?, 16)?)).collect()
}

/// The peer that is not there, of those that signatures need.
fn missing() -> Option<Peer> {
    [Peer::Signify, Peer::Cryptography].into_iter().find(|peer| peer.program().is_none())
}

#[test]
fn an_operators_keys_sign_the_feed() -> Result<()> {
    if let Some(peer) = missing() {
        return skip_or_fail("an_operators_keys_sign_the_feed", &peer.remedy());
    }
    let folder = tempfile::tempdir()?;
    let keys = folder.path();
    make_keys(keys)?;
    let feed = Feed::write(keys, PROGRAM)?;
    let output = sign(keys, "feed.sec", "feed.pem", &feed)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(signify_agrees(keys, &feed)? && openssl_agrees(keys, &feed)?);
    ensure!(fs::read(keys.join("parts/key"))? == key_identity(keys)?);

    let signed = |name: &str| fs::read(feed.folder().join(name));
    let first = (signed("Packages.sig")?, signed("packages.adb")?);
    ensure!(sign(keys, "feed.sec", "feed.pem", &feed)?.status.success());
    ensure!(first == (signed("Packages.sig")?, signed("packages.adb")?), "the second signature is another");

    // Another program, and the signatures of before: that of opkg does not fit, and is not left lying about.
    let changed = Feed::write(keys, b"\x7fELF another program")?;
    ensure!(!changed.folder().join("Packages.sig").exists());
    fs::write(changed.folder().join("Packages.sig"), &first.0)?;
    ensure!(!signify_agrees(keys, &changed)?, "the signature fits another index");
    let signed = fs::read(keys.join("parts/signed"))?;
    ensure!(
        sign(keys, "feed.sec", "feed.pem", &changed)?.status.success() && openssl_agrees(keys, &changed)?
    );
    ensure!(fs::read(keys.join("parts/signed"))? != signed);
    Ok(())
}

#[test]
fn keys_of_another_kind_are_refused() -> Result<()> {
    if let Some(peer) = missing() {
        return skip_or_fail("keys_of_another_kind_are_refused", &peer.remedy());
    }
    let folder = tempfile::tempdir()?;
    let keys = folder.path();
    make_keys(keys)?;
    run(Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out", "ed.pem"])
        .current_dir(keys))?;
    let text = fs::read_to_string(keys.join("feed.sec"))?;
    let (comment, key) = text.split_once('\n').context("one line")?;
    // The rounds of the key derivation, which only a key with a passphrase has.
    ensure!(key.starts_with("RWRCSwAAAA"), "{key}");
    fs::write(
        keys.join("locked.sec"),
        format!("{comment}\n{}", key.replacen("RWRCSwAAAA", "RWRCSwAAAC", 1)),
    )?;
    let feed = Feed::write(keys, PROGRAM)?;
    for (opkg, apk, complaint) in [
        ("feed.pub", "feed.pem", "no secret key"),
        ("feed.pem", "feed.pem", "no secret key"),
        ("locked.sec", "feed.pem", "passphrase"),
        ("feed.sec", "feed.sec", "no private key"),
        ("feed.sec", "ed.pem", "prime256v1"),
        ("absent", "feed.pem", "No such file"),
    ] {
        let output = sign(keys, opkg, apk, &feed)?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(!output.status.success(), "{opkg} and {apk} were taken");
        ensure!(said.starts_with("operator: ") && said.contains(complaint), "{opkg}, {apk}: {said}");
    }
    Ok(())
}
