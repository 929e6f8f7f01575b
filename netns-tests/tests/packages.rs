//! The OpenWrt packages as `config/openwrt/package.py` writes them, read by others: tar, and a reader of apk's format.
//!
//! The program in them is a stand-in here; `make packages` packs real ones, and `make packages-test` looks at those.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::workspace;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHITECTURE: &str = "aarch64_cortex-a53";

/// A stand-in too: `tests/supply_chain.rs` reads a real one.
const SBOM: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";

/// What is installed, and with which mode; apk's own files are not among it.
const FILES: &[(&str, u32)] = &[
    ("etc/capabilities/sixfold.json", 0o644),
    ("etc/config/sixfold", 0o600),
    ("etc/init.d/sixfold", 0o755),
    ("etc/sysctl.d/60-sixfold.conf", 0o644),
    ("etc/uci-defaults/80_sixfold", 0o755),
    ("lib/upgrade/keep.d/sixfold", 0o644),
    ("usr/bin/sixfold-relay", 0o755),
    ("usr/share/sixfold/relay.toml", 0o644),
    ("usr/share/sixfold/sbom.cdx.json", 0o644),
];

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Writes both packages below a folder, packed around a program of these bytes.
fn write(folder: &Path, program: &[u8]) -> Result<(PathBuf, PathBuf)> {
    let file = folder.join("program");
    fs::write(&file, program)?;
    let sbom = folder.join("sbom");
    fs::write(&sbom, SBOM)?;
    let script = workspace::root().join("config/openwrt/package.py");
    run(Command::new("python3")
        .arg(script)
        .args([ARCHITECTURE.as_ref(), file.as_os_str(), sbom.as_os_str(), folder.as_os_str()])
        .env("SOURCE_DATE_EPOCH", "1700000000"))?;
    let version = concat!(env!("CARGO_PKG_VERSION"), "-r1");
    let ipk = folder.join(format!("sixfold_{version}_{ARCHITECTURE}.ipk"));
    let apk = folder.join(format!("{ARCHITECTURE}/sixfold-{version}.apk"));
    Ok((ipk, apk))
}

fn untar(archive: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    run(Command::new("tar").arg("-xpzf").arg(archive).arg("-C").arg(into)).map(|_| ())
}

/// Regular files below a folder, with their modes.
fn files(folder: &Path) -> Result<BTreeMap<String, u32>> {
    let listed =
        run(Command::new("find").args([".", "-type", "f", "-printf", "%P %m\\n"]).current_dir(folder))?;
    listed
        .lines()
        .map(|line| {
            let (path, mode) = line.rsplit_once(' ').context("find")?;
            Ok((path.to_owned(), u32::from_str_radix(mode, 8)?))
        })
        .collect()
}

fn promised() -> BTreeMap<String, u32> {
    FILES.iter().map(|(path, mode)| ((*path).to_owned(), *mode)).collect()
}

#[test]
fn the_same_input_makes_the_same_packages() -> Result<()> {
    let [one, other] = [tempfile::tempdir()?, tempfile::tempdir()?];
    let first = write(one.path(), b"\x7fELF a program")?;
    let second = write(other.path(), b"\x7fELF a program")?;
    ensure!(fs::read(&first.0)? == fs::read(second.0)? && fs::read(&first.1)? == fs::read(second.1)?);
    let before = (fs::read(&first.0)?, fs::read(&first.1)?);
    let changed = write(one.path(), b"\x7fELF another program")?;
    ensure!(fs::read(changed.0)? != before.0 && fs::read(changed.1)? != before.1);
    Ok(())
}

#[test]
fn tar_reads_the_ipk() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (ipk, _) = write(folder.path(), b"\x7fELF a program")?;
    let parts = folder.path().join("parts");
    untar(&ipk, &parts)?;
    ensure!(fs::read_to_string(parts.join("debian-binary"))? == "2.0\n");
    let (data, control) = (folder.path().join("data"), folder.path().join("control"));
    untar(&parts.join("data.tar.gz"), &data)?;
    untar(&parts.join("control.tar.gz"), &control)?;
    ensure!(files(&data)? == promised(), "{:?}", files(&data)?);
    ensure!(fs::read(data.join("usr/bin/sixfold-relay"))? == b"\x7fELF a program");
    ensure!(fs::read(data.join("usr/share/sixfold/sbom.cdx.json"))? == SBOM);
    ensure!(fs::read_to_string(control.join("conffiles"))? == "/etc/config/sixfold\n");
    let about = fs::read_to_string(control.join("control"))?;
    for line in [
        "Package: sixfold",
        "Architecture: aarch64_cortex-a53",
        "Require-User: sixfold:sixfold",
        "Depends: ca-bundle",
    ] {
        ensure!(about.lines().any(|found| found == line), "no {line:?} in\n{about}");
    }
    for (script, action) in [("postinst", "default_postinst $0 $@"), ("prerm", "default_prerm $0 $@")] {
        let path = control.join(script);
        ensure!(fs::metadata(&path)?.permissions().mode() & 0o111 == 0o111, "{script}");
        ensure!(fs::read_to_string(path)?.trim_end().ends_with(action), "{script}");
    }
    Ok(())
}

/// Reads an apk package with the reader in `netns-tests/openwrt/`, which extracts it.
fn read_apk(apk: &Path, into: &Path) -> Result<serde_json::Value> {
    let reader = workspace::root().join("netns-tests/openwrt/read_apk.py");
    Ok(serde_json::from_str(&run(Command::new("python3").arg(reader).arg(apk).arg(into))?)?)
}

#[test]
fn another_reader_reads_the_apk() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, apk) = write(folder.path(), b"\x7fELF a program")?;
    let data = folder.path().join("data");
    let read = read_apk(&apk, &data)?;
    let listed = read["files"].as_object().context("files")?;
    let (own, installed): (Vec<_>, Vec<_>) =
        listed.iter().partition(|(path, _)| path.starts_with("lib/apk/packages/sixfold."));
    let modes = installed.into_iter().map(|(path, file)| {
        let mode = file["mode"].as_str().context("mode")?;
        Ok((path.clone(), u32::from_str_radix(mode, 8)?))
    });
    ensure!(modes.collect::<Result<BTreeMap<_, _>>>()? == promised(), "{listed:?}");
    ensure!(own.len() == 4, "{own:?}");
    ensure!(listed.values().all(|file| file["time"] == 1_700_000_000), "{listed:?}");
    ensure!(fs::read(data.join("usr/bin/sixfold-relay"))? == b"\x7fELF a program");
    ensure!(fs::read_to_string(data.join("lib/apk/packages/sixfold.rusers"))? == "sixfold:sixfold\n");
    ensure!(read["info"]["arch"] == ARCHITECTURE && read["info"]["depends"][0][0] == "ca-bundle", "{read}");
    for (script, action) in [
        ("post-install", "default_postinst"),
        ("pre-deinstall", "default_prerm"),
        ("post-upgrade", "default_postinst"),
    ] {
        ensure!(
            read["scripts"][script].as_str().is_some_and(|text| text.trim_end().ends_with(action)),
            "{read}"
        );
    }
    Ok(())
}

#[test]
fn the_reader_sees_a_package_that_was_changed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Longer than any of the other files, so that the middle of the package is its bytes.
    let noise: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (_, apk) = write(folder.path(), &noise)?;
    let mut bytes = fs::read(&apk)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&apk, bytes)?;
    ensure!(read_apk(&apk, folder.path()).is_err());
    Ok(())
}

#[test]
fn the_feed_installs_what_the_packages_hold() -> Result<()> {
    let feed = workspace::root().join("config/openwrt/sixfold");
    let makefile = fs::read_to_string(feed.join("Makefile"))?;
    ensure!(
        makefile.contains(concat!("PKG_VERSION:=", env!("CARGO_PKG_VERSION"), "\n")),
        "the feed has another version"
    );
    for (path, _) in FILES {
        let folder = path.rsplit_once('/').context("a file without a folder")?.0;
        ensure!(makefile.contains(&format!("$(1)/{folder}")), "the feed does not install {path}");
    }
    let sources = makefile.split_whitespace().filter_map(|word| word.strip_prefix("./files/"));
    for source in sources {
        ensure!(feed.join("files").join(source).exists(), "the feed installs {source}, which is not there");
    }
    Ok(())
}
