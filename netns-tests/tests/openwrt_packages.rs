//! The scripts of the OpenWrt packages, as opkg and apk run them: installing, upgrading, removing. What is in the packages is `packages.rs`'s,
//! and what the service does then `openwrt_service.rs`'s.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::packed::{ARCHITECTURE, Feed};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::router::{Router, UCI, USER, file};
use sixfold_netns_tests::sandbox;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// It finds every configuration good.
const PROGRAM: &[u8] = b"#!/bin/sh\nexit 0\n";

/// What is told of the service, without what is told of its instance and by the relay.
fn steps(record: &str) -> Vec<&str> {
    let told = [
        "/etc/init.d/",
        "service opened",
        "service deleted",
        "procd_open_instance",
        "service closed",
        "procd_set_config_changed",
    ];
    record.lines().filter(|line| told.iter().any(|word| line.starts_with(word))).collect()
}

const KERNEL: &str = "/etc/init.d/sysctl restart";
const STOPPED: [&str; 2] = ["service deleted", "procd_set_config_changed firewall"];

fn installs_upgrades_and_removes(ending: &str) -> Result<()> {
    let router = Router::create()?;
    let folder = tempfile::tempdir()?;
    let package = |program: &[u8]| -> Result<_> {
        let feed = Feed::write(folder.path(), program)?;
        Ok(if ending == "apk" { feed.apk("sixfold") } else { feed.ipk("sixfold", ARCHITECTURE) })
    };
    let shipped = fs::read_to_string(file("sixfold.config"))?;

    router.install(&package(PROGRAM)?)?;
    let record = router.record()?;
    let installed = [KERNEL, "/etc/init.d/sixfold enable", "service opened", "service closed"];
    ensure!(steps(&record) == installed, "nothing runs before it is enabled in its file: {record}");
    let users = fs::read_to_string(router.path("etc/passwd"))?;
    ensure!(users.starts_with(&format!("sixfold:x:{USER}:{USER}:")), "{users}");
    ensure!(router.path("etc/sixfold").is_dir(), "no place for keys");

    // The program that runs is another file than the one that is there now: procd has to be told.
    let mine = shipped.replace("enabled '0'", "enabled '1'");
    fs::write(router.path(UCI), &mine)?;
    router.set_running(true)?;
    router.install(&package(b"#!/bin/sh\nexit 0 # another\n")?)?;
    let record = router.record()?;
    let started = [KERNEL, "service opened", "procd_open_instance", "service closed"];
    let upgraded: Vec<_> = match ending {
        "apk" => started.into(),
        _ => STOPPED.into_iter().chain(started).collect(),
    };
    ensure!(steps(&record) == upgraded, "{record}");
    ensure!(fs::read_to_string(router.path(UCI))? == mine, "the operator's file was replaced");
    let beside = if ending == "apk" { ".apk-new" } else { "-opkg" };
    ensure!(fs::read_to_string(router.path(&format!("{UCI}{beside}")))? == shipped);
    let users = fs::read_to_string(router.path("etc/passwd"))?;
    ensure!(users.lines().count() == 1, "another user: {users}");

    router.remove(&shipped)?;
    let record = router.record()?;
    let removed: Vec<_> = ["/etc/init.d/sixfold disable"].into_iter().chain(STOPPED).collect();
    ensure!(steps(&record) == removed, "{record}");
    for gone in ["usr/bin/sixfold-relay", "etc/init.d/sixfold", "etc/capabilities/sixfold.json"] {
        ensure!(!router.path(gone).exists(), "{gone}");
    }
    ensure!(fs::read_to_string(router.path(UCI))? == mine, "the operator's file is gone");

    fs::write(router.path(UCI), &shipped)?;
    router.install(&package(PROGRAM)?)?;
    router.remove(&shipped)?;
    ensure!(!router.path(UCI).exists(), "what the operator did not touch stays");
    fs::metadata(router.path("etc/sixfold")).context("the folder of keys is the operator's")?;
    Ok(())
}

#[test]
fn opkg_installs_upgrades_and_removes() -> Result<()> {
    sandbox::run(&[Peer::Busybox], || installs_upgrades_and_removes("ipk"))
}

#[test]
fn apk_installs_upgrades_and_removes() -> Result<()> {
    sandbox::run(&[Peer::Busybox], || installs_upgrades_and_removes("apk"))
}

/// Notes what it is told, and knows of no option but whether the relay is enabled.
const UCI_PROGRAM: &str = "#!/bin/sh
[ \"$2\" != get ] || { [ \"$3\" = sixfold.main.enabled ] && exec cat /enabled; exit 1; }
echo \"uci $*\" >>/record
";

#[test]
fn where_there_is_one_network_of_radios_the_relay_listens_there() -> Result<()> {
    sandbox::run(&[Peer::Busybox], || {
        let folder = tempfile::tempdir()?;
        let feed = Feed::write(folder.path(), PROGRAM)?;
        let network =
            |name: &str, device: &str| format!("config interface '{name}'\n\toption device '{device}'\n");
        let (lan, thread) = (network("lan", "br-lan"), network("thread", "wpan0"));
        let meters = network("meters", "lowpan0");
        // What Linux knows to be slow needs no word; of a TUN device it has to be said.
        let kernels = ["uci set sixfold.listen.network=meters", "uci commit sixfold"];
        let agents = [
            "uci set sixfold.listen.network=thread",
            "uci set sixfold.radio=link",
            "uci set sixfold.radio.interface=wpan0",
            "uci commit sixfold",
        ];
        let router = Router::create()?;
        fs::write(router.path("bin/uci"), UCI_PROGRAM)?;
        fs::set_permissions(router.path("bin/uci"), fs::Permissions::from_mode(0o755))?;
        let cases = [
            ("0", lan.clone(), &[][..]),
            ("0", lan.clone() + &thread, &agents[..]),
            ("0", lan + &meters, &kernels[..]),
            ("1", thread.clone(), &[][..]),
            ("0", thread + &meters, &[][..]),
        ];
        for (enabled, networks, expected) in cases {
            fs::write(router.path("enabled"), enabled)?;
            fs::write(router.path("etc/config/network"), &networks)?;
            router.install(&feed.ipk("sixfold", ARCHITECTURE))?;
            let record = router.record()?;
            let said: Vec<_> = record.lines().filter(|line| line.starts_with("uci ")).collect();
            ensure!(said == expected, "enabled {enabled}: {networks}{record}");
            ensure!(!router.path("etc/uci-defaults/60-sixfold").exists(), "it would run again");
        }
        Ok(())
    })
}
