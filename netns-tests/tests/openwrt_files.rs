//! The OpenWrt package's init script and what lies outside of `/etc/config/sixfold`: certificates and keys, who may read them, whether
//! others took their place, and disks that are mounted or not. What it makes of the options is `openwrt.rs`'s.

use anyhow::{Result, ensure};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::router::procd::Instance;
use sixfold_netns_tests::router::{Router, USER};
use sixfold_netns_tests::sandbox;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

const NEEDS: &[Peer] = &[Peer::Busybox];

/// The smallest configuration that serves something; options of its route may follow.
const SMALL: &str = "config sixfold 'main'\n\toption enabled '1'\nconfig route\n\toption path '/fw'\n\toption origin 'https://h/'\n";

/// Whether procd was told of an instance: it stops a relay whose service is described without one.
fn runs(record: &str) -> bool {
    record.contains("procd_open_instance")
}

#[test]
fn a_file_that_only_root_can_read_is_a_mistake() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let folder = router.path("etc/sixfold");
        fs::create_dir_all(&folder)?;
        let pair = rcgen::generate_simple_self_signed(["relay".to_owned()])?;
        fs::write(folder.join("relay.pem"), pair.cert.pem())?;
        let key = folder.join("relay.key");
        fs::write(&key, pair.signing_key.serialize_pem())?;
        let config = format!(
            "{SMALL}\toption client_cert_file '/etc/sixfold/relay.pem'\n\toption client_key_file '/etc/sixfold/relay.key'\n"
        );
        chown(&key, None, Some(USER))?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640))?;
        for action in ["start", "check"] {
            let (ok, record) = router.run(action, &config)?;
            ensure!(ok, "{action}: {record}");
        }
        router.set_running(true)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let (ok, record) = router.run("check", &config)?;
        ensure!(!ok && record.contains("client_key_file"), "{record}");
        let (ok, record) = router.run("reload", &config)?;
        ensure!(ok && runs(&record) && record.contains("client_key_file"), "{record}");
        Ok(())
    })
}

#[test]
fn a_file_that_took_the_place_of_another_is_passed_on() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let hangup = "procd_send_signal sixfold * HUP";
        fs::create_dir_all(router.path("etc/sixfold"))?;
        let replace = |path: &str| -> Result<()> {
            let authority = rcgen::generate_simple_self_signed(["h".to_owned()])?;
            fs::write(router.path("tmp/new.pem"), authority.cert.pem())?;
            Ok(fs::rename(router.path("tmp/new.pem"), router.path(path))?)
        };
        for (path, has_folder) in [("/etc/sixfold/ca.pem", true), ("/etc/ca.pem", false)] {
            let config = format!("{SMALL}\toption ca_file '{path}'\n");
            router.set_running(false)?;
            replace(path)?;
            router.run("start", &config)?;
            router.set_running(true)?;
            let (_, record) = router.run("reload", &config)?;
            ensure!(!record.contains(hangup), "{path}: {record}");
            replace(path)?;
            let (ok, record) = router.run("reload", &config)?;
            // The jail shows what lies beside other things by itself, and goes on to show what it was: procd restarts the relay.
            let watched =
                record.contains("procd_set_param file /usr/bin/sixfold-relay /etc/resolv.conf /etc/ca.pem\n");
            ensure!(ok && record.contains(hangup) == has_folder && watched != has_folder, "{path}: {record}");
            let shown = if has_folder { "/etc/sixfold" } else { path };
            ensure!(record.contains(&format!("procd_add_jail_mount {shown}\n")), "{path}: {record}");
        }
        // Where a link leads is shown too.
        symlink("../acme/ca.pem", router.path("etc/sixfold/link.pem"))?;
        fs::create_dir_all(router.path("etc/acme"))?;
        replace("/etc/acme/ca.pem")?;
        let (_, record) =
            router.run("reload", &format!("{SMALL}\toption ca_file '/etc/sixfold/link.pem'\n"))?;
        for line in ["procd_add_jail_mount /etc/sixfold\n", "procd_add_jail_mount /etc/acme\n"] {
            ensure!(record.contains(line), "{line}: {record}");
        }
        Ok(())
    })
}

#[test]
fn nothing_is_written_to_flash_where_a_disk_is_missing() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let config = format!(
            "{SMALL}config cache\n\toption disk_path '/mnt/sda1/sixfold'\n\toption disk_limit '1 MiB'\n\
             config sessions\n\toption store '/mnt/sda1/kept/sessions'\n"
        );
        fs::create_dir_all(router.path("mnt/sda1"))?;
        let (ok, record) = router.run("start", &config)?;
        ensure!(ok && runs(&record), "{record}");
        for option in ["cache.disk_path: nothing is mounted", "sessions.store: nothing is mounted"] {
            ensure!(record.contains(option), "{option}: {record}");
        }
        ensure!(fs::read_dir(router.path("mnt/sda1"))?.next().is_none() && !record.contains("mount_rw"));
        let written = router.written()?;
        ensure!(written.cache.disk.is_none() && written.sessions.store.is_none(), "{written:#?}");

        router.set_mounted(&["/mnt/sda"])?;
        let (_, record) = router.run("start", &config)?;
        ensure!(!record.contains("mount_rw"), "another disk whose name begins alike: {record}");

        router.set_mounted(&["/mnt/sda1"])?;
        let (ok, record) = router.run("start", &config)?;
        ensure!(ok && !record.contains("nothing is mounted"), "{record}");
        for line in
            ["procd_add_jail_mount_rw /mnt/sda1/sixfold\n", "procd_add_jail_mount_rw /mnt/sda1/kept\n"]
        {
            ensure!(record.contains(line), "{line}: {record}");
        }
        let written = router.written()?;
        ensure!(written.cache.disk.is_some() && written.sessions.store.is_some(), "{written:#?}");
        let (_, record) = router.run("triggers", &config)?;
        for place in ["/mnt/sda1/sixfold\n", "/mnt/sda1/kept/sessions\n"] {
            ensure!(record.contains(&format!("procd_add_reload_mount_trigger {place}")), "{place}: {record}");
        }
        Ok(())
    })
}

/// The jail goes on to show the file that it was, whose place netifd gives to another one.
#[test]
fn another_resolver_restarts_the_relay() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let (_, record) = router.run("start", SMALL)?;
        let watched = "procd_set_param file /usr/bin/sixfold-relay /etc/resolv.conf\n";
        ensure!(record.contains(watched), "procd does not look at it: {record}");
        router.set_running(true)?;
        let before = Instance::read(&router, &record)?;
        router.set_resolver("nameserver 2001:db8::53\n")?;
        // With something to tell the relay at the same time.
        let (_, record) = router.run("reload", &SMALL.replace("/fw", "/other"))?;
        ensure!(Instance::read(&router, &record)? != before, "{record}");
        ensure!(!record.contains("HUP"), "one that starts would die of it: {record}");
        let (_, record) = router.run("reload", &SMALL.replace("/fw", "/third"))?;
        ensure!(record.contains("HUP"), "nothing else restarts it: {record}");
        Ok(())
    })
}
