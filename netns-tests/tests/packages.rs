//! The OpenWrt packages as `config/openwrt/package.py` writes them, read by others: tar, and a reader of apk's format.
//!
//! The program in them is a stand-in here; `make packages` packs real ones, and `make packages-test` looks at those. What a relay takes of
//! memory before it has served anything is measured here too, and what has it serve is tried, with the programs under test.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::packed::{self, ARCHITECTURE, Feed, NOTICES, SBOM, files, folders, read_apk, untar};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{process, sandbox, workspace};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a relay with an empty cache may have for itself, in KiB. With the program's own pages it has to be 8 MiB at most where it is
/// installed; those are other ones here.
const MOST_ANONYMOUS: u32 = 3 << 10;

/// What is installed, and with which mode; apk's own files are not among it.
const FILES: &[(&str, u32)] = &[
    ("etc/capabilities/sixfold.json", 0o644),
    ("etc/config/sixfold", 0o600),
    ("etc/init.d/sixfold", 0o755),
    ("etc/sysctl.d/10-sixfold.conf", 0o644),
    ("etc/uci-defaults/60-sixfold", 0o755),
    ("lib/upgrade/keep.d/sixfold", 0o644),
    ("usr/bin/sixfold-relay", 0o755),
    ("usr/share/sixfold/notices.gz", 0o644),
    ("usr/share/sixfold/relay.toml", 0o644),
    ("usr/share/sixfold/sbom.cdx.json", 0o644),
];

/// Those of them that only who builds the program can write.
const OF_THE_BUILD: &[&str] = &["usr/share/sixfold/notices.gz", "usr/share/sixfold/sbom.cdx.json"];

/// A folder in which nothing is: for the operator's keys.
const FOLDER: &str = "etc/sixfold";

/// All folders that come of it.
fn promised_folders() -> BTreeSet<String> {
    let places = FILES
        .iter()
        .flat_map(|(path, _)| Path::new(path).ancestors().skip(1))
        .chain(Path::new(FOLDER).ancestors());
    places.filter_map(Path::to_str).filter(|place| !place.is_empty()).map(str::to_owned).collect()
}

fn promised() -> BTreeMap<String, u32> {
    FILES.iter().map(|(path, mode)| ((*path).to_owned(), *mode)).collect()
}

/// Every file of a feed.
fn contents(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    files(folder)?.into_keys().map(|name| Ok((name.clone(), fs::read(folder.join(name))?))).collect()
}

/// Unpacks a package of opkg: what is installed, and what is said about it.
fn unpack(ipk: &Path, into: &Path) -> Result<(PathBuf, PathBuf)> {
    let parts = into.join("parts");
    untar(ipk, &parts)?;
    ensure!(fs::read_to_string(parts.join("debian-binary"))? == "2.0\n");
    let (data, control) = (into.join("data"), into.join("control"));
    untar(&parts.join("data.tar.gz"), &data)?;
    untar(&parts.join("control.tar.gz"), &control)?;
    Ok((data, control))
}

#[test]
fn the_same_input_makes_the_same_packages() -> Result<()> {
    let [one, other] = [tempfile::tempdir()?, tempfile::tempdir()?];
    let first = contents(Feed::write(one.path(), b"\x7fELF a program")?.folder())?;
    let second = contents(Feed::write(other.path(), b"\x7fELF a program")?.folder())?;
    ensure!(first.len() == 7, "{:?}", first.keys());
    ensure!(first == second);
    let changed = contents(Feed::write(one.path(), b"\x7fELF another program")?.folder())?;
    let same: Vec<_> = first.iter().filter(|(name, data)| changed.get(*name) == Some(*data)).collect();
    ensure!(same.len() == 2 && same.iter().all(|(name, _)| name.starts_with("luci-app-sixfold")), "{same:?}");
    Ok(())
}

/// `scripts/reproducible` in a folder of its own, around a script that stands for `scripts/packages`: whether it is content, and what it
/// said.
fn reproducible(packages: &str) -> Result<(bool, String)> {
    let folder = tempfile::tempdir()?;
    let scripts = folder.path().join("scripts");
    fs::create_dir(&scripts)?;
    for name in ["scripts/reproducible", "scripts/snapshot", "Cargo.toml"] {
        fs::copy(workspace::root().join(name), folder.path().join(name))?;
    }
    let stand_in = scripts.join("packages");
    // As that one does it, with what earlier runs have left among the sums.
    let rest = "out=${PACKAGES:-target/packages}; mkdir -p $out";
    let sums = "(cd $out && sha256sum *.deb >SHA256SUMS 2>/dev/null || true)";
    fs::write(&stand_in, format!("#!/bin/sh\n{rest}\n{packages}\n{sums}\n"))?;
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755))?;
    let earlier = folder.path().join("target/packages");
    fs::create_dir_all(&earlier)?;
    fs::write(earlier.join("earlier.deb"), "of another architecture")?;
    let commit =
        "git init -q && git add scripts && git -c user.name=a -c user.email=a@example.com commit -q -m one";
    process::run(Command::new("sh").args(["-c", commit]).current_dir(folder.path()))?;
    let output = Command::new(scripts.join("reproducible")).arg("amd64").output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), said.into_owned()))
}

#[test]
fn packages_are_compared_with_what_the_same_run_made() -> Result<()> {
    let (is_content, said) = reproducible("echo same >$out/$1.deb")?;
    ensure!(
        is_content && said.contains("same: amd64.deb\n") && said.contains("same: SHA256SUMS\n"),
        "{said}"
    );
    ensure!(!said.contains("earlier"), "{said}");
    let (is_content, said) = reproducible("pwd >$out/$1.deb")?;
    ensure!(!is_content && said.contains("differs: amd64.deb\n"), "{said}");
    let (is_content, said) =
        reproducible("echo same >$out/$1.deb; case $PWD in *deeper*) echo more >$out/more.deb ;; esac")?;
    ensure!(!is_content && said.contains("differs: more.deb\n"), "{said}");
    let (is_content, said) = reproducible("")?;
    ensure!(!is_content && said.contains("no package was made"), "{said}");
    Ok(())
}

#[test]
fn tar_reads_the_ipk() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let feed = Feed::write(folder.path(), b"\x7fELF a program")?;
    let (data, control) = unpack(&feed.ipk("sixfold", ARCHITECTURE), folder.path())?;
    ensure!(files(&data)? == promised(), "{:?}", files(&data)?);
    ensure!(folders(&data)? == promised_folders(), "{:?}", folders(&data)?);
    ensure!(fs::read(data.join("usr/bin/sixfold-relay"))? == b"\x7fELF a program");
    ensure!(fs::read(data.join("usr/share/sixfold/sbom.cdx.json"))? == SBOM);
    ensure!(fs::read(data.join("usr/share/sixfold/notices.gz"))? == NOTICES);
    ensure!(fs::read_to_string(control.join("conffiles"))? == "/etc/config/sixfold\n");
    let about = fs::read_to_string(control.join("control"))?;
    for line in [
        "Package: sixfold",
        "Architecture: aarch64_cortex-a53",
        "Require-User: sixfold:sixfold",
        "Depends: ca-bundle, procd-ujail",
    ] {
        ensure!(about.lines().any(|found| found == line), "no {line:?} in\n{about}");
    }
    for script in ["postinst", "prerm"] {
        ensure!(fs::metadata(control.join(script))?.permissions().mode() & 0o111 == 0o111, "{script}");
    }
    Ok(())
}

#[test]
fn another_reader_reads_the_apk() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let feed = Feed::write(folder.path(), b"\x7fELF a program")?;
    let data = folder.path().join("data");
    let read = read_apk(&feed.apk("sixfold"), &data)?;
    let listed = read["files"].as_object().context("files")?;
    let (own, installed): (Vec<_>, Vec<_>) =
        listed.iter().partition(|(path, _)| path.starts_with("lib/apk/packages/sixfold."));
    let modes = installed.into_iter().map(|(path, file)| {
        let mode = file["mode"].as_str().context("mode")?;
        Ok((path.clone(), u32::from_str_radix(mode, 8)?))
    });
    ensure!(modes.collect::<Result<BTreeMap<_, _>>>()? == promised(), "{listed:?}");
    ensure!(own.len() == 4, "{own:?}");
    let mut made = folders(&data)?;
    made.retain(|folder| folder != "lib/apk" && folder != "lib/apk/packages");
    ensure!(made == promised_folders(), "{made:?}");
    ensure!(listed.values().all(|file| file["time"] == packed::TIME), "{listed:?}");
    ensure!(fs::read(data.join("usr/bin/sixfold-relay"))? == b"\x7fELF a program");
    ensure!(fs::read_to_string(data.join("lib/apk/packages/sixfold.rusers"))? == "sixfold:sixfold\n");
    ensure!(read["info"]["arch"] == ARCHITECTURE, "{read}");
    ensure!(read["info"]["depends"] == serde_json::json!([["ca-bundle"], ["procd-ujail"]]), "{read}");
    let scripts: Vec<_> = read["scripts"].as_object().context("scripts")?.keys().collect();
    ensure!(scripts == ["post-install", "post-upgrade", "pre-deinstall"], "{scripts:?}");
    Ok(())
}

/// What `scripts/snapshot` prints in a clone of some commits, of which some have a tag; `then` changes the clone.
fn snapshot(then: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let clone = folder.path().join("clone");
    fs::create_dir_all(clone.join("scripts"))?;
    fs::copy(workspace::root().join("scripts/snapshot"), clone.join("scripts/snapshot"))?;
    fs::write(clone.join("Cargo.toml"), "[workspace.package]\nversion = \"0.1.0\"\n")?;
    let prelude = "set -e
        export GIT_CONFIG_GLOBAL=/dev/null
        git() { command git -c user.name=a -c user.email=a@example.com \"$@\"; }
        commit() { git commit -q --allow-empty -m one; }
        git init -q; git add .; commit; commit";
    let script = format!("{prelude}\n{then}\nexec scripts/snapshot");
    Ok(process::run(Command::new("sh").args(["-c", &script]).current_dir(&clone))?.trim_end().to_owned())
}

#[test]
fn packages_of_a_later_commit_are_an_upgrade() -> Result<()> {
    let history = [
        snapshot("git tag v0.0.9")?,
        snapshot("commit; git branch other; git tag v0.2.0 other~1")?,
        snapshot("git tag v0.1.0")?,
        snapshot("git tag v0.1.0; commit; commit")?,
        snapshot("git tag v0.1.0; commit; commit; commit")?,
    ];
    ensure!(history == ["~pre2", "~pre3", "", "+git4", "+git5"], "{history:?}");
    let shallow = snapshot("git clone -q --depth 1 file://$PWD shallow; cd shallow");
    ensure!(shallow.as_ref().is_err_and(|error| format!("{error:#}").contains("operator: ")), "{shallow:?}");
    if let Some(dpkg) = Peer::Dpkg.program() {
        for pair in history.windows(2) {
            let [earlier, later] = [&pair[0], &pair[1]].map(|snapshot| format!("0.1.0{snapshot}-1"));
            process::run(Command::new(&dpkg).args(["--compare-versions", &earlier, "lt", &later]))?;
        }
    }
    Ok(())
}

#[test]
fn packages_of_another_commit_have_another_version() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (snapshot, opkg, apk) in [
        ("", "0.1.0-r1", "0.1.0-r1"),
        ("~pre787", "0.1.0~pre787-r1", "0.1.0_pre787-r1"),
        ("+git801", "0.1.0+git801-r1", "0.1.0_git801-r1"),
    ] {
        let [opkg, apk] = [opkg, apk].map(|version| version.replace("0.1.0", env!("CARGO_PKG_VERSION")));
        let feed = Feed::write_snapshot(snapshot, folder.path(), b"\x7fELF a program")?;
        for (name, architecture) in [("sixfold", ARCHITECTURE), ("luci-app-sixfold", "all")] {
            let parts = folder.path().join(format!("{name}{snapshot}"));
            let (_, control) = unpack(&feed.ipk(name, architecture), &parts)?;
            let about = fs::read_to_string(control.join("control"))?;
            ensure!(about.lines().any(|line| line == format!("Version: {opkg}")), "{about}");
            let read = read_apk(&feed.apk(name), &parts.join("apk"))?;
            ensure!(read["info"]["version"] == apk, "{read}");
        }
    }
    Ok(())
}

/// Where LuCI's own build puts what is in the folder, and the bytes of each file.
fn pages() -> Result<BTreeMap<String, Vec<u8>>> {
    let source = packed::script("luci-app-sixfold");
    let mut found = BTreeMap::new();
    for (folder, place) in [("htdocs", "www/"), ("root", "")] {
        for (path, data) in contents(&source.join(folder))? {
            found.insert(format!("{place}{path}"), data);
        }
    }
    Ok(found)
}

#[test]
fn the_pages_of_luci_are_packed_for_every_router() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let feed = Feed::write(folder.path(), b"\x7fELF a program")?;
    let pages = pages()?;
    ensure!(pages.len() == 4, "{:?}", pages.keys());

    let (data, control) = unpack(&feed.ipk("luci-app-sixfold", "all"), folder.path())?;
    ensure!(contents(&data)? == pages);
    ensure!(files(&data)?.values().all(|mode| *mode == 0o644), "{:?}", files(&data)?);
    ensure!(!control.join("conffiles").exists(), "an operator's file is among them");
    let about = fs::read_to_string(control.join("control"))?;
    for line in ["Package: luci-app-sixfold", "Architecture: all", "Depends: luci-base, sixfold"] {
        ensure!(about.lines().any(|found| found == line), "no {line:?} in\n{about}");
    }
    let script = fs::read_to_string(control.join("postinst"))?;
    ensure!(
        script.contains("default_postinst $0 $@\n") && script.contains("/etc/init.d/rpcd reload"),
        "{script}"
    );

    let data = folder.path().join("apk");
    let read = read_apk(&feed.apk("luci-app-sixfold"), &data)?;
    let own = "lib/apk/packages/luci-app-sixfold.list";
    let listed: String = pages.keys().map(|path| format!("/{path}\n")).collect();
    ensure!(fs::read_to_string(data.join(own))? == listed);
    fs::remove_file(data.join(own))?;
    ensure!(contents(&data)? == pages);
    ensure!(read["info"]["arch"] == "noarch", "{read}");
    ensure!(read["info"]["depends"] == serde_json::json!([["luci-base"], ["sixfold"]]), "{read}");
    for script in ["post-install", "post-upgrade"] {
        ensure!(read["scripts"][script].as_str().is_some_and(|text| text.contains("rpcd reload")), "{read}");
    }
    Ok(())
}

#[test]
fn the_reader_sees_a_package_that_was_changed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Longer than any of the other files, so that the middle of the package is its bytes.
    let noise: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let apk = Feed::write(folder.path(), &noise)?.apk("sixfold");
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
    let recipe = makefile.split("define Package/sixfold/install\n").nth(1).context("no recipe")?;
    let recipe = recipe.split("\nendef").next().unwrap_or_default();
    let installed: Vec<_> = recipe.lines().filter(|line| !line.contains("$(INSTALL_DIR)")).collect();
    for (path, _) in FILES {
        let (folder, name) = path.rsplit_once('/').context("a file without a folder")?;
        let is_there = installed.iter().any(|line| {
            let target = line.split_whitespace().last().and_then(|word| word.strip_prefix("$(1)/"));
            target == Some(path)
                || target == Some(&format!("{folder}/")) && line.contains(&format!("/{name} "))
        });
        // What is in a program that another toolchain builds is not known here.
        ensure!(is_there != OF_THE_BUILD.contains(path), "the feed: {path}: {is_there}");
    }
    let made = recipe.lines().filter(|line| line.contains("$(INSTALL_DIR)")).flat_map(str::split_whitespace);
    let made: BTreeSet<_> = made.filter_map(|word| word.strip_prefix("$(1)/")).collect();
    let all = promised_folders();
    let deepest =
        all.iter().filter(|folder| !all.iter().any(|other| other.starts_with(&format!("{folder}/"))));
    ensure!(made == deepest.map(String::as_str).collect(), "the feed makes {made:?}");
    let depends = makefile.lines().find(|line| line.contains("DEPENDS:=$(")).context("no dependencies")?;
    for name in ["+ca-bundle", "+procd-ujail", "@!(arm&&!arm_v6&&!arm_v7)"] {
        ensure!(depends.split_whitespace().any(|word| word == name), "{name}: {depends}");
    }
    let readme = fs::read_to_string(workspace::root().join("config/openwrt/README.md"))?;
    let needed = concat!("a series whose Rust is ", env!("CARGO_PKG_RUST_VERSION"), " or newer");
    ensure!(readme.contains(needed), "the README does not say {needed:?}");
    let sources = makefile.split_whitespace().filter_map(|word| word.strip_prefix("./files/"));
    for source in sources {
        ensure!(feed.join("files").join(source).exists(), "the feed installs {source}, which is not there");
    }
    Ok(())
}

#[test]
fn a_relay_that_has_just_started_takes_little_memory() -> Result<()> {
    sandbox::run(&[], || {
        let mut command = Command::new(workspace::root().join("scripts/resident"));
        let printed = process::run(command.arg(workspace::program_dir().join("sixfold-relay")))?;
        let kib: Vec<u32> = printed.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [resident, most, anonymous] = kib[..] else { anyhow::bail!("{printed}") };
        ensure!(anonymous <= resident && resident <= most, "{printed}");
        ensure!(anonymous <= MOST_ANONYMOUS, "{anonymous} KiB, of {MOST_ANONYMOUS} that are allowed");
        Ok(())
    })
}

#[test]
fn what_looks_whether_a_packaged_relay_serves_sees_it() -> Result<()> {
    sandbox::run(&[], || {
        let serves = || Command::new(workspace::root().join("scripts/serves"));
        let printed = process::run(serves().arg(workspace::program_dir().join("sixfold-relay")))?;
        ensure!(printed.starts_with("confined: user "), "{printed}");
        let output = serves().args(["sh", "-c", "exit 3"]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && said.contains("it did not come to serve"), "{said}");
        Ok(())
    })
}
