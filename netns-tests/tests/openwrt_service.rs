//! The OpenWrt package's service as a router runs it: installed from an .ipk, started by its init script, in its jail, as its user.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sixfold_netns_tests::coap_client::{self, Outcome};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::packed::Feed;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::{self, Process, status_field};
use sixfold_netns_tests::router::procd::Instance;
use sixfold_netns_tests::router::{Router, UCI, USER, WRITTEN};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::RELAY;
use sixfold_netns_tests::{device, nginx, relay, sandbox, wait, workspace};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Root, Peer::Busybox, Peer::CoapClient, Peer::Nginx, Peer::Radvd];
const ARCHITECTURE: &str = "x86_64";
const SPOOL: &str = "/tmp/spool";
const PATIENCE: Duration = Duration::from_secs(120);

/// What an operator makes of the file that is installed.
fn edited(shipped: &str) -> String {
    shipped
        .replace("option enabled '0'", "option enabled '1'")
        .replace("\t#option network 'lowpan'", "\toption interface 'lowpan0'")
        + &format!(
            "{}\nconfig cache 'cache'\n\toption disk_path '{SPOOL}'\n\toption disk_limit '16 MiB'\n",
            route("/fw")
        )
}

fn route(path: &str) -> String {
    format!(
        "\nconfig route\n\toption path '{path}'\n\toption origin 'https://origin.test/'\n\
         \toption ca_file '/etc/sixfold/ca.pem'\n\toption max_age '1 h'\n"
    )
}

/// A router with a package around the relay of this workspace, and the folder that has it.
fn installed(scene: &Scene) -> Result<(Router, tempfile::TempDir)> {
    let router = Router::create()?;
    let folder = tempfile::tempdir()?;
    let program = stripped(folder.path())?;
    router.install_libraries(&program)?;
    let feed = Feed::write_for(ARCHITECTURE, folder.path(), &fs::read(program)?)?;
    router.install(&feed.ipk("sixfold", ARCHITECTURE))?;
    fs::create_dir_all(router.path("etc/sixfold"))?;
    fs::copy(scene.ca.certificate(), router.path("etc/sixfold/ca.pem"))?;
    fs::copy("/etc/hosts", router.path("etc/hosts"))?;
    Ok((router, folder))
}

/// The relay as it is packed: what is for debuggers would take most of the time of packing.
fn stripped(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("sixfold-relay");
    process::run(
        Command::new("strip").arg(workspace::program_dir().join("sixfold-relay")).arg("-o").arg(&program),
    )?;
    Ok(program)
}

/// Tells the init script to do something, and reads the instance that it describes then.
fn told(router: &Router, netns: &Netns, action: &str) -> Result<Instance> {
    let (ok, record) = router.act(action, Some(netns))?;
    ensure!(ok, "{action}: {record}");
    Instance::read(router, &record)?.with_context(|| format!("{action}: no instance in\n{record}"))
}

fn start(router: &Router, netns: &Netns, instance: &Instance) -> Result<Process> {
    let mut service = instance.start(router, netns, "service")?;
    wait::until_true("the service to be ready", wait::SOON, || {
        relay::ask(netns, "/readyz").is_ok_and(|(status, _)| status == 200) || !service.is_running()
    })?;
    ensure!(service.is_running(), "the service ended:\n{}", service.log());
    router.set_running(true)?;
    Ok(service)
}

/// What is known of a file: owner, mode, length, and when it was changed.
#[derive(Debug, PartialEq, Eq)]
struct About {
    owner: u32,
    mode: u32,
    length: u64,
    changed: (i64, i64),
}

/// Everything below a folder but what the kernel shows.
fn everything(folder: &Path) -> Result<BTreeMap<PathBuf, About>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            let about = fs::symlink_metadata(&path)?;
            let place = path.strip_prefix(folder)?.to_owned();
            if about.is_dir() && ![Path::new("proc"), Path::new("sys")].contains(&place.as_path()) {
                folders.push(path);
            }
            let changed = (about.mtime(), about.mtime_nsec());
            found.insert(
                place,
                About { owner: about.uid(), mode: about.mode(), length: about.len(), changed },
            );
        }
    }
    Ok(found)
}

#[test]
fn the_installed_service_serves_as_its_user_and_writes_to_its_spool_alone() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let (net, client) = (&scene.net.relay, &scene.net.devices[0]);
        let image = nginx::publish_image("image.bin", 1, 40_000)?;
        let (router, _folder) = installed(&scene)?;
        let shipped = fs::read_to_string(router.path(UCI))?;
        let record = router.record()?;
        ensure!(Instance::read(&router, &record)?.is_none(), "it starts before anybody enabled it: {record}");

        fs::write(router.path(UCI), edited(&shipped))?;
        let instance = told(&router, net, "start")?;
        let router_before = everything(&router.path("/"))?;
        let service = start(&router, net, &instance)?;
        let pid = service.id();
        let four = format!("{USER}\t{USER}\t{USER}\t{USER}");
        ensure!(status_field(pid, "Uid")? == four && status_field(pid, "Gid")? == four);
        ensure!(["", "65536"].contains(&status_field(pid, "Groups")?.trim()));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            ensure!(status_field(pid, set)? == "0000000000000000", "{set}");
        }
        ensure!(status_field(pid, "NoNewPrivs")? == "1");
        ensure!(status_field(pid, "NSpid")?.ends_with("\t1"), "it is process 1 of its jail");
        let jail = PathBuf::from(format!("/proc/{pid}/root"));
        ensure!(!jail.join("bin").exists() && !jail.join("etc/init.d").exists(), "the jail shows too much");
        let jail_before = everything(&jail)?;

        for port in [5683, 61616] {
            let uri = format!("coap://{RELAY}:{port}/fw/image.bin");
            ensure!(
                coap_client::request(client, &uri, &["-b", "1024"])? == Outcome::Body(image.clone()),
                "{port}"
            );
        }
        wait::until_true("the image on disk", wait::SOON, || {
            fs::read_dir(router.path(SPOOL)).is_ok_and(|files| {
                files.flatten().any(|file| file.path().extension().is_some_and(|it| it == "image"))
            })
        })?;
        for file in fs::read_dir(router.path(SPOOL))? {
            ensure!(file?.metadata()?.uid() == USER);
        }
        for (folder, before) in [(jail, jail_before), (router.path("/"), router_before)] {
            let mut now = everything(&folder)?;
            now.retain(|path, about| {
                let place = Path::new("/").join(path);
                !place.starts_with(SPOOL) && place != Path::new("/running") && before.get(path) != Some(about)
            });
            ensure!(now.is_empty(), "it wrote to {now:?} of {}", folder.display());
        }
        Ok(())
    })
}

#[test]
fn the_installed_service_reloads_and_ends_when_it_is_told() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let (net, client) = (&scene.net.relay, &scene.net.devices[0]);
        let image = nginx::publish_image("image.bin", 1, 40_000)?;
        let (router, _folder) = installed(&scene)?;
        let config = edited(&fs::read_to_string(router.path(UCI))?);
        fs::write(router.path(UCI), &config)?;
        let instance = told(&router, net, "start")?;
        let mut service = start(&router, net, &instance)?;
        let fetch = |name: &str, path: &str| device::fetch(client, name, path, &[])?.image(PATIENCE);
        ensure!(fetch("first", "/fw/image.bin")? == image);

        // The file that the relay reads again in its jail is another one than it was started with.
        fs::write(router.path(UCI), config.clone() + &route("/other"))?;
        ensure!(told(&router, net, "reload")? == instance, "procd would restart it");
        ensure!(router.record()?.contains("procd_send_signal sixfold * HUP"));
        service.signal(Signal::SIGHUP)?;
        wait::until_true("the new configuration", wait::SOON, || {
            service.output().contains("configuration reloaded")
        })?;
        ensure!(fetch("second", "/other/image.bin")? == image);

        // A mistake changes nothing.
        let written = fs::read(router.path(WRITTEN))?;
        fs::write(router.path(UCI), config.replace("'https://origin.test/'", "'ftp://origin.test/'"))?;
        ensure!(told(&router, net, "reload")? == instance, "procd would restart it");
        ensure!(!router.record()?.contains("HUP") && fs::read(router.path(WRITTEN))? == written);
        ensure!(service.is_running() && fetch("third", "/fw/image.bin")? == image);

        service.signal(Signal::SIGTERM)?;
        let status = service.wait(wait::SOON)?;
        ensure!(status.success(), "{status}: {}", service.log());
        Ok(())
    })
}

#[test]
fn a_certificate_that_took_the_place_of_another_is_used_after_a_reload() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let (net, client) = (&scene.net.relay, &scene.net.devices[0]);
        nginx::publish_image("early.bin", 1, 1_000)?;
        let image = nginx::publish_image("late.bin", 1, 1_000)?;
        let (router, _folder) = installed(&scene)?;
        let stranger = rcgen::generate_simple_self_signed(["another authority".to_owned()])?;
        fs::write(router.path("etc/sixfold/ca.pem"), stranger.cert.pem())?;
        fs::write(router.path(UCI), edited(&fs::read_to_string(router.path(UCI))?))?;
        let instance = told(&router, net, "start")?;
        let service = start(&router, net, &instance)?;
        let ask = |name: &str| coap_client::request(client, &format!("coap://{RELAY}/fw/{name}"), &[]);
        ensure!(
            !matches!(ask("early.bin")?, Outcome::Body(_)),
            "the origin is believed without its authority"
        );

        let new = router.path("etc/sixfold/ca.pem.new");
        fs::copy(scene.ca.certificate(), &new)?;
        fs::rename(new, router.path("etc/sixfold/ca.pem"))?;
        ensure!(told(&router, net, "reload")? == instance, "procd would restart it");
        ensure!(router.record()?.contains("procd_send_signal sixfold * HUP"));
        service.signal(Signal::SIGHUP)?;
        wait::until_true("the new configuration", wait::SOON, || {
            service.output().contains("configuration reloaded")
        })?;
        ensure!(ask("late.bin")? == Outcome::Body(image));
        Ok(())
    })
}

#[test]
fn the_jail_shows_another_resolver_after_a_restart() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let net = &scene.net.relay;
        let (router, _folder) = installed(&scene)?;
        fs::write(router.path(UCI), edited(&fs::read_to_string(router.path(UCI))?))?;
        let shown =
            |service: &Process| fs::read_to_string(format!("/proc/{}/root/etc/resolv.conf", service.id()));
        let instance = told(&router, net, "start")?;
        let service = start(&router, net, &instance)?;
        router.set_resolver("nameserver 2001:db8::53\n")?;
        ensure!(shown(&service)?.is_empty(), "the jail shows it by itself: no restart is needed");
        let changed = told(&router, net, "reload")?;
        ensure!(changed != instance, "procd would leave it as it is");
        drop(service);
        let service = start(&router, net, &changed)?;
        ensure!(shown(&service)? == "nameserver 2001:db8::53\n");
        Ok(())
    })
}

#[test]
fn an_upgrade_restarts_the_service_and_keeps_what_the_operator_wrote() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let net = &scene.net.relay;
        let (router, folder) = installed(&scene)?;
        let config = edited(&fs::read_to_string(router.path(UCI))?);
        fs::write(router.path(UCI), &config)?;
        let instance = told(&router, net, "start")?;
        let service = start(&router, net, &instance)?;

        let mut program = fs::read(folder.path().join("sixfold-relay"))?;
        ensure!(told(&router, net, "start")? == instance, "procd would restart it for nothing");
        // Behind the end of an ELF file may be anything.
        program.push(0);
        let feed = Feed::write_for(ARCHITECTURE, folder.path(), &program)?;
        router.install(&feed.ipk("sixfold", ARCHITECTURE))?;
        ensure!(fs::read_to_string(router.path(UCI))? == config, "the operator's file was replaced");
        // Where the operator's keys are is kept by sysupgrade too.
        let kept = fs::read_to_string(router.path("lib/upgrade/keep.d/sixfold"))?;
        ensure!(kept.lines().any(|place| place == "/etc/sixfold/"), "{kept}");
        let upgraded =
            Instance::read(&router, &router.record()?)?.context("the package does not start it")?;
        ensure!(upgraded != instance, "procd would leave the old program running");
        drop(service);
        start(&router, net, &upgraded)?;
        Ok(())
    })
}
