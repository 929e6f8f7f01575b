//! What an operator tells a running relay: prefetch, purge, ban, unban.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, nginx, sandbox, wait};
use std::fs;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
const PATIENCE: Duration = Duration::from_secs(120);
const PATH: &str = "/fw/image.bin";

#[test]
fn an_image_is_fetched_before_devices_ask() -> Result<()> {
    sandbox::run(NEEDS, || {
        // A second for the image, so that its prefetch is waited for.
        let scene = Scene::create("limit_rate 64k;")?;
        let image = nginx::publish_image("image.bin", 1, 64 << 10)?;
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}max_age = \"1 h\"\n"))?;
        for name in [PATH, "https://origin.test/image.bin", "coap://[2001:db8:6::1]/fw/image.bin"] {
            let (code, said) = relay.command(&["prefetch", name])?;
            ensure!(
                code == 0 && said.contains("https://origin.test/image.bin  65536/65536 100 %  fresh"),
                "{said}"
            );
        }
        ensure!(device::fetch(&scene.net.devices[0], "device", PATH, &[])?.image(PATIENCE)? == image);
        nginx::wait_for_accesses("GET /image.bin", 1)?;
        let (code, said) = relay.command(&["prefetch", "/fw/missing.bin", PATH])?;
        ensure!(
            code == 1
                && said.contains("origin: https://origin.test/missing.bin was not fetched: client_error")
                && said.contains("404 Not Found; the origin does not have it"),
            "{said}"
        );
        ensure!(!relay.log().contains("Look"), "whoever waits fills no log");
        ensure!(said.contains("image.bin  65536/65536"), "the others are fetched: {said}");
        let (code, said) = relay.command(&["prefetch", "/elsewhere/image.bin"])?;
        ensure!(code == 1 && said.contains("operator: no [[route]]"), "{said}");
        ensure!(relay.command(&["prefetch"])?.0 == 2);
        Ok(())
    })
}

#[test]
fn what_is_purged_is_gone_from_memory_and_disk() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        nginx::publish_image("image.bin", 1, 20_000)?;
        nginx::publish_image("other.bin", 2, 20_000)?;
        let disk = "[cache]\ndisk = { path = \"/run/spool\", limit = \"1 MiB\" }\n";
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}max_age = \"1 h\"\n{disk}"))?;
        // An image is in memory before it is on disk.
        let spooled = |files: usize| {
            wait::until_true(&format!("{files} files on disk"), wait::SOON, || {
                fs::read_dir("/run/spool").is_ok_and(|entries| entries.count() == files)
            })
        };
        ensure!(relay.command(&["prefetch", PATH, "/fw/other.bin"])?.0 == 0);
        spooled(2)?;
        let (code, said) = relay.command(&["purge", PATH])?;
        ensure!(code == 0 && said.contains("forgot 1 known"), "{said}");
        spooled(1)?;
        ensure!(relay.command(&["prefetch", PATH])?.0 == 0);
        nginx::wait_for_accesses("GET /image.bin", 2)?;
        let (code, said) = relay.command(&["purge", "--all"])?;
        ensure!(code == 0 && said.contains("forgot 2 known"), "{said}");
        spooled(0)?;
        ensure!(relay.metric("sixfold_cache_bytes")? >= 0.0);
        let (code, said) = relay.command(&["purge", "/fw/misspelt.bin"])?;
        ensure!(code == 1 && said.contains("nothing is known of it"), "{said}");
        ensure!(relay.command(&["purge", "--all"])?.0 == 0, "whoever wants nothing to be left has it");
        Ok(())
    })
}

#[test]
fn a_banned_image_is_refused_until_the_ban_is_lifted() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 20_000)?;
        let config = format!("{CONFIG}max_age = \"1 h\"\n");
        let relay = Relay::start(&scene.net.relay, &config)?;
        let fetch_from = |name: &str, path: &str| device::fetch(&scene.net.devices[0], name, path, &[]);
        let fetch = |name: &str| fetch_from(name, PATH);
        ensure!(fetch("before")?.image(PATIENCE)? == image);
        let (code, said) = relay.command(&["ban", PATH])?;
        ensure!(code == 0 && said.contains("banned https://origin.test/image.bin"), "{said}");
        ensure!(said.ends_with("the restart of the relay\n"), "{said}");
        let (code, said) = relay.command(&["ban", "/fw/misspelt.bin"])?;
        ensure!(code == 0 && said.contains("no device asked for it lately"), "{said}");
        let (code, said) = relay.command(&["ban", "/fw"])?;
        ensure!(code == 0 && said.contains("not what is below it"), "{said}");
        for (name, path) in [("during", PATH), ("query", "/fw/image.bin?x=1"), ("double", "/fw//image.bin")] {
            let mut refused = fetch_from(name, path)?;
            ensure!(
                !refused.wait(PATIENCE)?.success() && refused.printed().contains("4.03"),
                "{path}: {}",
                refused.printed()
            );
        }
        let (_, status) = relay.command(&["status"])?;
        ensure!(status.contains("BANNED\nhttps://origin.test/\nhttps://origin.test/image.bin\n"), "{status}");
        ensure!(status.contains("refused 4.03"), "{status}");
        let (code, said) = relay.command(&["unban", PATH])?;
        ensure!(code == 0 && said.contains("again"), "{said}");
        let (code, said) = relay.command(&["unban", PATH])?;
        ensure!(code == 1 && said.contains("was not banned"), "{said}");
        ensure!(fetch("after")?.image(PATIENCE)? == image);
        nginx::wait_for_accesses("GET /image.bin", 1).context("its bytes stayed")?;
        Ok(())
    })
}

#[test]
fn no_order_comes_from_another_machine() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let admin = "[admin]\nlisten = \"[::]:9683\"\nallow_remote = true\n";
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{admin}"))?;
        let url = "http://[2001:db8:1::1]:9683";
        let (code, said) = sixfold_netns_tests::relay::command(&scene.net.origin, &["status", "--url", url])?;
        ensure!(code == 0, "it may look: {said}");
        let (code, said) =
            sixfold_netns_tests::relay::command(&scene.net.origin, &["purge", "--all", "--url", url])?;
        ensure!(code == 1 && said.contains("from this machine only"), "{said}");
        Ok(())
    })
}
